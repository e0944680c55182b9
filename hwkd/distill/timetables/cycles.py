"""Learning rates that restart, and whose last weights teach the next cycle."""

from __future__ import annotations

import math


def cycle_length(epochs: int, cycles: int) -> int:
    """Return the length of a cycle; what does not divide goes to the last one.

    Raises:
        ValueError: if there are fewer epochs than cycles.
    """
    if not 1 <= cycles <= epochs:
        raise ValueError(f"{cycles} cycles in {epochs} epochs; give 1 to {epochs}")
    return epochs // cycles


def cycle_rates(epochs: int, cycles: int, rate: float) -> list[float]:
    """Return rate / 2 (1 + cos(pi (e mod L) / L)) for each epoch e, L the length of a cycle.

    Source:
        Snapshot distillation, Yang et al. 2019, arXiv:1812.00123.
    """
    length = cycle_length(epochs, cycles)
    rates = []
    for epoch in range(epochs):
        cycle = min(epoch // length, cycles - 1)
        own = length if cycle < cycles - 1 else epochs - length * (cycles - 1)
        rates.append(rate / 2 * (1 + math.cos(math.pi * (epoch - cycle * length) / own)))
    return rates


def teaching_cycles(epochs: int, cycles: int) -> list[int]:
    """Return for each epoch the cycle whose last weights teach it; -1 in the first cycle."""
    length = cycle_length(epochs, cycles)
    return [min(epoch // length, cycles - 1) - 1 for epoch in range(epochs)]
