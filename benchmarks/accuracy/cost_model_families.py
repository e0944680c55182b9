"""Networks of all versions and cores of ST's runtimes, one model family left out everywhere.

The family's MLPerf Tiny relative is left out too (ResNet-8, MobileNet v1).

usage: python -m benchmarks.accuracy.cost_model_families
"""

from __future__ import annotations

import sys

from benchmarks.lib.held_out import held_out_families
from benchmarks.lib.stacks import stack_named
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.validate import summarise


def targets() -> list[Target]:
    """Return the errors of the model zoo's and MLPerf Tiny's rows."""
    held = held_out_families(stack_named("cortex-m7.x-cube-ai-8"))
    for row, ratio in zip(held.rows, held.predicted / held.cycles, strict=True):
        print(f"  {ratio - 1:+7.1%}  {row.name}")
    errors = summarise(held.predicted, held.cycles)
    h747 = held.take("STM32H747" in row.name for row in held.rows)
    zoo = summarise(h747.predicted, h747.cycles)
    what = f"ST's runtimes, {errors.rows} networks of families left out"
    return [
        Target(f"{what}, mean error", errors.mean_ratio, 0.08),
        Target(f"{what}, worst", errors.worst_ratio, 0.30),
        Target(f"STM32H747, {zoo.rows} of them, mean error", zoo.mean_ratio, 0.07),
        Target(f"STM32H747, {zoo.rows} of them, worst", zoo.worst_ratio, 0.20),
    ]


if __name__ == "__main__":
    sys.exit(report(targets()))
