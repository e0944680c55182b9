"""Whether what ships would likely get better by a longer training, in a sentence.

Within a training the rate falls to zero, so that its last passes look good however few there were.
What tells is another training of the same network: how much the error fell from the shorter
one to what ships. Every search has one, the brief training by which the network was chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwkd.core.trial import TrialRecord
from hwkd.engine.arms.contest import Contest, samples_in_all, samples_seen
from hwkd.engine.search.ending import enough_samples
from hwkd.engine.search.finalists import ERROR_BY_PASSES
from hwkd.engine.setup.context import SearchContext

# Of a training half as long: lengths that are closer say more about luck than about time.
_SHORTER_RATIO = 1.5
# Of passes so few that a training is short even where no shorter one tells.
_FEW_PASSES = 10
_LEAST = 1e-6
# What twice as many passes must be worth in points of the error; and by how many standard errors of
# it the error must have fallen so far.
_WORTH_SAYING, _SURE = 0.02, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """One training of a network: how long, and the error on validation in 8 bits, 0 is best."""

    samples: float
    error: float


def gain_of_twice(
    ships: Length, others: Sequence[Length], *, examples: int, validation_samples: int
) -> float:
    """Return by how much the error would likely fall if what ships had seen twice as much.

    Errors fall with the samples seen to some power: that between the training that ships and the
    longest of those that were at most two thirds as long. Where none was shorter, it is the usual
    power for a training of few passes, and nothing is known of others. The gain is 0 where the
    error fell by no more than luck, where a longer training came to nothing better, and where it
    would be less than two points.

    Args:
        others: trainings of the same network.
        examples: of the train split.
        validation_samples: that errors, shares, are of.
    """
    if any(each.samples > _SHORTER_RATIO * ships.samples for each in others):
        return 0.0
    shorter = [each for each in others if each.samples * _SHORTER_RATIO <= ships.samples]
    power = ERROR_BY_PASSES if ships.samples < _FEW_PASSES * examples else 0.0
    if shorter:
        luck = _SURE * _deviation(ships.error, validation_samples)
        before = max(shorter, key=lambda each: each.samples)
        if before.error - ships.error <= luck:
            return 0.0
        fell, longer = before.error / max(ships.error, _LEAST), ships.samples / before.samples
        power = math.log(fell) / math.log(longer)
    left: float = 2.0**-power
    gain = ships.error * (1.0 - left)
    return gain if gain >= _WORTH_SAYING else 0.0


def undertrained(
    found: Contest, ranked: Sequence[TrialRecord], context: SearchContext, *, is_timed: bool
) -> str | None:
    """Say that more time would likely help, where that is so.

    It is where twice as many passes are worth two points of the error (`gain_of_twice`). A training
    that has seen what full ones converge in is none of these.

    Args:
        found: everything that the run folder holds.
        ranked: completed trials, best first.
        is_timed: a time limit ended the trainings, and not their number of passes.
    """
    lengths = _lengths(found, ranked, context)
    ships = lengths.pop(found.winner.name, None)
    if ships is None or ships.samples >= enough_samples(ships.error, context):
        return None
    data = context.data
    count = len(data.train)
    gain = gain_of_twice(
        ships,
        list(lengths.values()),
        examples=count,
        validation_samples=len(data.validation.labels),
    )
    if not gain:
        return None
    passes = ships.samples / count
    advice = (
        "a longer --timeout, here or of `hwkd finish`, which goes on"
        if is_timed
        else f"--full-epochs {max(2, round(2 * passes))} trains twice as long"
    )
    return (
        f"The student that ships is undertrained: after {passes:.3g} passes over the examples its "
        f"error on validation is {ships.error:.3f}, and twice as many would likely make it about "
        f"{ships.error - gain:.3f}. Give it more time: {advice}."
    )


def _lengths(
    found: Contest, ranked: Sequence[TrialRecord], context: SearchContext
) -> dict[str, Length]:
    """Return the trainings of the network that ships, by name; those that went on in all."""
    network = found.winner.network
    known = {
        f"trial {r.number}": Length(
            samples=max(1, samples_seen(r, context)), error=r.objective.task_error
        )
        for r in ranked
        if r.spec is not None and r.spec.key == network and r.objective is not None
    }
    brief = {name: int(each.samples) for name, each in known.items()}
    for name, (order, result) in found.trainings.items():
        if order.spec.key == network and result.objective is not None:
            samples = samples_in_all(name, found.trainings, brief)
            known[name] = Length(samples=max(1.0, samples), error=result.objective.task_error)
    return known


def _deviation(error: float, samples: int) -> float:
    """Return the standard error of a share of wrong answers."""
    share = min(1.0, max(error, 1.0 / samples))
    return math.sqrt(share * (1.0 - share) / samples)
