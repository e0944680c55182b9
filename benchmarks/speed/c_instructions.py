"""Instructions per inference of the exported C against CMSIS-NN, on emulated cores.

    python -m benchmarks.speed.c_instructions [--cores cortex-m7,cortex-m4] [--rows FILE]

Both run the same int8 network, compiled by the same compiler for the same core in the same run.
CMSIS-NN computes convolutions and fully connected layers (its int8 subset of release 4.0.0 from the
package `bakenn`, which must be importable); the rest of the network is the same code in both.
Our C is compiled at -O2. CMSIS-NN is compiled at -O2 and -O3, with its single and its double
rounding, and the least count of the four is what the C in the core's default rounding is compared
with. The same rounding against the same is printed, too, with whether the outputs are equal.
Instruction counts repeat exactly; they are not times. Exit code 1 if a network takes more.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.lib.c_networks import MLPERF_TINY, quantise
from benchmarks.lib.finished_rows import FinishedRows
from benchmarks.lib.verdict import Target, report
from hwkd.core.core_file import Core
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.step_builder import Kernels
from hwkd.deploy.toolchain import Tools, find_tools
from hwkd.deploy.verify_run import Execution, build_firmware, run_firmware
from hwkd.io.core_files import load_core
from hwkd.qgraph.requantise import Rounding

MIB = 1024 * 1024
LARGEST_RATIO = 1.0
Run = tuple[Kernels, Rounding, str]
RUNS: tuple[Run, ...] = (
    ("hwkd", "float", "-O2"),
    ("hwkd", "q31", "-O2"),
    ("hwkd", "tflite", "-O2"),
    ("cmsis-nn", "q31", "-O2"),
    ("cmsis-nn", "q31", "-O3"),
    ("cmsis-nn", "tflite", "-O2"),
    ("cmsis-nn", "tflite", "-O3"),
)


def execute(model: Path, run: Run, core: Core, tools: Tools) -> tuple[Execution, int]:
    """Return what one build does with two inputs, and its flash in bytes."""
    kernels, rounding, optimise = run
    project = build_project(
        model,
        rounding=rounding,
        kernels=kernels,
        instruction_sets=(core.instruction_set, "helium"),
    )
    inputs = np.random.default_rng(0).integers(-128, 128, (2, project.input.elements))
    with TemporaryDirectory() as folder:
        programs = build_firmware(
            project,
            Path(folder),
            core,
            tools,
            flash_bytes=MIB,
            ram_bytes=MIB,
            optimise=optimise,
        )
        done = run_firmware(programs.plain, project, inputs.astype(np.int8), core, tools)
    assert programs.plain.sizes is not None
    return done, programs.plain.sizes.flash_bytes


def compare(model: Path, core: Core, tools: Tools) -> dict[str, Any]:
    """Return counts, flash and agreement of every build of one network on one core."""
    results = {run: execute(model, run, core, tools) for run in RUNS}
    counts = {
        " ".join(run): core.instructions(int(done.ticks.max()))
        for run, (done, _) in results.items()
    }
    best = {
        rounding: min(counts[f"cmsis-nn {rounding} {level}"] for level in ("-O2", "-O3"))
        for rounding in ("q31", "tflite")
    }
    outputs: dict[tuple[str, ...], Any] = {run: done.outputs for run, (done, _) in results.items()}
    return {
        "instructions": counts,
        "flash_bytes": {" ".join(run): flash for run, (_, flash) in results.items()},
        "ratio_default": counts[f"hwkd {core.rounding} -O2"] / min(best.values()),
        "ratio_same_rounding": {
            rounding: counts[f"hwkd {rounding} -O2"] / best[rounding] for rounding in best
        },
        "outputs_equal_to_cmsis_nn": {
            rounding: bool(
                np.array_equal(
                    outputs["hwkd", rounding, "-O2"], outputs["cmsis-nn", rounding, "-O2"]
                )
            )
            for rounding in best
        },
    }


def main() -> int:
    """Count every network on every core and print a verdict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cores", default="cortex-m7,cortex-m4")
    parser.add_argument("--networks", default=",".join(MLPERF_TINY))
    parser.add_argument("--rows", type=Path, default=None, help="file of finished rows")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    tools = find_tools()
    finished = FinishedRows(arguments.rows, {"tools": dict(tools.versions)})
    rows: dict[str, dict[str, Any]] = {}
    for network in arguments.networks.split(","):
        for core in arguments.cores.split(","):
            name = f"{network} on {core}"
            row = finished.find(name)
            if row is None:
                row = count(network, load_core(core), tools)
                finished.add(name, row)
            rows[name] = row
            print(f"{name}: {row['ratio_default']:.3f} x CMSIS-NN", file=sys.stderr, flush=True)
    targets = [
        Target(f"{name}, x CMSIS-NN", row["ratio_default"], LARGEST_RATIO, scale=1, unit="")
        for name, row in rows.items()
    ]
    for name, row in rows.items():
        print(name)
        for key, value in row.items():
            print(f"    {key}: {value}")
    return report(targets, dict(rows))


def count(network: str, core: Core, tools: Tools) -> dict[str, Any]:
    """Compare one network on one core."""
    with TemporaryDirectory() as folder:
        # CMSIS-NN's fully connected kernel takes one scale for all outputs.
        model = quantise(
            MLPERF_TINY[network](), Path(folder), network, per_channel=network != "autoencoder"
        )
        return compare(model, core, tools)


if __name__ == "__main__":
    sys.exit(main())
