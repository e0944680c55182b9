"""Candidates that one core screens in a second: sample, describe, graph, cost; target 1000.

Run: python benchmarks/speed/screening.py [--device cortex-m7] [--candidates 2000] [--json]
Processor time is counted, so a busy machine changes the result less than a wall clock would.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.device import Device
from hwkd.core.student import SearchSpace
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.graph import build_graph
from hwkd.io.device_catalog import load_device
from hwkd.io.discovery import discover

INPUT_SHAPES = [(1, 8, 8), (1, 28, 28), (3, 96, 96), (6, 128)]
TARGET_PER_S = 1000
STEPS = ("sample", "layers", "graph", "cost")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cortex-m7")
    parser.add_argument("--candidates", type=int, default=2000, help="for each space and shape")
    arguments = parser.parse_args()
    discover("hwkd.search_spaces")
    device = load_device(arguments.device)
    rows: list[dict[str, Any]] = []
    for name in SEARCH_SPACES.names():
        for shape in INPUT_SHAPES:
            seconds = screen(SEARCH_SPACES.get(name), shape, device, arguments.candidates)
            rows.append({"space": name, "input_shape": shape, **seconds})
    total_s = sum(row[step] for row in rows for step in STEPS) / len(rows)
    print_table(rows)
    what = f"candidates screened on one core for {device.name}"
    return report(
        [Target(what, 1 / total_s, TARGET_PER_S, at_least=True, scale=1, unit=" per s")],
        {"seconds of each step": rows},
    )


def print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"{'space':18}{'input':14}" + "".join(f"{step + ' us':>11}" for step in STEPS) + "      /s"
    )
    for row in rows:
        steps = "".join(f"{1e6 * row[step]:11.0f}" for step in STEPS)
        rate = 1 / sum(row[step] for step in STEPS)
        print(f"{row['space']:18}{row['input_shape']!s:14}{steps}{rate:8.0f}")


def screen(
    space: SearchSpace, shape: tuple[int, ...], device: Device, candidates: int
) -> dict[str, float]:
    """Return the mean seconds of each step."""
    chooser = RandomChooser(0)
    sums = dict.fromkeys(STEPS, 0.0)
    for _ in range(candidates):
        times = [time.process_time()]
        spec = space.suggest(chooser, input_shape=shape, num_outputs=10)
        times.append(time.process_time())
        layers = space.layers(spec)
        times.append(time.process_time())
        graph = build_graph(layers)
        times.append(time.process_time())
        estimate_cost(graph, device)
        times.append(time.process_time())
        for step, start, end in zip(STEPS, times, times[1:], strict=False):
            sums[step] += end - start
    return {step: total / candidates for step, total in sums.items()}


if __name__ == "__main__":
    sys.exit(main())
