"""What share of each space fits, which limit binds, and what to relax when nothing fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hwkd.core.choices import LimitName
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import DoesNotFitError
from hwkd.core.trial import ViolationRecord
from hwkd.engine.setup.references import ReferenceSurvey, relaxation_factor
from hwkd.engine.setup.screening import Screen, sample_candidate

SAMPLES_PER_SPACE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceFeasibility:
    """How much of one space fits.

    Attributes:
        sampled: random students that were costed.
        binding: limit -> students that exceed it.
        unknown: limit -> students whose need of it is not known; that rejects none.
        is_left_out: nothing in it fits, no reference design either, so it is not searched.
    """

    space: str
    sampled: int
    feasible: int
    binding: Mapping[LimitName, int]
    violations: tuple[tuple[ViolationRecord, ...], ...]
    unknown: Mapping[LimitName, int] = field(default_factory=dict)
    is_left_out: bool = False


def survey(
    screen: Screen,
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    seed: int,
    samples: int = SAMPLES_PER_SPACE,
) -> tuple[SpaceFeasibility, ...]:
    """Cost random students of every space; nothing is trained."""
    return tuple(
        _survey_space(screen, name, input_shape, num_outputs, seed, samples)
        for name in screen.spaces
    )


def drop_infeasible(
    found: Sequence[SpaceFeasibility], references: ReferenceSurvey
) -> tuple[SpaceFeasibility, ...]:
    """Mark the spaces to leave out: those of which no random and no reference student fits."""
    known = {student.spec.home for student in references.students}
    return tuple(
        replace(space, is_left_out=space.feasible == 0 and space.space not in known)
        for space in found
    )


def cheapest_relaxation(
    found: Sequence[SpaceFeasibility],
) -> tuple[ViolationRecord, ...]:
    """Return the limits to relax, and how far, so that the sampled student nearest to fitting fits.

    Nearest means the smallest product of the factors by which its limits have to grow.
    """
    misses = [violations for space in found for violations in space.violations]
    return min(misses, key=relaxation_factor)


def require_feasible(
    found: Sequence[SpaceFeasibility], references: ReferenceSurvey, *, advice: str = ""
) -> None:
    """Stop a search in which nothing fits.

    The change that is proposed is the cheapest one that a reference design meets; without one (a
    search of the user's own spaces alone) it is what the nearest random student needs.

    Args:
        found: of every space, from `drop_infeasible`.
        advice: what else would help, in a sentence.

    Raises:
        DoesNotFitError: naming the cheapest limits to relax.
    """
    if not all(space.is_left_out for space in found):
        return
    sampled = sum(space.sampled for space in found)
    nearest = references.nearest_miss
    relaxed = " and ".join(
        f"{_OPTIONS[v.limit_name]} from {_shown(v.limit_name, v.limit)} to "
        f"{_shown(v.limit_name, v.needed, round_up=True)}"
        for v in (nearest.violations if nearest else cheapest_relaxation(found))
    )
    also = f"; {advice}" if advice else ""
    if nearest is None:
        raise DoesNotFitError(
            f"none of {sampled} sampled students fits the limits; the cheapest change is to raise "
            f"{relaxed}{also}"
        )
    raise DoesNotFitError(
        f"none of {sampled} sampled students and no reference design fits the limits; the cheapest "
        f"change that a reference design meets ({nearest.name}, at its smallest) is to raise "
        f"{relaxed}{also}"
    )


def _survey_space(
    screen: Screen,
    name: str,
    input_shape: tuple[int, ...],
    num_outputs: int,
    seed: int,
    samples: int,
) -> SpaceFeasibility:
    chooser = RandomChooser(seed)
    binding: Counter[LimitName] = Counter()
    unknown: Counter[LimitName] = Counter()
    misses = []
    for _ in range(samples):
        fit = sample_candidate(
            screen, name, chooser, input_shape=input_shape, num_outputs=num_outputs
        ).fit
        unknown.update(fit.unknown)
        violations = fit.violations
        if violations:
            binding.update(violation.limit_name for violation in violations)
            misses.append(violations)
    return SpaceFeasibility(
        space=name,
        sampled=samples,
        feasible=samples - len(misses),
        binding=dict(binding),
        unknown=dict(unknown),
        violations=tuple(misses),
    )


_OPTIONS: Mapping[LimitName, str] = {
    "latency": "--max-latency",
    "ram": "--max-ram",
    "flash": "--max-flash",
    "weights": "--max-weights",
    "energy": "--max-energy",
}


def _shown(name: LimitName, value: float, *, round_up: bool = False) -> str:
    """Write a limit as the option takes it; rounding up keeps the student inside."""
    scale, unit = {
        "latency": (1e3, "ms"),
        "energy": (1e3, "mJ"),
        "weights": (1e-3, "kB"),
    }.get(name, (1 / 1024, "KiB"))
    shown = value * scale
    digits = 3 if shown < 10 else 1
    if round_up:
        shown += 0.5 * 10.0**-digits
    return f"{shown:.{digits}f}".rstrip("0").rstrip(".") + unit
