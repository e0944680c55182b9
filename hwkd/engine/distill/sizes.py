"""Narrower forms of a student by what they cost on the device; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.core.measure import CostEstimate
from hwkd.core.student import Layers
from hwkd.core.units import times_text
from hwkd.core.widened import widened

Costed = Callable[[Layers], CostEstimate]

AMOUNTS: Mapping[str, Callable[[CostEstimate], float | None]] = {
    "latency": lambda cost: cost.latency_s,
    "ram": lambda cost: cost.peak_ram_bytes,
    "flash": lambda cost: cost.flash_bytes,
    "weights": lambda cost: cost.weight_bytes,
    "energy": lambda cost: cost.energy_j,
    "macs": lambda cost: cost.macs,
}
_HALVINGS = 24
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sized:
    """A form of the student.

    Attributes:
        factor: the given student costs at least so many times as much.
        width: its channels over the student's.
    """

    factor: float
    width: float
    layers: Layers
    cost: CostEstimate


def parse_compression(text: str) -> tuple[str, tuple[float, ...]]:
    """Return what is divided and by what, of `latency:2,4,8,16`.

    Raises:
        UnknownNameError: if that is no cost; offers the nearest.
        ConfigError: if the factors are no ascending numbers above 1.
    """
    name, _, rest = text.partition(":")
    if name not in AMOUNTS:
        raise UnknownNameError("cost", name, list(AMOUNTS))
    try:
        factors = tuple(float(part) for part in rest.split(","))
    except ValueError:
        factors = ()
    if not factors or not all(a < b < 1e6 for a, b in zip((1.0, *factors), factors, strict=False)):
        raise ConfigError(
            f"--compression {text}: expected ascending factors above 1, as {name}:2,4,8,16"
        )
    return name, factors


def sized_by_cost(
    layers: Layers, costed: Costed, *, of: str, factors: Sequence[float]
) -> list[Sized]:
    """Return the student as it is, and for each factor the widest form that is as much cheaper.

    Args:
        costed: a network's cost on the device.
        of: one of `AMOUNTS`.
        factors: ascending, above 1.

    Raises:
        ConfigError: if the cost is not known, or no form is as cheap.
    """
    amount = AMOUNTS[of]
    found = [Sized(factor=1.0, width=1.0, layers=layers, cost=costed(layers))]
    whole = amount(found[0].cost)
    if whole is None:
        raise ConfigError(
            f"--compression {of}: {found[0].cost.device} predicts no {of} of the student; give "
            "--device with a device that does (`hwkd devices list`), or divide macs"
        )

    def at(width: float) -> tuple[Layers, CostEstimate, float]:
        narrow = widened(layers, width)
        cost = costed(narrow)
        return narrow, cost, amount(cost) or 0.0

    least = at(_SMALLEST)[2]
    for factor in factors:
        if least > whole / factor:
            raise ConfigError(
                f"--compression {of}:{factor:g}: with the fewest channels the student costs "
                f"{times_text(whole / least)} times less, and no more; give smaller factors"
            )
        low, high = _SMALLEST, found[-1].width
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if at(middle)[2] <= whole / factor else (low, middle)
        narrow, cost, _ = at(low)
        if narrow.key == found[-1].layers.key:
            raise ConfigError(
                f"--compression {of}: {factor:g} and {found[-1].factor:g} give one network; leave "
                "one of them out"
            )
        found.append(Sized(factor=factor, width=low, layers=narrow, cost=cost))
    return found
