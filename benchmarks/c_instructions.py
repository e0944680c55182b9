"""Instructions per inference of the exported C against CMSIS-NN, on emulated cores.

    python benchmarks/c_instructions.py [--cores cortex-m7,cortex-m4] [--json]

Both run the same int8 network, compiled by the same compiler for the same core in the same run.
CMSIS-NN computes convolutions and fully connected layers (its int8 subset of release 4.0.0 from the
package `bakenn`, which must be importable); the rest of the network is the same code in both.
CMSIS-NN is compiled at -O2 and -O3 and the better one counts. Instruction counts repeat exactly;
they are not times.
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from c_networks import MLPERF_TINY, quantise

from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.requantise import Rounding
from hwkd.deploy.to_c.steps import Kernels
from hwkd.deploy.toolchain import CORES, Core, Tools, find_tools
from hwkd.deploy.verify_run import Execution, build_firmware, run_firmware

MIB = 1024 * 1024
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


def compare(model: Path, core: Core, tools: Tools) -> dict[str, object]:
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
    outputs = {run: done.outputs for run, (done, _) in results.items()}
    return {
        "instructions": counts,
        "flash_bytes": {" ".join(run): flash for run, (_, flash) in results.items()},
        "ratio_default": counts["hwkd float -O2"] / min(best.values()),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", default="cortex-m7,cortex-m4")
    parser.add_argument("--networks", default=",".join(MLPERF_TINY))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    tools = find_tools()
    report: dict[str, dict[str, object]] = {}
    with TemporaryDirectory() as folder:
        for name in arguments.networks.split(","):
            # CMSIS-NN's fully connected kernel takes one scale for all outputs.
            model = quantise(
                MLPERF_TINY[name](), Path(folder), name, per_channel=name != "autoencoder"
            )
            for core in arguments.cores.split(","):
                report[f"{name} {core}"] = found = compare(model, CORES[core], tools)
                if not arguments.json:
                    print(f"{name} on {core}: {found['ratio_default']:.2f} x CMSIS-NN")
                    for key, value in found.items():
                        print(f"    {key}: {value}")
    if arguments.json:
        print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
