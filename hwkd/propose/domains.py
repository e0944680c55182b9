"""One choice: how it is drawn, changed by a step, repaired and placed between 0 and 1.

A domain is an Optuna distribution, so that what is chosen here is what a study stores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from typing import TypeAlias

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Value: TypeAlias = int | float | str | bool | None

# Of the changes to a number, this share are small steps and the rest jumps anywhere.
_SMALL_STEPS = 0.7
# In shares of the range, uniform in the logarithm.
_SMALLEST_STEP, _LARGEST_STEP = 0.005, 0.3


def categorical(choices: Sequence[Value]) -> CategoricalDistribution:
    """Return the domain of a choice among `choices`."""
    # 1, 1.0 and True are equal as keys but not as choices.
    return _categorical(tuple(choices), tuple(type(choice) for choice in choices))


@lru_cache(maxsize=4096)
def integer(low: int, high: int, step: int, log: bool) -> IntDistribution:
    """Return the domain of an integer in [low, high] on a grid of `step` from `low`."""
    return IntDistribution(low, high, log=log, step=step)


@lru_cache(maxsize=4096)
def real(low: float, high: float, step: float | None, log: bool) -> FloatDistribution:
    """Return the domain of a number in [low, high]."""
    return FloatDistribution(low, high, log=log, step=step)


def is_number(domain: BaseDistribution) -> bool:
    """Tell whether the values have an order and distances."""
    return not isinstance(domain, CategoricalDistribution)


def draw(domain: BaseDistribution, random: Random) -> Value:
    """Draw a value, uniformly (or uniformly in the logarithm)."""
    if isinstance(domain, CategoricalDistribution):
        return domain.choices[int(random.random() * len(domain.choices))]
    return _at(domain, random.random())


def another(domain: BaseDistribution, value: Value, random: Random) -> Value:
    """Return a value that differs from `value` where there is one; numbers often move a little."""
    if isinstance(domain, CategoricalDistribution):
        others = [choice for choice in domain.choices if choice != value]
        return others[int(random.random() * len(others))] if others else value
    small = random.random() < _SMALL_STEPS
    place = unit(domain, value)
    for _ in range(8):
        if small:
            step = _SMALLEST_STEP * (_LARGEST_STEP / _SMALLEST_STEP) ** random.random()
            grid = _grid(domain)
            if grid is not None and grid > 1:  # at least to the next place
                step = max(step, 1.0 / (grid - 1))
            target = place + random.choice((-1, 1)) * step
            moved = _at(domain, min(1.0, max(0.0, target)), inclusive=True)
        else:
            moved = _at(domain, random.random())
        if moved != value:
            return moved
        small = False
    return value


def nearest(domain: BaseDistribution, value: Value) -> Value | None:
    """Return the legal value nearest to `value`; None where there is none (another kind)."""
    if isinstance(domain, CategoricalDistribution):
        for choice in domain.choices:
            if choice == value and type(choice) is type(value):
                return choice
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    low, high, step = _bounds(domain)
    clipped = min(high, max(low, value))
    if step is not None:
        clipped = min(high, low + round((clipped - low) / step) * step)
        if clipped > high:
            clipped -= step
    return int(clipped) if isinstance(domain, IntDistribution) else float(clipped)


def unit(domain: BaseDistribution, value: Value) -> float:
    """Return where a number lies in its range, 0 to 1."""
    low, high, _ = _bounds(domain)
    if high == low or not isinstance(value, int | float):
        return 0.0
    if _is_log(domain):
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def every_value(domain: BaseDistribution) -> tuple[Value, ...] | None:
    """Return all values of a finite domain; None for a continuous one."""
    if isinstance(domain, CategoricalDistribution):
        return tuple(domain.choices)
    grid = _grid(domain)
    if grid is None:
        return None
    low, _, step = _bounds(domain)
    if isinstance(domain, IntDistribution):
        return tuple(int(low + index * domain.step) for index in range(grid))
    return tuple(float(low + index * (step or 0.0)) for index in range(grid))


@lru_cache(maxsize=4096)
def _categorical(choices: tuple[Value, ...], _: tuple[type, ...]) -> CategoricalDistribution:
    return CategoricalDistribution(choices)


def _bounds(domain: BaseDistribution) -> tuple[float, float, float | None]:
    if isinstance(domain, IntDistribution):
        return domain.low, domain.high, domain.step
    if isinstance(domain, FloatDistribution):
        return domain.low, domain.high, domain.step
    raise ValueError(f"{domain} is not a range of numbers")


def _is_log(domain: BaseDistribution) -> bool:
    return isinstance(domain, IntDistribution | FloatDistribution) and domain.log


def _grid(domain: BaseDistribution) -> int | None:
    low, high, step = _bounds(domain)
    return None if step is None else int((high - low) / step + 1e-9) + 1


def _at(domain: BaseDistribution, place: float, *, inclusive: bool = False) -> Value:
    """Return the value at a place of the range.

    Args:
        place: 0 to 1; uniform places give every value of a grid the same chance unless
            `inclusive`, where 0 and 1 are the middles of the first and last value.
    """
    low, high, step = _bounds(domain)
    grid = _grid(domain)
    if _is_log(domain):
        top = high if inclusive or step is None else high + step
        number = math.exp(math.log(low) + place * (math.log(top) - math.log(low)))
        if step is not None:
            index = (number - low) / step
            index = round(index) if inclusive else int(index)
            number = low + step * min((grid or 1) - 1, index)
    elif grid is not None and step is not None:
        index = round(place * (grid - 1)) if inclusive else min(grid - 1, int(place * grid))
        number = low + step * index
    else:
        number = low + place * (high - low)
    return int(number) if isinstance(domain, IntDistribution) else min(high, max(low, number))
