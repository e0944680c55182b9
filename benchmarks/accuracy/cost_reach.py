"""How much of a search space the upper ends of the intervals leave within reach of a latency limit.

A search asks that the upper end of the interval is within the limit. Where operators were never
timed that end is far away, and a search would be left without the networks that hold them. The
limit here is the median of the expected latencies of random candidates of all spaces: half of them
are within it by their expected latency, and this says how many by the upper end. Spaces that are
added move it: those that were there when it was first measured are counted by themselves, too.

usage: python -m benchmarks.accuracy.cost_reach [--quick]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.lib.held_out import predict
from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.graph import OpGraph
from hwkd.cost.fuse import fuse
from hwkd.cost.graph import build_graph
from hwkd.io.device_catalog import device_names, load_device
from hwkd.io.discovery import discover

_SHAPE, _CANDIDATES = (3, 64, 64), 200
_FIRST_SPACES = (
    "autoencoder", "broadcast", "conv_autoencoder", "depthwise", "linear_attention", "narrow_deep",
    "plain", "shuffle", "temporal", "text",
)  # fmt: skip


def candidates(space: str, count: int, shape: tuple[int, ...] = _SHAPE) -> list[OpGraph]:
    """Return random candidates of a space."""
    chooser, drawn = RandomChooser(0), SEARCH_SPACES.get(space)
    specs = (drawn.suggest(chooser, input_shape=shape, num_outputs=10) for _ in range(count))
    return [build_graph(drawn.layers(spec)) for spec in specs]


def within_reach(graphs: Sequence[OpGraph], device: str, runtime: str) -> list[bool]:
    """Return which candidates' upper ends are within the median of all expected latencies."""
    stack = load_device(device).runtime(runtime)
    model = stack.latency["int8"]
    found = [predict(model, fuse(graph, stack.fusion).graph) for graph in graphs]
    limit_s = np.median([latency.value_s for latency in found])
    return [bool(latency.high_s <= limit_s) for latency in found]


def stacks() -> Iterator[tuple[str, str]]:
    """Return the device and runtime of every int8 latency fit, boards of one fit once.

    A board's clock and scale change expected latencies and upper ends alike.
    """
    seen = set()
    for name in device_names():
        device = load_device(name)
        for runtime, stack in device.runtimes.items():
            if device.costed_by != "estimated" or "int8" not in stack.latency:
                continue
            fit = (runtime, stack.fusion.model_dump_json(), stack.latency["int8"].model_dump_json())
            if fit not in seen:
                seen.add(fit)
                yield name, runtime


def targets(count: int = _CANDIDATES) -> tuple[list[Target], dict[str, Any]]:
    """Return the least share within reach, and that of every device and runtime."""
    discover("hwkd.search_spaces")
    spaces = [space for space in SEARCH_SPACES.names() for _ in range(count)]
    drawn = [graph for name in SEARCH_SPACES.names() for graph in candidates(name, count)]
    rows: list[dict[str, Any]] = []
    shares: list[float] = []
    for device, runtime in stacks():
        fits = within_reach(drawn, device, runtime)
        shares.append(float(np.mean(fits)))
        of_space = {
            space: f"{np.mean(np.array(fits)[np.equal(spaces, space)]):.0%}"
            for space in SEARCH_SPACES.names()
        }
        rows.append({"device": device, "runtime": runtime, "all": f"{shares[-1]:.0%}", **of_space})
    first = [graph for graph, space in zip(drawn, spaces, strict=True) if space in _FIRST_SPACES]
    found, of_first = [], {}
    for what, is_cortex_m in (("Cortex-M", True), ("other cores", False)):
        places = [i for i, row in enumerate(rows) if _is_cortex_m(row["device"]) is is_cortex_m]
        least = min(places, key=lambda i: shares[i])
        where = f"{rows[least]['device']}, {rows[least]['runtime']}"
        name = f"candidates within reach by the upper end, {what}, least of {len(places)} fits"
        found.append(Target(f"{name} ({where})", shares[least], 0.2, at_least=True))
        fits = within_reach(first, rows[least]["device"], rows[least]["runtime"])
        of_first[f"{where}, of the {len(_FIRST_SPACES)} spaces of the first count"] = (
            f"{np.mean(fits):.1%}"
        )
    return found, {**of_first, "within reach": rows}


def _is_cortex_m(device: str) -> bool:
    return load_device(device).core.startswith("Cortex-M")


if __name__ == "__main__":
    sys.exit(report(*targets(40 if "--quick" in sys.argv else _CANDIDATES)))
