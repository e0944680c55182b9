"""Arena and instructions of exported C in place and in patches, against tensors apart.

    python -m benchmarks.accuracy.c_arena
    python -m benchmarks.accuracy.c_arena --plan-only   # arenas alone, without an emulator

The four MLPerf Tiny shapes and 20 students of the search spaces, as in
`benchmarks.accuracy.c_equality`, which also holds that the values stay those of ONNX Runtime.
`c_before.csv` has what the same networks took when every tensor had a place of its own and
depthwise convolutions read the whole image: the arena, and instructions on an emulated Cortex-M4.
Needs QEMU and the cross compiler.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.accuracy.c_equality import mlperf, student
from benchmarks.lib.instruction_mix import mix_of_steps
from benchmarks.lib.published import read_csv
from benchmarks.lib.verdict import Target, report
from hwkd.core.errors import ExportError
from hwkd.core.patches import Patches
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.toolchain import Tools, find_tools
from hwkd.io.core_files import load_core

MLPERF = ("resnet8", "ds_cnn", "mobilenet_v1_025", "autoencoder")
STUDENTS = 20
_PATCHES = Patches(rows=2, columns=2)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one form of a network takes; instructions are None where nothing was emulated."""

    arena_bytes: int
    macs: int
    instructions: int | None


def taken(path: Path, tools: Tools | None, patches: Patches | None = None) -> Taken:
    """Plan the C of a file and, with tools, run it once in the emulator.

    Raises:
        ExportError: if the patches do not divide it.
    """
    project = build_project(path, patches=patches)
    instructions = None
    if tools is not None:
        steps = mix_of_steps(path, load_core("cortex-m4"), tools, patches=patches)
        instructions = sum(step.instructions for step in steps)
    return Taken(
        arena_bytes=project.memory.arena_bytes,
        macs=project.arranged.graph.macs,
        instructions=instructions,
    )


def _files(folder: Path) -> Iterator[Path]:
    for name in MLPERF:
        yield mlperf(name, folder)
    for index in range(STUDENTS):
        yield student(index, folder)


def _in_patches(path: Path, tools: Tools | None, whole: Taken) -> tuple[str, float | None]:
    """Return what patches change, for people, and the ratio of the arena where they divide."""
    try:
        found = taken(path, tools, _PATCHES)
    except ExportError:
        return f"{_PATCHES} does not divide it", None
    arena = found.arena_bytes / whole.arena_bytes
    price = f"{found.macs / max(whole.macs, 1):.2f} times the multiply-accumulates"
    if found.instructions is not None and whole.instructions is not None:
        price += f", {found.instructions / whole.instructions:.2f} times the instructions"
    return f"{_PATCHES}: {found.arena_bytes:,} bytes, {arena:.2f}, {price}", arena


def targets(tools: Tools | None) -> tuple[list[Target], dict[str, str]]:
    """Return the median ratios; prints and returns each network."""
    before = {row["network"]: row for row in read_csv("c_before.csv")}
    arenas, instructions, table, patched = [], [], {}, []
    with TemporaryDirectory() as folder:
        for path in _files(Path(folder)):
            name = path.stem.removesuffix("_int8")
            now, was = taken(path, tools), before[name]
            arenas.append(now.arena_bytes / int(was["arena_bytes"]))
            if now.instructions is not None:
                instructions.append(now.instructions / int(was["instructions"]))
            price, ratio = _in_patches(path, tools, now)
            patched += [] if ratio is None else [ratio]
            table[name] = (
                f"{int(was['arena_bytes']):,} to {now.arena_bytes:,} bytes, {arenas[-1]:.2f}; "
                + "".join(f"{ratio:.3f} times the instructions; " for ratio in instructions[-1:])
                + price
            )
            print(f"{name:24} {table[name]}", flush=True)
    count = len(arenas)
    table["2x2, arena over that in place"] = (
        f"{statistics.median(patched):.2f} in the median of {len(patched)} that it divides"
    )
    of_arena = f"arena over that of tensors apart, median of {count} networks"
    of_instructions = f"instructions over those of tensors apart, most of {count} networks"
    found = [
        Target(of_arena, statistics.median(arenas), 0.75, scale=1.0, unit=""),
        Target("the same, largest", max(arenas), 1.0, scale=1.0, unit=""),
    ]
    if instructions:
        found.append(Target(of_instructions, max(instructions), 1.05, scale=1.0, unit=""))
    return found, table


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan-only", action="store_true", help="arenas, without an emulator")
    is_plan = parser.parse_args().plan_only
    reached, rows = targets(None if is_plan else find_tools())
    sys.exit(report(reached, rows))
