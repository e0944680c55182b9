"""Raw values that are brought to scale in floats: on this computer, in NumPy and on a core."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from hwkd.core.verification import Target, Verification
from hwkd.deploy.toolchain import INSTALL_COMMAND
from hwkd.deploy.verify import verify_model
from hwkd.engine.arms.export import raw_input
from hwkd.io.core_files import load_core
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.normalise import Normalise

COUNT = 5
TOOLS = ("arm-none-eabi-gcc", "qemu-system-arm", "cc")
needs_tools = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"no emulator or compiler; {INSTALL_COMMAND}"
)


def checked(folder: Path, dtype: str, shift: float) -> Verification:
    """Check a network whose raw values training brought to scale, off by `shift`."""
    random = np.random.default_rng(0)
    values = random.integers(0, 256, (COUNT, 2, 4, 4)).astype(dtype)
    pipeline = Pipeline(
        steps=(Normalise(mean=(127.5, 100.0), std=(70.0, 33.3)),),
        raw_shape=(2, 4, 4), raw_dtype=dtype, raw_low=0.0, raw_high=255.0,
    )  # fmt: skip
    net = NetworkBuilder((2, 4, 4))
    net.conv(4, (3, 3), relu="Relu")
    net.classifier(3)
    model = quantise(net, folder, "net")
    raw = raw_input(pipeline.record())

    def prepared(raws: np.ndarray) -> np.ndarray:
        return pipeline.apply(raws) + np.float32(shift)

    target = Target(
        name="small", core=load_core("cortex-m4"), flash_bytes=256 * 1024, ram_bytes=64 * 1024
    )
    samples = pipeline.apply(values)
    return verify_model(model, target, samples, raw=replace(raw, apply=prepared), raw_values=values)


@pytest.mark.slow
@needs_tools
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_raw_values_become_the_inputs_of_training_and_are_counted_apart(
    dtype: str, tmp_path: Path
) -> None:
    found = checked(tmp_path, dtype, 0.0)
    assert found.passed, found.faults
    assert found.prepared is not None
    assert found.prepared.values == COUNT * 2 * 4 * 4
    assert found.prepared.differing == found.prepared.core_differing == 0
    assert found.prepared.answers_differing == 0
    assert found.prepared.instructions > 2 * 4 * 4
    assert sum(layer.instructions for layer in found.instructions_per_layer) == pytest.approx(
        found.instructions_per_inference, rel=0.1
    )


@pytest.mark.slow
@needs_tools
def test_another_scale_than_that_of_training_fails_the_check(tmp_path: Path) -> None:
    found = checked(tmp_path, "uint8", 0.5)
    assert not found.passed
    assert "become other inputs than in training" in found.faults[0]
