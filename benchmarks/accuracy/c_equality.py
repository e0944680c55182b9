"""Is the exported C the network? 60 students of the search spaces and four MLPerf Tiny shapes.

    python -m benchmarks.accuracy.c_equality            # everything
    python -m benchmarks.accuracy.c_equality --quick    # 3 students and one shape, one core
    python -m benchmarks.accuracy.c_equality --cores cortex-m4,cortex-m55
    python -m benchmarks.accuracy.c_equality --rows FILE         # goes on where it was stopped
    python -m benchmarks.accuracy.c_equality --from 20 --students 10 --mlperf ''   # a part of it

For each network, with random weights and seeded noise as input:

1. the C with float rounding, compiled for this computer, against ONNX Runtime over 512 inputs;
2. the C with TensorFlow Lite's rounding against the interpreters of TFLM and LiteRT (extra
   `hwkd[tflite]`), which run the .tflite file that hwkd writes;
3. the C on emulated Cortex-M cores, in each core's own rounding, against the same C here:
   outputs and every intermediate tensor; flash, and RAM with stack, as predicted before
   compiling against the linked program's.

Exit code 1 if a value of 1 or 3 differs, or one of TFLM's, or if a prediction is more than 3% over
or 1% under. A network without a TFLite form is listed as refused. With --rows a network is computed
once for the same settings, and the verdict is over all that were asked for.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.lib.finished_rows import FinishedRows
from benchmarks.lib.verdict import Target as Goal
from benchmarks.lib.verdict import report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ExportError
from hwkd.core.verification import Target
from hwkd.deploy.tflite_check import compare_with_c, installed, seeded_steps
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.toolchain import find_host_compiler
from hwkd.deploy.verify import seeded_samples, verify_model
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host_once, run_host
from hwkd.io.core_files import core_names, load_core
from hwkd.io.discovery import discover
from hwkd.nn.build import StudentModule, build_module
from hwkd.qgraph.read_qdq import read_qdq

SPACES = ("depthwise", "narrow_deep", "linear_attention")
SHAPES = ((1, 28, 28), (3, 32, 32), (6, 128), (1, 49, 10), (1, 8, 8))
LOWEST_ERROR_RATIO, HIGHEST_ERROR_RATIO = -0.01, 0.03
MIB = 1024 * 1024


@dataclass(kw_only=True)
class Row:
    """What one network showed; `core_mismatches` has an entry for each core."""

    network: str
    macs: int = 0
    values: int = 0
    onnxruntime_mismatches: int = 0
    tflite_mismatches: dict[str, int] = field(default_factory=dict)
    tflite_max_lsb: dict[str, int] = field(default_factory=dict)
    tflite_refused: str = ""
    core_mismatches: dict[str, int] = field(default_factory=dict)
    flash_error_ratio: dict[str, float] = field(default_factory=dict)
    ram_error_ratio: dict[str, float] = field(default_factory=dict)
    core_values: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        """Return one line."""
        return (
            f"{self.network}: {self.onnxruntime_mismatches} of {self.values:,} differ from ONNX "
            f"Runtime, {sum(self.core_mismatches.values())} on {len(self.core_mismatches)} cores, "
            f"{self.tflite_refused or self.tflite_mismatches}; {self.seconds:.0f} s"
        )


def student_name(index: int) -> str:
    """Return the name of a student, which has its space in it."""
    return f"{SPACES[index % len(SPACES)]}-{index}"


def student(index: int, folder: Path) -> Path:
    """Write a student as an int8 file; spaces and input shapes take turns."""
    discover("hwkd.search_spaces")
    name, shape = SPACES[index % len(SPACES)], SHAPES[index // len(SPACES) % len(SHAPES)]
    space = SEARCH_SPACES.get(name)
    spec = space.suggest(RandomChooser(index), input_shape=shape, num_outputs=10)
    layers = space.layers(spec)
    label = student_name(index)
    path, int8 = folder / f"{label}.onnx", folder / f"{label}_int8.onnx"
    samples = np.random.default_rng(index).normal(size=(16, *shape)).astype(np.float32)
    export_onnx(settled(build_module(layers, seed=index), samples), layers, path)
    quantise_int8(path, int8, samples)
    return int8


def settled(module: StudentModule, samples: np.ndarray) -> StudentModule:
    """Return a module whose normalisation has seen data, so that activations fill their ranges."""
    for norm in module.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None  # the plain mean over all batches
    with torch.no_grad():
        module.train()(torch.from_numpy(samples))
    return module.eval()


def networks(arguments: argparse.Namespace) -> dict[str, Callable[[Path], Path]]:
    """Return, by name, what writes each int8 file into a folder."""
    first = arguments.first
    return {
        **{student_name(i): partial(student, i) for i in range(first, first + arguments.students)},
        **{name: partial(mlperf, name) for name in arguments.mlperf},
    }


def mlperf(name: str, folder: Path) -> Path:
    """Write a reference shape as an int8 file."""
    from benchmarks.lib.c_networks import MLPERF_TINY, quantise

    return quantise(MLPERF_TINY[name](), folder, name)


def check(name: str, model: Path, arguments: argparse.Namespace, folder: Path) -> Row:
    """Run one network every way."""
    started = time.perf_counter()
    project = build_project(model)
    samples = seeded_samples(model, arguments.inputs)
    build = folder / f"{name}_build"
    build.mkdir()
    program = build_host_once(project, build, find_host_compiler(), traces=False)
    ours = run_host(program, project, to_c_inputs(project, samples)).outputs
    row = Row(network=name, macs=project.arranged.graph.macs, values=ours.size)
    row.onnxruntime_mismatches = int((ours != reference_outputs(model, project, samples)).sum())
    _check_tflite(row, model, arguments.tflite_inputs)
    for core_name in arguments.cores:
        core = load_core(core_name)
        target = Target(name=core_name, core=core, flash_bytes=2 * MIB, ram_bytes=2 * MIB)
        found = verify_model(model, target, samples[: arguments.core_inputs])
        unequal_tensors = 0 if found.host_tensors_equal else 1
        row.core_mismatches[core_name] = found.mismatches.host_c + unequal_tensors
        flash, ram = found.flash_predicted_bytes or 0, found.ram_predicted_bytes or 0
        row.flash_error_ratio[core_name] = flash / found.flash_bytes - 1
        row.ram_error_ratio[core_name] = ram / (found.ram_bytes + found.stack_bytes) - 1
        row.core_values += found.inputs * found.outputs
    row.seconds = time.perf_counter() - started
    return row


def _check_tflite(row: Row, model: Path, count: int) -> None:
    try:
        data = write_tflite(read_qdq(model))
        project = build_project(model, rounding="tflite")
    except ExportError as error:
        row.tflite_refused = str(error)
        return
    for item in compare_with_c(data, project, seeded_steps(project, count)):
        row.tflite_mismatches[item.interpreter] = item.mismatches
        row.tflite_max_lsb[item.interpreter] = item.max_lsb


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--students", type=int, default=60)
    parser.add_argument("--from", dest="first", type=int, default=0, help="first student")
    parser.add_argument("--rows", type=Path, default=None, help="file of finished rows")
    parser.add_argument("--inputs", type=int, default=512, help="for ONNX Runtime")
    parser.add_argument("--tflite-inputs", type=int, default=512, help="for TFLM and LiteRT")
    parser.add_argument("--core-inputs", type=int, default=4, help="for each emulated core")
    parser.add_argument("--cores", default=",".join(core_names()), help="'' for none")
    parser.add_argument("--mlperf", default="resnet8,ds_cnn,mobilenet_v1_025,autoencoder")
    parser.add_argument("--quick", action="store_true", help="a few of everything")
    arguments = parser.parse_args()
    arguments.cores = tuple(name for name in arguments.cores.split(",") if name)
    arguments.mlperf = tuple(name for name in arguments.mlperf.split(",") if name)
    if arguments.quick:
        arguments.students, arguments.mlperf = 3, ("ds_cnn",)
        arguments.inputs = arguments.tflite_inputs = 16
        arguments.cores, arguments.core_inputs = arguments.cores[:1], 2
    return arguments


def table_of(rows: list[Row], cores: tuple[str, ...]) -> Table:
    """Return the counts as a table."""
    title = "Values that differ; flash and RAM predicted, over or under the linked program's"
    table = Table(title=title)
    for column in (
        "network",
        "MACs",
        "values",
        "ONNX Runtime",
        *installed(),
        *cores,
        "flash",
        "RAM",
    ):
        table.add_column(column, justify="left" if column == "network" else "right")
    for row in rows:
        interpreters = [
            "refused" if row.tflite_refused else f"{row.tflite_mismatches[name]}"
            for name in installed()
        ]
        table.add_row(
            row.network, f"{row.macs:,}", f"{row.values:,}", str(row.onnxruntime_mismatches),
            *interpreters, *(str(row.core_mismatches[name]) for name in cores),
            _span(row.flash_error_ratio), _span(row.ram_error_ratio),
        )  # fmt: skip
    return table


def _span(errors: Mapping[str, float]) -> str:
    values = errors.values()
    return f"{min(values):+.1%} to {max(values):+.1%}" if values else ""


def goals(rows: list[Row]) -> list[Goal]:
    """Return what must be reached over all networks."""
    values = sum(row.values for row in rows)
    found = [
        _count(
            f"of {values:,} values, other than ONNX Runtime",
            sum(row.onnxruntime_mismatches for row in rows),
        )
    ]
    tflm = [row for row in rows if "tflite-micro" in row.tflite_mismatches]
    if tflm:
        differing = sum(row.tflite_mismatches["tflite-micro"] for row in tflm)
        found.append(_count(f"values other than TFLM's, {len(tflm)} networks", differing))
    errors = [
        error
        for row in rows
        for error in (*row.flash_error_ratio.values(), *row.ram_error_ratio.values())
    ]
    if errors:
        cores = sum(row.core_values for row in rows)
        differing = sum(sum(row.core_mismatches.values()) for row in rows)
        found += [
            _count(
                f"of {cores:,} values on emulated cores, other than on this computer", differing
            ),
            Goal("flash or RAM predicted, over the ELF's by", max(errors), HIGHEST_ERROR_RATIO),
            Goal("flash or RAM predicted, under by", -min(errors), -LOWEST_ERROR_RATIO),
        ]
    return found


def _count(what: str, number: int) -> Goal:
    return Goal(what, number, 0, scale=1, unit="")


def main() -> int:
    """Check everything and print a verdict."""
    arguments = parse_arguments()
    logging.disable(logging.WARNING)
    wanted = networks(arguments)
    finished = FinishedRows(
        arguments.rows,
        {
            name: getattr(arguments, name)
            for name in ("inputs", "tflite_inputs", "core_inputs", "cores")
        },
    )
    rows = []
    for number, (name, write) in enumerate(wanted.items(), 1):
        stored = finished.find(name)
        if stored is None:
            with TemporaryDirectory() as folder:
                row = check(name, write(Path(folder)), arguments, Path(folder))
            finished.add(name, asdict(row))
        else:
            row = Row(**stored)
        rows.append(row)
        print(f"{number}/{len(wanted)} {row}", file=sys.stderr, flush=True)
    return present(rows, arguments)


def present(rows: list[Row], arguments: argparse.Namespace) -> int:
    """Print table and verdict; return the exit code."""
    verdict = goals(rows)
    Console(width=160).print(table_of(rows, arguments.cores))
    refused = [row.network for row in rows if row.tflite_refused]
    print(f"{len(rows)} networks; without a TFLite form: {', '.join(refused) or 'none'}")
    if "litert" in installed():
        differing = sum(row.tflite_mismatches.get("litert", 0) for row in rows)
        print(f"values other than LiteRT's reference kernels: {differing}")
    if not installed():
        print('TFLM and LiteRT did not run: pip install "hwkd[tflite]"')
    return report(verdict, {"networks": len(rows), "without a TFLite form": refused})


if __name__ == "__main__":
    sys.exit(main())
