"""Cycles from instruction classes against published silicon cycles of CMSIS-NN's operators.

    python -m benchmarks.accuracy.hwkd_c_cycles

The instructions of each timed operator are counted (`python -m tools.c_instructions`); the prices
of the classes come from operators with other windows, and the band is that of `hwkd-c` on the core,
closed forms left out, as the instructions are counted here. On Cortex-M7 nobody published single
operators of CMSIS-NN: its rows are networks of one software on Cortex-M4 and M7, each pair of which
is predicted from the others.
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.lib.c_cycles import held_out_ratios, m7_over_m4
from benchmarks.lib.c_fit import pricing
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.design import Array

_TAIL = 1.645
_COVERED, _WIDEST = 0.9, 1.5


def _held_out_pairs() -> Array:
    """Return each pair's Cortex-M7 over Cortex-M4 over the mean of the others."""
    logs = np.log(m7_over_m4())
    others = (logs.sum() - logs) / (len(logs) - 1)
    ratios: Array = np.exp(logs - others)
    return ratios


def targets() -> list[Target]:
    """Return coverage and width on the cores with silicon."""
    rows = {
        "cortex-m4": ("operators of CMSIS-NN on NUCLEO-F446RE", held_out_ratios("cortex-m4")),
        "cortex-m33": ("operators of CMSIS-NN on NUCLEO-L552ZE-Q", held_out_ratios("cortex-m33")),
        "cortex-m7": ("networks of one software on Cortex-M4 and M7", _held_out_pairs()),
    }
    found = []
    for core, (words, ratios) in rows.items():
        reach = _TAIL * pricing(core).deviation
        inside = float(np.mean(np.abs(np.log(ratios)) <= reach))
        what = f"{core}, {len(ratios)} {words}, left out"
        found += [
            Target(f"{what}, inside the band", inside, _COVERED, at_least=True),
            Target(f"{what}, mean error", float(np.mean(np.abs(np.log(ratios)))), 0.1),
            Target(f"{core}, upper end of the band over the lower", float(np.exp(2 * reach)),
                   _WIDEST, scale=1.0, unit=""),
        ]  # fmt: skip
    return found


if __name__ == "__main__":
    sys.exit(report(targets()))
