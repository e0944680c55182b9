"""Closed forms of `hwkd-c` against counted instructions, layer kind by layer kind.

    python -m benchmarks.accuracy.hwkd_c_layers [--only CORE]

Networks that hold every layer kind and random students of all search spaces are exported, run in
the emulator and counted; none of them is among those that the closed forms are fitted to
(`benchmarks/lib/c_counted.py`). Prices are the core's on both sides, so what is left is the closed
form. `--only` takes one core and keeps no result. Needs QEMU and the cross compiler.
"""

from __future__ import annotations

import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.lib.c_layers import NETWORKS, LayerCycles, layer_cycles
from benchmarks.lib.verdict import Target, report
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.student import Layers
from hwkd.deploy.toolchain import find_tools
from hwkd.io.discovery import discover

# Cortex-M7 runs the instructions of Cortex-M4.
CORES = ("cortex-m4", "cortex-m33", "cortex-m0plus", "cortex-m55")
_SHAPE, _OUTPUTS, _SEED = (2, 16, 24), 5, 1
_WORST_KIND, _MEAN_KIND, _WORST_NETWORK = 0.1, 0.03, 0.1


def networks() -> Iterator[tuple[str, Layers]]:
    """Yield the networks of all kinds, then a student of each space."""
    for name, build in NETWORKS.items():
        yield name, build()
    discover("hwkd.search_spaces")
    for name in SEARCH_SPACES.names():
        space = SEARCH_SPACES.get(name)
        chooser = RandomChooser(_SEED)
        spec = space.suggest(chooser, input_shape=_SHAPE, num_outputs=_OUTPUTS)
        yield name, space.layers(spec)


def by(key: str, rows: Iterable[LayerCycles]) -> dict[str, float]:
    """Return predicted over counted cycles by "kind" or "network"."""
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        of = sums[getattr(row, key)]
        of[0] += row.predicted
        of[1] += row.counted
    return {name: predicted / max(counted, 1.0) for name, (predicted, counted) in sums.items()}


def targets(core: str, rows: list[LayerCycles]) -> list[Target]:
    """Return what was reached on a core."""
    kinds = {kind: abs(ratio - 1) for kind, ratio in by("kind", rows).items()}
    nets = {name: abs(ratio - 1) for name, ratio in by("network", rows).items()}
    worst, farthest = max(kinds, key=lambda kind: kinds[kind]), max(nets, key=lambda n: nets[n])
    return [
        Target(f"{core}, {len(kinds)} kinds of layer, mean error", sum(kinds.values()) / len(kinds),
               _MEAN_KIND),
        Target(f"{core}, worst kind of layer ({worst})", kinds[worst], _WORST_KIND),
        Target(f"{core}, {len(nets)} networks, worst ({farthest})", nets[farthest],
               _WORST_NETWORK),
    ]  # fmt: skip


def main(arguments: list[str]) -> int:
    """Count and compare."""
    logging.disable(logging.WARNING)
    tools = find_tools()
    reached: list[Target] = []
    ratios: dict[str, dict[str, float]] = defaultdict(dict)
    for core in [name for name in arguments if not name.startswith("--")] or CORES:
        rows: list[LayerCycles] = []
        for name, layers in networks():
            with TemporaryDirectory() as folder:
                rows += layer_cycles(name, layers, core, tools, Path(folder))
        reached += targets(core, rows)
        for kind, ratio in by("kind", rows).items():
            ratios[kind][core] = round(ratio, 3)
            print(f"{core:14} {kind:20} {ratio:.3f}")
    table = [{"kind": kind, **row} for kind, row in sorted(ratios.items())]
    return report(reached, {"predicted over counted": table})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
