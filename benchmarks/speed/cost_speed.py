"""Processor time of one estimate of a 30-layer network, plain Python, one core.

usage: python -m benchmarks.speed.cost_speed
"""

from __future__ import annotations

import sys
import time
import timeit
from functools import partial

from benchmarks.lib.published import graph_of
from benchmarks.lib.verdict import Target, report
from hwkd.cost.estimate import estimate_cost
from hwkd.io.device_catalog import load_device

_CALLS, _REPEATS = 50, 30


def targets() -> list[Target]:
    """Return the fastest repeat on MobileNet v1 x0.25 (vww01: 31 operators)."""
    graph, device = graph_of("vww01"), load_device("cortex-m7")
    found = []
    for runtime in ("x-cube-ai-7", "tflm-cmsis-nn"):
        seconds = min(
            timeit.repeat(
                partial(estimate_cost, graph, device, runtime=runtime),
                timer=time.process_time,
                number=_CALLS,
                repeat=_REPEATS,
            )
        )
        what = f"estimate of {len(graph.ops)} operators, {runtime}"
        found.append(Target(what, seconds / _CALLS, 0.5e-3, scale=1e6, unit=" us"))
    return found


if __name__ == "__main__":
    sys.exit(report(targets()))
