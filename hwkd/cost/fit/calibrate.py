"""Carries known stacks to a new one from as many rows as there are, one or thousands."""

from __future__ import annotations

from collections.abc import Sequence

from hwkd.cost.fit.design import Array, Design
from hwkd.cost.fit.prior import typical_stack
from hwkd.cost.fit.solve import Spread, fit_cycles

__all__ = ["NEARBY", "WHOLE_MODELS", "calibrate"]

# How far another board's single operators were from the nearest known stack, class by class.
NEARBY = Spread(common=1.0, per_class=0.3, per_amount=0.5)
# A whole model mixes all classes: few of them cannot tell amounts of one class apart.
WHOLE_MODELS = Spread(common=1.0, per_class=0.1, per_amount=0.05)
_FEW_MODELS = 3


def calibrate(design: Design, known: Sequence[Array], same_core: Sequence[bool]) -> Array:
    """Return cycles per unit of a new stack.

    Args:
        design: what was measured on it.
        known: cycles per unit of stacks to start from; with one, that one is scaled.
        same_core: for each of them, whether it ran on the same core.
    """
    largest = int(design.cycles.argmax())
    work, cycles = design.amounts[largest], float(design.cycles[largest])
    start = typical_stack(known, same_core, work, cycles)
    spread = WHOLE_MODELS if design.rows <= _FEW_MODELS else NEARBY
    return fit_cycles(design, start, spread)
