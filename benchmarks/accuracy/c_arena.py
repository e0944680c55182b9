"""Arena of exported C with outputs over dying inputs against every tensor in a place of its own.

    python -m benchmarks.accuracy.c_arena

The four MLPerf Tiny shapes and 20 students of the search spaces, as in
`benchmarks.accuracy.c_equality`, which also holds that the values stay those of ONNX Runtime. The
kernels are the same either way, and so are the instructions.
"""

from __future__ import annotations

import logging
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.accuracy.c_equality import mlperf, student
from benchmarks.lib.verdict import Target, report
from hwkd.deploy.to_c.layout import arrange
from hwkd.deploy.to_c.memory import plan_memory
from hwkd.deploy.to_c.step_builder import INSTRUCTION_SETS
from hwkd.deploy.to_c.steps import build_steps
from hwkd.qgraph.read_qdq import read_qdq

MLPERF = ("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder")
STUDENTS = 20


def arenas(path: Path) -> tuple[int, int]:
    """Return bytes with tensors apart and with outputs over inputs, working memory included."""
    arranged = arrange(read_qdq(path))
    steps = build_steps(arranged, "float")
    apart = [replace(step, lag_bytes=None) for step in steps]
    before, after = (
        plan_memory(arranged, some, INSTRUCTION_SETS).arena_bytes for some in (apart, steps)
    )
    return before, after


def _files(folder: Path) -> Iterator[Path]:
    for name in MLPERF:
        yield mlperf(name, folder)
    for index in range(STUDENTS):
        yield student(index, folder)


def targets() -> tuple[list[Target], dict[str, str]]:
    """Return the median ratio; prints and returns each network."""
    ratios, table = [], {}
    with TemporaryDirectory() as folder:
        for path in _files(Path(folder)):
            before, after = arenas(path)
            ratios.append(after / before)
            name = path.stem.removesuffix("_int8")
            table[name] = f"{before:,} to {after:,} bytes, {ratios[-1]:.2f}"
            print(f"{name:24} {table[name]}")
    what = f"arena over that of tensors apart, median of {len(ratios)} networks"
    most = "the same, largest"
    return [
        Target(what, statistics.median(ratios), 0.75, scale=1.0, unit=""),
        Target(most, max(ratios), 1.0, scale=1.0, unit=""),
    ], table


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    found, rows = targets()
    sys.exit(report(found, rows))
