"""How long from an int8 file to answers of an emulated core?

    python -m benchmarks.speed.c_turnaround [--core cortex-m7] [--repeats 3]

For each search space, of 40 random students on 28 x 28 images the one whose weights are nearest to
50 kB. `hwkd verify MODEL --device CORE --inputs 16` is timed as a user would: start of Python, C
written, compiled for this computer and for the core, 16 inputs run on both and in ONNX Runtime, and
every intermediate tensor compared. The median of the repeats must stay under 5 seconds; run it on
an idle machine. The processor time of all programs together is printed beside it.
"""

from __future__ import annotations

import argparse
import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.io.core_files import core_names
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module

SPACES = ("depthwise", "narrow_deep", "linear_attention")
INPUT_SHAPE = (1, 28, 28)
STUDENTS = 40
WANTED_BYTES, INPUTS, LONGEST_S = 50_000, 16, 5.0


def student(space_name: str, folder: Path) -> Path:
    """Write the student whose weights are nearest to 50 kB; return the int8 file."""
    space = SEARCH_SPACES.get(space_name)
    samples = np.random.default_rng(0).normal(size=(16, *INPUT_SHAPE)).astype(np.float32)
    nearest = folder / f"{space_name}.onnx"
    for number in range(STUDENTS):
        spec = space.suggest(RandomChooser(number), input_shape=INPUT_SHAPE, num_outputs=10)
        layers = space.layers(spec)
        floating, candidate = folder / "float.onnx", folder / "candidate.onnx"
        export_onnx(build_module(layers, seed=number).eval(), layers, floating)
        quantise_int8(floating, candidate, samples)
        if not nearest.exists() or _distance(candidate) < _distance(nearest):
            candidate.replace(nearest)
    return nearest


def _distance(path: Path) -> int:
    return abs(weight_bytes(path) - WANTED_BYTES)


def weight_bytes(path: Path) -> int:
    """Return bytes of all constants of an ONNX file."""
    return sum(numpy_helper.to_array(item).nbytes for item in onnx.load(path).graph.initializer)


def time_command(model: Path, core: str) -> tuple[float, float]:
    """Return seconds and processor seconds of one check."""
    command = [sys.executable, "-m", "hwkd", "verify", str(model), "--device", core]
    before, started = _processor_s(), time.perf_counter()
    subprocess.run([*command, "--inputs", str(INPUTS), "--json"], capture_output=True, check=True)
    return time.perf_counter() - started, _processor_s() - before


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Time one student of each space and print a verdict."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--core", choices=core_names(), default="cortex-m7")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    discover("hwkd.search_spaces")
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        for space in SPACES:
            model = student(space, Path(folder))
            runs = [time_command(model, arguments.core) for _ in range(arguments.repeats)]
            rows.append({
                "space": space,
                "weight_bytes": weight_bytes(model),
                "file_bytes": model.stat().st_size,
                "command_s": [round(seconds, 2) for seconds, _ in runs],
                "processor_s": [round(seconds, 2) for _, seconds in runs],
            })  # fmt: skip
            print(rows[-1], file=sys.stderr, flush=True)
    targets = [
        Target(
            f"{row['space']}, {row['weight_bytes']:,} bytes of weights, on {arguments.core}",
            median(row["command_s"]), LONGEST_S, scale=1, unit=" s",
        )
        for row in rows
    ]  # fmt: skip
    return report(targets, {"runs": rows})


if __name__ == "__main__":
    sys.exit(main())
