"""Features in C against NumPy, bit for bit, on this computer and on emulated cores.

    python -m benchmarks.accuracy.signal_features [CORE ...]

Frames are noise of every level, tones, steps, silence and full scale. Instructions are counted on
an emulated Cortex-M4 for one second of sound at 16 kHz, beside those of a network of 11,000 weights
for keywords, int8 in hwkd's own kernels.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from benchmarks.lib.c_networks import NetworkBuilder, quantise
from benchmarks.lib.feature_runs import FeatureRun, pipeline_of, run_features
from benchmarks.lib.verdict import Target, report
from hwkd.core.core_file import Core
from hwkd.core.verification import Target as CheckTarget
from hwkd.deploy.toolchain import find_tools
from hwkd.deploy.verify import verify_model
from hwkd.engine.arms.export import raw_input
from hwkd.io.core_files import core_names, load_core
from hwkd.signals.pipeline import Pipeline

# Features, shape, rate and signals: more than 1,000 frames together.
_CASES: tuple[tuple[str, tuple[int, int], float, int], ...] = (
    ("log-mel", (1, 16000), 16000.0, 4),
    ("log-mel:pcen=yes,delta=yes,decimate=2", (1, 8000), 16000.0, 4),
    ("mfcc", (1, 8000), 16000.0, 6),
    ("log-mel:magnitude=yes,window=64ms,stride=32ms,shape=hamming", (1, 6000), 16000.0, 4),
    ("imu:low=0.5Hz,high=20Hz", (6, 200), 50.0, 12),
    ("imu:statistics=no,decimate=2", (3, 256), 100.0, 3),
)


def _differing(runs: tuple[FeatureRun, ...]) -> tuple[int, int, int]:
    values = sum(run.found.size for run in runs)
    return sum(run.differing for run in runs), values, sum(run.frames for run in runs)


def targets(cores: list[str]) -> list[Target]:
    """Return how many features differ, and what a second of log-mel takes."""
    cases = [pipeline_of(text, shape, rate, count=count) for text, shape, rate, count in _CASES]
    found = []
    tools = find_tools()
    for name in ("this computer", *cores):
        core = None if name == "this computer" else load_core(name)
        runs = run_features(cases, core, None if core is None else tools)
        differing, values, frames = _differing(runs)
        what = f"{name}, {frames:,} frames, {values:,} features, differing from NumPy's"
        found.append(Target(what, differing, 0, scale=1.0, unit=""))
        if core is not None:
            print(f"{name}: instructions of one signal, most, and bytes of code")
            for (text, shape, *_), run in zip(_CASES, runs, strict=True):
                most = int(run.instructions.max())
                print(f"  {text} of {shape}: {most:,}; {run.code_bytes:,} bytes", flush=True)
        if core is not None and name == "cortex-m4":
            found.append(_beside_a_network(cases[0], core))
    return found


def _beside_a_network(case: tuple[Pipeline, NDArray[np.int16]], core: Core) -> Target:
    """Return the instructions of features over those of the network behind them."""
    pipeline, signals = case
    bins, frames = pipeline.apply(signals[:1]).shape[1:]
    net = NetworkBuilder((bins, frames))
    net.reshape(1, bins, 1, frames)
    net.conv(32, (1, 3), relu="Relu")
    for channels in (48, 64):
        net.depthwise((1, 9))
        net.conv(channels, relu="Relu")
    net.classifier(12)
    with TemporaryDirectory(prefix="hwkd-features-") as folder:
        model = quantise(net, Path(folder), "keywords")
        memory = core.part
        target = CheckTarget(
            name=core.name, core=core, flash_bytes=memory.flash_bytes, ram_bytes=memory.ram_bytes
        )
        checked = verify_model(model, target, signals[:3], raw=raw_input(pipeline.record()))
    assert checked.features is not None
    of_network = checked.instructions_per_inference - checked.features.instructions
    print(
        f"{core.name}: {checked.features.instructions:,} instructions of log-mel, {of_network:,} "
        f"of the network; verify {'passed' if checked.passed else checked.faults}"
    )
    ratio = checked.features.instructions / of_network
    what = f"{core.name}, instructions of log-mel of 1 s over those of a small network"
    return Target(what, ratio, 1.0, scale=1.0, unit="")


if __name__ == "__main__":
    sys.exit(report(targets(sys.argv[1:] or list(core_names()))))
