"""The best students at full length: trained beside their controls, tested once, the best published.

What ships is the best by the run's own objective, on validation and in 8 bits, of everything that
the run folder holds: brief weights, full ones, controls, and trainings of earlier calls. That the
brief ones are the best of many is allowed for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from hwkd.core.errors import DoesNotFitError
from hwkd.core.final_record import FinalRecord
from hwkd.core.progress import Progress
from hwkd.core.trial import TrialRecord
from hwkd.core.verdict_record import SCHEME
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.conclude import conclude
from hwkd.engine.arms.contest import (
    Contest,
    held_contest,
    judged,
)
from hwkd.engine.arms.jobs import run_orders
from hwkd.engine.arms.left_behind import ahead_by_luck, ahead_on_plain_alone
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.brief_weights import BriefWeights
from hwkd.engine.search.ending import Ending, judged_by_share, may_go_on, not_affordable
from hwkd.engine.search.finalists import finalists
from hwkd.engine.search.finish_again import what_came
from hwkd.engine.search.last_trainings import last_trainings
from hwkd.engine.search.undertrained import undertrained
from hwkd.engine.setup.context import SearchContext
from hwkd.io.student_folder import StudentFiles

_PROFILE_SECONDS, _PROFILE_SECONDS_LIMITED = 2.0, 0.5


def require_student(ranked: Sequence[TrialRecord], records: Sequence[TrialRecord]) -> None:
    """Refuse to end a search that trained no student.

    Args:
        ranked: completed trials, best first.

    Raises:
        DoesNotFitError: if no trial was completed.
    """
    if ranked:
        return
    states = ", ".join(sorted({record.state for record in records})) or "none sampled"
    raise DoesNotFitError(
        f"no student was trained successfully (trials: {states}); "
        "raise the limits, --trials, --timeout or --trial-timeout"
    )


def finish_students(
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    store: RunFolder,
    nursery: Nursery,
    ending: Ending,
    *,
    meanwhile: Callable[[], object],
    progress: Progress,
) -> tuple[FinalRecord, StudentFiles, tuple[str, ...]]:
    """Train the best students in full and test them.

    The test split is read here for the first time in a search, and nothing is chosen by it.

    Args:
        ranked: completed trials, best first; at least one.
        meanwhile: called once while they are trained.
        progress: told about all trainings together.

    Returns:
        The record of the student that ships, its files, and what was given up for lack of time.
    """
    started_s = time.monotonic()
    if judged_by_share(context):
        samples = len(context.data.validation.labels)
        ranked = finalists(ranked, ending.goal, validation_samples=samples)
    given_up = not_affordable(ranked, ending)
    held = begins = None
    if ending.is_again or (given_up and may_go_on(ranked, ending)):
        begins = held_contest(store.path, ranked, context, ending.goal)
        held = begins if ending.is_again else None
    turns = last_trainings(ranked, context, store, ending, begins, from_the_start=not given_up)
    if given_up and turns.orders:
        given_up = tuple(f"{why}; what was held is trained further instead" for why in given_up)
    brief = BriefWeights(ranked=ranked, context=context, store=store, ending=ending)

    def beside() -> None:
        brief.score_best()
        meanwhile()

    results = run_orders(
        store.path, nursery, turns.orders,
        end_s=turns.end_s, slot_s=turns.slot_s, meanwhile=beside, progress=progress,
    )  # fmt: skip
    given_up += _not_made(turns.wanted, results, context)
    found = held_contest(store.path, ranked, context, ending.goal)
    ships, why = _shipping(found, brief, made=bool(results))
    verdict = judged(ships[0], found.trainings, context, networks_compared=networks_of(ranked))
    verdict = verdict.model_copy(update={"full_trainings": found.full_trainings})
    profile_s = _PROFILE_SECONDS if ending.end_s is None else _PROFILE_SECONDS_LIMITED
    final, files = conclude(
        store.path, context, ships, verdict, profile_s=profile_s, started_s=started_s
    )
    came = _went_on(turns.orders, results)
    if held is not None:
        came = tuple(what_came(held, found, ranked, context.data.head.metrics[0]))
    short = undertrained(found, ranked, context, is_timed=ending.end_s is not None)
    remarks = came if short is None else (*came, short)
    return final.model_copy(update={"remarks": remarks}), files, given_up + why


def _went_on(orders: Sequence[ArmOrder], results: Collection[str]) -> tuple[str, ...]:
    """Say which trainings went on with one that was cut off in an earlier call."""
    return tuple(
        f"{order.arm} of trial {order.trial}: went on with a full training that was cut off."
        for order in orders
        if order.samples_before and order.name in results
    )


def _not_made(
    wanted: Sequence[ArmOrder], results: Collection[str], context: SearchContext
) -> tuple[str, ...]:
    """Return what was given up of the trainings that should have been."""
    said: tuple[str, ...] = ()
    if context.scheme is not None and not any(order.arm == SCHEME for order in wanted):
        said += (f"scheme {context.scheme.name}: no full training was made by it",)
    missing = [order for order in wanted if order.name not in results]
    if missing:
        said += (f"{len(missing)} of {len(wanted)} full trainings, for lack of time",)
    return said


def _shipping(
    found: Contest, brief: BriefWeights, *, made: bool
) -> tuple[tuple[ArmOrder, ArmResult], tuple[str, ...]]:
    """Return what ships, and what of the full or brief weights was left behind.

    Args:
        made: whether full trainings were made this time.
    """
    winner = found.winner
    if winner.weights == "full":
        lucky = ahead_by_luck(found.competing, winner, found.deviation)
        return found.trainings[winner.name], lucky + ahead_on_plain_alone(found.competing, winner)
    ships = brief.scored(next(r for r in brief.ranked if f"trial {r.number}" == winner.name))
    if found.full_trainings:
        return ships, ("full weights: they were worse on validation than the brief ones",)
    if made:
        return ships, (
            "full weights: their training saw fewer examples than the brief one, for lack of time, "
            "and does not compete",
        )
    return ships, ()


def networks_of(ranked: Sequence[TrialRecord]) -> int:
    """Return how many networks were compared on validation."""
    return len({record.spec.key for record in ranked if record.spec is not None})


def is_done(final: FinalRecord | None, ranked: Sequence[TrialRecord]) -> bool:
    """Tell whether the full trainings were made for the same candidates before."""
    if final is None:
        return False
    if (
        final.verdict.networks_compared is None
    ):  # of an older version, which trained the best one alone
        return final.trial == ranked[0].number
    return final.verdict.networks_compared == networks_of(ranked)
