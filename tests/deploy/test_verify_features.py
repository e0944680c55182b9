"""Raw samples through features and network: on this computer, in NumPy and on emulated cores."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.signals import made_pipeline

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.core.verification import Target
from hwkd.deploy.toolchain import INSTALL_COMMAND
from hwkd.deploy.verify import verify_model
from hwkd.engine.arms.export import raw_input
from hwkd.io.core_files import core_names, load_core
from hwkd.signals.tried import tried_signals

COUNT = 6
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "cc")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"no emulator or compiler; {INSTALL_COMMAND}"
)


def network(channels: int, time: int) -> NetworkBuilder:
    net = NetworkBuilder((channels, time))
    net.reshape(1, channels, 1, time)
    net.conv(8, (1, 3), relu="Relu")
    net.classifier(4)
    return net


def target(core: str) -> Target:
    return Target(name=core, core=load_core(core), flash_bytes=512 * 1024, ram_bytes=128 * 1024)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize(
    ("core", "text", "shape", "rate_hz"),
    [
        *((core, "mfcc:coefficients=10", (1, 1500), 16000.0) for core in core_names()),
        ("cortex-m4", "log-mel:bins=12,pcen=yes,delta=yes,decimate=2", (1, 3000), 16000.0),
        ("cortex-m0plus", "imu:low=0.5Hz,high=20Hz", (3, 200), 50.0),
        ("cortex-m7", "imu:statistics=no", (3, 64), 50.0),
    ],
)
def test_raw_samples_give_the_features_of_training_and_the_answers_of_the_int8_file(
    core: str, text: str, shape: tuple[int, int], rate_hz: float, tmp_path: Path
) -> None:
    signals = tried_signals(COUNT, *shape)
    pipeline = made_pipeline(text, signals, rate_hz)
    channels, time = pipeline.apply(signals[:1]).shape[1:]
    model = quantise(network(channels, time), tmp_path, "net")
    raw = raw_input(pipeline.record())
    found = verify_model(model, target(core), signals, raw=raw)
    assert found.passed, found.faults
    assert found.features is not None
    assert found.features.values == found.features.core_values == COUNT * channels * time
    assert found.features.differing == found.features.core_differing == 0
    assert 1000 < found.features.instructions < found.instructions_per_inference
    assert found.flash_predicted_bytes == pytest.approx(found.flash_bytes, rel=0.1)
    used = found.ram_bytes + found.stack_bytes
    assert found.ram_predicted_bytes == pytest.approx(used, rel=0.03)
    assert found.arena_bytes + found.features.ram_bytes == pytest.approx(found.ram_bytes, abs=16)


@pytest.mark.slow
@needs_tools
def test_other_features_than_those_of_training_fail_the_check(tmp_path: Path) -> None:
    signals = tried_signals(COUNT, 1, 1500)
    pipeline = made_pipeline("mfcc:coefficients=10", signals, 16000.0)
    channels, time = pipeline.apply(signals[:1]).shape[1:]
    model = quantise(network(channels, time), tmp_path, "net")
    raw = raw_input(pipeline.record())

    def shifted(values: np.ndarray) -> np.ndarray:
        return pipeline.apply(values) + np.float32(0.2)

    found = verify_model(model, target("cortex-m4"), signals, raw=replace(raw, apply=shifted))
    assert not found.passed
    assert "features of raw samples differ" in found.faults[0]
