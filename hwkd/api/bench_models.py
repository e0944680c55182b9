"""Writes the models of a designed experiment, ready to be timed on a board."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import median

import numpy as np

from hwkd.api.bench_kit import BenchKit
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.core.progress import Progress, silent
from hwkd.core.student import Layers
from hwkd.cost.fit.experiment import design_experiment
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.io.paths import folder_written_once
from hwkd.nn.build import build_module

_CALIBRATION_SAMPLES = 16


def write_bench_kit(
    device: Device, out: Path, count: int, *, progress: Progress = silent
) -> BenchKit:
    """Write `count` one-operator models, float and int8, with a CSV to fill in.

    Args:
        device: board that will be measured; named in the instructions.
        out: folder that must not exist yet.

    Raises:
        ConfigError: if the folder exists.
    """
    if out.exists():
        raise ConfigError(f"--out {out}: exists already; give the name of a new folder")
    progress("choose models", 0, 1)
    experiment = design_experiment(count)
    with folder_written_once(out) as draft:
        for kind in ("float", "int8"):
            (draft / kind).mkdir()
        for done, network in enumerate(experiment.networks):
            progress("write models", done, count)
            name, shape = network.layers[0].name, network.input_shape
            floating, int8 = (draft / kind / f"{name}.onnx" for kind in ("float", "int8"))
            export_onnx(build_module(network, seed=1).eval(), network, floating)
            samples = np.random.default_rng(0).standard_normal((_CALIBRATION_SAMPLES, *shape))
            quantise_int8(floating, int8, samples.astype(np.float32))
        (draft / "measurements.csv").write_text(_template(experiment.networks), encoding="utf-8")
        (draft / "README.md").write_text(_instructions(device, count), encoding="utf-8")
    left = median(experiment.uncertainty.values())
    return BenchKit(
        models=count,
        folder=out,
        factor_before=float(np.exp(experiment.prior_uncertainty)),
        factor_after=float(np.exp(left)),
    )


def _template(networks: tuple[Layers, ...]) -> str:
    text = io.StringIO()
    text.write(
        "# Fill in the median of repeated inferences. For cycles, rename the column: cycles\n"
    )
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "latency_ms"])
    writer.writerows([f"int8/{network.layers[0].name}.onnx", ""] for network in networks)
    return text.getvalue()


def _instructions(device: Device, count: int) -> str:
    return f"""# Bench kit for {device.name} ({device.board})

{count} models of one operator each. Together they hold every kind of work that hwkd's latency model
prices, in different proportions: channels that are no multiple of four, few and many pixels,
padding, stride, small and large weights.

1. Convert each file of `int8/` for your runtime and time at least ten inferences on the board, at
   the clock that the device file states. Time one inference of the whole model, nothing else.
2. Write the median into `measurements.csv`. A model that does not run: delete its line.
3. `hwkd devices calibrate --device your-board.toml --measurements measurements.csv`
"""
