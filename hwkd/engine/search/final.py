"""The best students at full length: trained beside their controls, tested once, the best published.

What ships is the best by the run's own objective, on validation and in 8 bits, of everything that
the run folder holds: brief weights, full ones, controls, and trainings of earlier calls. That the
brief ones are the best of many is allowed for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from hwkd.core.best import judged_value
from hwkd.core.errors import ConfigError, DoesNotFitError
from hwkd.core.final_record import FinalRecord
from hwkd.core.metric import ScoresRecord
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.progress import Progress
from hwkd.core.trial import TrialRecord
from hwkd.distill.spec import WeightedMethod
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.conclude import conclude
from hwkd.engine.arms.contest import (
    BRIEF,
    Contest,
    ahead_by_luck,
    held_contest,
    judged,
)
from hwkd.engine.arms.jobs import run_orders
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.engine.arms.recipes import SCHEME, arm_named, arms_of
from hwkd.engine.arms.scheme_course import require_possible
from hwkd.engine.arms.train_arm import score_brief_weights
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.ending import (
    BRIEF_SCORINGS,
    LAST_SCORINGS,
    Ending,
    not_affordable,
    rounds_in,
    sample_s,
    scoring_s,
)
from hwkd.engine.search.finalists import finalists
from hwkd.engine.search.finish_again import (
    Further,
    going_on,
    samples_held,
    what_came,
)
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.methods import without_teacher
from hwkd.io.student_folder import StudentFiles

# Trained in full: the best of brief trainings is partly lucky, so the next ones get their chance.
_NETWORKS = 3
# A candidate that loses more than this in 8 bits will probably be trained with simulated rounding.
_LOSES_IN_INT8 = 0.005
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
    progress: Progress,
) -> tuple[FinalRecord, StudentFiles, tuple[str, ...]]:
    """Train the best students in full and test them.

    The test split is read here for the first time in a search, and nothing is chosen by it.

    Args:
        ranked: completed trials, best first; at least one.
        progress: told about all trainings together.

    Returns:
        The record of the student that ships, its files, and what was given up for lack of time.
    """
    started_s = time.monotonic()
    if context.data.head.kind.of_classes:
        ranked = finalists(
            ranked, ending.goal, validation_samples=len(context.data.validation.labels)
        )
    held = held_contest(store.path, ranked, context, ending.goal) if ending.is_again else None
    given_up = not_affordable(ranked[0], ending)
    further = _further(ranked, context, store, ending, held)

    def wanted(networks: int) -> list[ArmOrder]:
        fresh = [] if given_up else _orders(ranked, context, ending, networks=networks)
        most = context.config.processes
        return fresh if further is None else further.among(fresh, most_processes=most)

    turns = _turns(wanted, ranked, context, ending)
    if context.scheme is not None and not any(order.arm == SCHEME for order in turns.wanted):
        given_up += (f"scheme {context.scheme.name}: no full training was made by it",)

    @cache
    def scored_brief(trial: int) -> tuple[ArmOrder, ArmResult]:
        record = next(r for r in ranked if r.number == trial)
        order = _brief_order(record, context, ending)
        return order, score_brief_weights(store, record, context, order)

    def meanwhile() -> None:
        if ending.end_s is not None:
            scored_brief(_best_brief(ranked, ending.goal).number)

    results = run_orders(
        store.path,
        nursery,
        turns.orders,
        end_s=turns.end_s,
        slot_s=turns.slot_s,
        meanwhile=meanwhile,
        progress=progress,
    )
    missing = [order for order in turns.wanted if order.name not in results]
    if missing:
        given_up += (f"{len(missing)} of {len(turns.wanted)} full trainings, for lack of time",)
    found = held_contest(store.path, ranked, context, ending.goal)
    ships, why = _shipping(found, ranked, scored_brief, made=bool(results))
    verdict = judged(ships[0], found.trainings, context, networks_compared=networks_of(ranked))
    verdict = verdict.model_copy(update={"full_trainings": found.full_trainings})
    limited = ending.end_s is not None
    final, files = conclude(
        store.path,
        context,
        ships,
        verdict,
        profile_s=_PROFILE_SECONDS_LIMITED if limited else _PROFILE_SECONDS,
        started_s=started_s,
    )
    if held is not None:
        came = what_came(held, found, ranked, context.data.head.metrics[0])
        final = final.model_copy(update={"remarks": tuple(came)})
    return final, files, given_up + why


def _shipping(
    found: Contest,
    ranked: Sequence[TrialRecord],
    scored_brief: Callable[[int], tuple[ArmOrder, ArmResult]],
    *,
    made: bool,
) -> tuple[tuple[ArmOrder, ArmResult], tuple[str, ...]]:
    """Return what ships, and what of the full or brief weights was left behind.

    Args:
        ranked: completed trials, best first.
        scored_brief: number of a trial -> its own weights as a student that ships.
        made: whether full trainings were made this time.
    """
    winner = found.winner
    if winner.weights == "full":
        lucky = ahead_by_luck(found.competing, winner, found.deviation)
        return found.trainings[winner.name], lucky
    ships = scored_brief(next(r.number for r in ranked if f"trial {r.number}" == winner.name))
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


def _further(
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    store: RunFolder,
    ending: Ending,
    held: Contest | None,
) -> Further | None:
    """Return the training that goes on with the best that the folder holds, where there is one.

    It comes first where less time is left than that took, for none from the start is as long then.
    Where seeds are compared, repetitions of it would not be trainings of their own.
    """
    if held is None or ending.seeds > 1:
        return None
    fresh = _orders(ranked, context, ending, networks=1)[0]
    order = going_on(fresh, held, ranked, context, store)
    samples = ending.left_s() / sample_s(ranked[0], context)
    leads = samples < samples_held(held, ranked, context)
    return None if order is None else Further(order=order, place=0 if leads else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turns:
    """Which trainings are made, and when: those wanted, those that there is time for."""

    wanted: Sequence[ArmOrder]
    orders: Sequence[ArmOrder]
    end_s: float | None = None
    slot_s: float | None = None


def _turns(
    wanted: Callable[[int], list[ArmOrder]],
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    ending: Ending,
) -> _Turns:
    """Divide the time that is left among trainings that follow one another.

    Args:
        wanted: trainings of so many networks, the most important first.
    """
    orders = wanted(_NETWORKS)
    if ending.end_s is None or not orders:
        return _Turns(wanted=orders, orders=orders)
    best = ranked[0]
    end_s = ending.end_s - LAST_SCORINGS * scoring_s(best)
    left_s = end_s - time.monotonic()
    rounds = rounds_in(best, context, left_s, orders=len(orders))
    places = rounds * orders[0].processes
    if places > len(orders):  # no core waits for the end while others train
        orders = wanted(_NETWORKS + places - len(orders))
    return _Turns(wanted=orders, orders=orders[:places], end_s=end_s, slot_s=left_s / rounds)


def _orders(
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    ending: Ending,
    *,
    networks: int,
) -> list[ArmOrder]:
    """Return the trainings of the best networks, the most important first.

    With methods their gain is in question, so a control comes before the second network;
    without any only the network is.
    """
    main, *controls = (
        arm.name
        for arm in arms_of(_methods(context, ending), context.data.head.kind, context.scheme)
    )
    controls = controls if ending.seeds else []
    best, others = ranked[0], ranked[1:networks]
    wanted = [(best, main, 0), *((best, arm, 0) for arm in controls[:1])]
    wanted += [(other, main, 0) for other in others]
    wanted += [(best, arm, 0) for arm in controls[1:]]
    for seed in range(1, ending.seeds):
        wanted += [(best, arm, seed) for arm in (main, *controls)]
        wanted += [(other, main, seed) for other in others]
    if context.scheme is not None:
        wanted = [each for each in wanted if _is_possible(each[0], each[1], context)]
    processes = min(context.config.processes, len(wanted))
    budget_s = None if ending.end_s is None else max(0.0, ending.end_s - time.monotonic())
    return [
        _order(trial, arm, seed, context, ending, processes=processes, budget_s=budget_s)
        for trial, arm, seed in wanted
    ]


def _is_possible(trial: TrialRecord, arm: str, context: SearchContext) -> bool:
    """Tell whether a network can be trained so: not every one has exits or grows wider."""
    assert trial.spec is not None
    layers = context.given.layers(trial.spec)
    made = arm_named(arm, context.methods, context.data.head.kind, context.scheme)
    try:
        require_possible(made, layers, context)
    except ConfigError:
        return False
    return True


def _order(
    trial: TrialRecord,
    arm: str,
    seed: int,
    context: SearchContext,
    ending: Ending,
    *,
    processes: int,
    budget_s: float | None,
) -> ArmOrder:
    if trial.spec is None:
        raise ValueError(f"trial {trial.number} has no spec")
    scores, metric = trial.scores or ScoresRecord(), context.data.head.metrics[0]
    lost = metric.lost_ratio(scores.validation_float, scores.validation_int8)
    return ArmOrder(
        name=ArmOrder.name_of(arm, seed, trial.number),
        trial=trial.number,
        spec=trial.spec,
        repetition=seed,
        arm=arm,
        processes=processes,
        epochs=ending.epochs,
        loses_in_int8=lost > _LOSES_IN_INT8,
        learns_all=True,
        budget_s=budget_s,
    )


def _brief_order(trial: TrialRecord, context: SearchContext, ending: Ending) -> ArmOrder:
    """Name the folder for a candidate's own weights."""
    taught = trial.methods is None or bool(trial.methods)
    methods = context.methods if taught else without_teacher(context.methods)
    arm = arms_of(methods, context.data.head.kind)[0].name
    order = _order(trial, arm, 0, context, ending, processes=1, budget_s=None)
    epochs = context.config.training.brief_epochs or 1
    name = f"{BRIEF}-{trial.number}"
    end_s = ending.end_s
    if end_s is not None:
        end_s = min(end_s, time.monotonic() + BRIEF_SCORINGS * scoring_s(trial))
    return order.model_copy(
        update={"name": name, "epochs": epochs, "end_s": end_s, "learns_all": False}
    )


def _best_brief(ranked: Sequence[TrialRecord], goal: ObjectiveConfig) -> TrialRecord:
    """Return the candidate whose own weights ship where no full training is better."""
    judged_ones = [(judged_value(goal, r.objective), r) for r in ranked if r.objective is not None]
    return min(judged_ones, key=lambda pair: pair[0])[1]


def _methods(context: SearchContext, ending: Ending) -> Sequence[WeightedMethod]:
    """Return what the last trainings learn by: a teacher that was left out has no say."""
    return context.methods if ending.has_teacher else without_teacher(context.methods)
