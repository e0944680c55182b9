"""Which trainings end a search, and when: the most important first, as far as there is time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwkd.core.errors import ConfigError
from hwkd.core.metric import ScoresRecord
from hwkd.core.trial import TrialRecord
from hwkd.engine.arms.begun import furthest_begun
from hwkd.engine.arms.contest import Contest, samples_seen
from hwkd.engine.arms.orders import ArmOrder
from hwkd.engine.arms.recipes import Arm, arm_named, arms_of
from hwkd.engine.arms.scheme_course import require_possible
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.end_needs import scoring_s
from hwkd.engine.search.ending import LAST_SCORINGS, Ending, is_hard, rounds_in, sample_s
from hwkd.engine.search.finish_again import (
    Further,
    going_on,
    going_on_begun,
    samples_held,
)
from hwkd.engine.setup.context import SearchContext

# Trained in full: the best of brief trainings is partly lucky, so the next ones get their chance.
_NETWORKS = 3
# Of the best network so many lengths between are tried at most, each so many times the one before.
_MOST_SHORTER, _APART = 2, 1.5
# A candidate that loses more than this in 8 bits will probably be trained with simulated rounding.
_LOSES_IN_INT8 = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Which trainings are made, and when: those wanted, those that there is time for."""

    wanted: Sequence[ArmOrder]
    orders: Sequence[ArmOrder]
    end_s: float | None = None
    slot_s: float | None = None


def last_trainings(
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    store: RunFolder,
    ending: Ending,
    held: Contest | None,
    *,
    from_the_start: bool,
) -> Turns:
    """Return the trainings that end a search.

    Args:
        ranked: completed trials, best first; at least one.
        held: what the run folder holds and may be gone on with.
        from_the_start: whether there is time for a training that goes on with nothing.
    """
    further = _further(ranked, context, store, ending, held)

    def wanted(networks: int) -> list[ArmOrder]:
        fresh = _orders(ranked, context, ending, networks=networks) if from_the_start else []
        most = context.config.processes
        return fresh if further is None else further.among(fresh, most_processes=most)

    return _turns(wanted, ranked, context, ending)


def _further(
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    store: RunFolder,
    ending: Ending,
    held: Contest | None,
) -> Further | None:
    """Return the training that goes on with the best that the folder holds, where there is one.

    That is a full training that was cut off, if it came further than what is held. Going on
    comes first where less time is left than that took, for none from the start is as long then.
    Where seeds are compared, repetitions of it would not be trainings of their own; without a
    limit of time, trainings that were cut off go on by themselves.
    """
    if ending.seeds > 1 or (held is None and ending.end_s is None):
        return None
    known = 0 if held is None else samples_held(held, ranked, context)
    examples = len(context.data.train)
    begun = None if ending.end_s is None else furthest_begun(store.path, examples=examples)
    begun_samples = 0 if begun is None else begun.samples(examples)
    if held is None and begun is None:
        return None
    fresh = _orders(ranked, context, ending, networks=1)[0]
    order = None
    if begun is not None and begun_samples > known:
        order, known = going_on_begun(fresh, begun, ranked, context, store), begun_samples
    if order is None and held is not None:
        order, known = (
            going_on(fresh, held, ranked, context, store),
            samples_held(held, ranked, context),
        )
    leads = ending.left_s() / sample_s(ranked[0], context) < known
    return None if order is None else Further(order=order, place=0 if leads else 1)


def _turns(
    wanted: Callable[[int], list[ArmOrder]],
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    ending: Ending,
) -> Turns:
    """Divide the time that is left among trainings that follow one another.

    Args:
        wanted: trainings of so many networks, the most important first.
    """
    orders = wanted(_NETWORKS)
    if ending.end_s is None or not orders:
        return Turns(wanted=orders, orders=orders)
    best = ranked[0]
    end_s = ending.end_s - LAST_SCORINGS * scoring_s(best)
    left_s = end_s - time.monotonic()
    rounds = rounds_in(best, context, left_s, orders=len(orders))
    places = rounds * orders[0].processes
    if places > len(orders):  # no core waits for the end while others train
        orders = wanted(_NETWORKS + places - len(orders))
    slot_s = left_s / rounds
    shorter = _shorter(orders[0], best, context, ending, slot_s)
    orders, places = [orders[0], *shorter, *orders[1:]], places + len(shorter)
    return Turns(wanted=orders, orders=orders[:places], end_s=end_s, slot_s=slot_s)


def _shorter(
    order: ArmOrder, best: TrialRecord, context: SearchContext, ending: Ending, slot_s: float
) -> list[ArmOrder]:
    """Return the best network's training again, of lengths between its brief one and the whole.

    Few examples are learned by heart in a long training: of 108 of a rare class one network named
    .689 after 50 passes and .599 after 200, which validation can tell only where something between
    was made. What they leave of their core is another network's.

    Returns:
        No order where arms are compared, which have one length, where nothing lies between, or
        where so much is wrong that a second network is worth as long a training.
    """
    if is_hard(best, context):
        return []
    if len(last_arms(context, has_teacher=ending.has_teacher)) > 1 or ending.seeds > 1:
        return []
    if order.processes < 2 or order.goes_on or order.trial != best.number:
        return []
    count = len(context.data.train)
    brief = max(1.0, samples_seen(best, context) / count)
    full = min(order.epochs, slot_s / sample_s(best, context) / count)
    steps = min(_MOST_SHORTER + 1, int(math.log(max(1.0, full / brief), _APART)))
    lengths = [round(brief * (full / brief) ** (step / steps)) for step in range(1, steps)]
    return [
        order.model_copy(update={"name": f"{order.name}-of-{epochs}", "epochs": epochs})
        for epochs in lengths
    ]


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
    main, *controls = (arm.name for arm in last_arms(context, has_teacher=ending.has_teacher))
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
        order_of(trial, arm, seed, context, ending, processes=processes, budget_s=budget_s)
        for trial, arm, seed in wanted
    ]


def _is_possible(trial: TrialRecord, arm: str, context: SearchContext) -> bool:
    """Tell whether a network can be trained so: not every one has exits or grows wider."""
    assert trial.spec is not None
    layers = context.given.layers(trial.spec)
    made = arm_named(arm, context.methods, context.data.head.kind, context.scheme)
    if made.scheme is None:
        return True
    try:
        require_possible(made, layers, context)
    except ConfigError:
        return False
    return True


def order_of(
    trial: TrialRecord,
    arm: str,
    seed: int,
    context: SearchContext,
    ending: Ending,
    *,
    processes: int,
    budget_s: float | None,
) -> ArmOrder:
    """Return a training of one trial's network.

    Args:
        processes: with which it shares the cores.
        budget_s: what the end of the search has; None is no bound.
    """
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


def last_arms(context: SearchContext, *, has_teacher: bool) -> tuple[Arm, ...]:
    """Return what the last trainings learn by: a teacher that was left out has no say."""
    methods = context.methods_with(has_teacher=has_teacher)
    return arms_of(methods, context.data.head.kind, context.scheme)
