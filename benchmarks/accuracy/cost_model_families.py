"""Whole models on STM32H747 with X-CUBE-AI 8.1, one model family left out everywhere.

The family's MLPerf Tiny relative is left out too (ResNet-8, MobileNet v1).

usage: python -m benchmarks.accuracy.cost_model_families
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.lib.held_out import held_out_families
from benchmarks.lib.stacks import stack_named
from benchmarks.lib.verdict import Target, report
from hwkd.cost.fit.validate import summarise


def targets() -> list[Target]:
    """Return the errors of the model zoo's rows."""
    held = held_out_families(stack_named("cortex-m7.x-cube-ai-8"))
    zoo = np.array(["STM32H747" in name for name in held.design.names])
    errors = summarise(held.predicted[zoo], held.design.cycles[zoo])
    for name, ratio in zip(held.design.names, held.predicted / held.design.cycles, strict=True):
        print(f"  {ratio - 1:+7.1%}  {name}")
    what = f"STM32H747, X-CUBE-AI 8.1, {errors.rows} models of families left out"
    return [
        Target(f"{what}, mean error", errors.mean_ratio, 0.09),
        Target(f"{what}, worst", errors.worst_ratio, 0.25),
    ]


if __name__ == "__main__":
    sys.exit(report(targets()))
