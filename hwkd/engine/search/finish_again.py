"""The end of a search done again: what it may begin with, and what came of it, in sentences."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.metric import Metric, ScoresRecord
from hwkd.core.trial import TrialRecord
from hwkd.engine.arms.begun import Begun
from hwkd.engine.arms.contest import Contest, samples_in_all, samples_seen
from hwkd.engine.arms.orders import ArmOrder, order_folder
from hwkd.engine.arms.recipes import arm_named, known_arms
from hwkd.engine.arms.verdict import Contender
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.context import SearchContext
from hwkd.io.student_folder import StudentFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Further:
    """A training that goes on with what the folder holds, and its place among those that do not."""

    order: ArmOrder
    place: int

    def among(self, fresh: Sequence[ArmOrder], *, most_processes: int) -> list[ArmOrder]:
        """Return all trainings, the most important first, with the processes that they share."""
        orders = [*fresh[: self.place], self.order, *fresh[self.place :]]
        processes = min(most_processes, len(orders))
        return [order.model_copy(update={"processes": processes}) for order in orders]


def going_on(
    fresh: ArmOrder,
    held: Contest,
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    store: RunFolder,
) -> ArmOrder | None:
    """Return the training that goes on with the best weights of a run folder.

    They are those from before the student learned from validation, which still judges it.

    Args:
        fresh: a training of this end from the start; the new one has its length.
        ranked: completed trials, best first.

    Returns:
        None where what is best learned by a scheme, whose phases begin afresh.
    """
    winner = held.winner
    if winner.weights == "full":
        made, _ = held.trainings[winner.name]
        trial, arm = made.trial, made.arm
        weights = StudentFiles(order_folder(store.path, made)).weights_path
    else:
        record = next(r for r in ranked if r.spec and r.spec.key == winner.network)
        trial, arm = record.number, fresh.arm
        weights = store.weights_of(record)
    known = arm_named(arm, context.methods, context.data.head.kind, context.scheme)
    spec = next((r.spec for r in ranked if r.number == trial), None)
    if known.scheme is not None or spec is None:
        return None
    return fresh.model_copy(
        update={
            "name": f"{ArmOrder.name_of(arm, 0, trial)}-on-{_short(winner.name)}",
            "trial": trial,
            "spec": spec,
            "repetition": 0,
            "arm": arm,
            "start_from": str(Path(weights).resolve()),
            "goes_on": winner.name,
        }
    )


def going_on_begun(
    fresh: ArmOrder,
    begun: Begun,
    ranked: Sequence[TrialRecord],
    context: SearchContext,
    store: RunFolder,
) -> ArmOrder | None:
    """Return the training that goes on with one which was cut off.

    Args:
        fresh: as `going_on` takes it.
        begun: that was cut off.
        ranked: completed trials, best first.

    Returns:
        None where it learned by a scheme, whose phases begin afresh, or is of no trial of the run.
    """
    cut = begun.order
    arm = known_arms(context.methods, context.data.head.kind, context.scheme).get(cut.arm)
    if arm is None or arm.scheme is not None or cut.trial not in {r.number for r in ranked}:
        return None
    return fresh.model_copy(
        update={
            "name": f"{ArmOrder.name_of(cut.arm, 0, cut.trial)}-on-{_short(cut.full_name)}",
            "trial": cut.trial,
            "spec": cut.spec,
            "repetition": 0,
            "arm": cut.arm,
            "start_from": str(begun.store(store.path).resolve()),
            "goes_on": cut.full_name,
            "samples_before": begun.samples(len(context.data.train)),
        }
    )


def samples_held(held: Contest, ranked: Sequence[TrialRecord], context: SearchContext) -> int:
    """Return how many samples the best weights of a run folder have seen; 0 if it is unknown."""
    brief = {f"trial {r.number}": samples_seen(r, context) for r in ranked}
    return samples_in_all(held.winner.name, held.trainings, brief)


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def what_came(
    before: Contest,
    after: Contest,
    ranked: Sequence[TrialRecord],
    metric: Metric,
) -> Iterator[str]:
    """Say what was tried, what it was compared with by which scores, and what ships.

    Args:
        before: what the folder held.
        after: with what this end made.
        ranked: completed trials, best first.
    """
    made = after.trainings.keys() - before.trainings.keys()
    scores = {f"trial {r.number}": r.scores for r in ranked if r.scores is not None} | {
        name: found.scores for name, (_, found) in after.trainings.items()
    }
    held = _named(before, before.winner.name, scores, metric)
    tried = [_named(after, name, scores, metric) for name in sorted(made)]
    if not tried:
        yield f"Nothing new was trained; what the folder held stays: {held}."
        return
    yield f"Tried in this end: {'; '.join(tried)}. The folder held: {held}."
    if after.winner.name == before.winner.name:
        why = _why_no_higher(after, before, made)
        yield f"Nothing new was better, so what the folder held stays{why}."
    else:
        ships = _named(after, after.winner.name, scores, metric)
        yield f"What ships is new: {ships}{_why_new(before.winner, after.winner)}."


def _why_new(held: Contender, new: Contender) -> str:
    """Say what decided where it was not the score on validation."""
    if new.value < held.value or new.steadier is None or held.steadier is None:
        return ""
    return (
        f"; on varied copies of validation, which decide between full trainings, it is no worse "
        f"({new.steadier:.4g} against {held.steadier:.4g}; smaller is better)"
    )


def _why_no_higher(after: Contest, before: Contest, made: Collection[str]) -> str:
    """Say why a training with a better score on validation does not ship, where one has it."""
    values = {contender.name: contender.value for contender in after.competing}
    better = [name for name in made if values.get(name, math.inf) < before.winner.value]
    if not better:
        return ""
    return (
        "; scores on validation that are higher are of fewer seeds, or not higher on varied copies "
        "of the same examples"
    )


def _named(contest: Contest, name: str, scores: Mapping[str, ScoresRecord], metric: Metric) -> str:
    """Return what a student is, with its score on validation in 8 bits."""
    found = scores.get(name)
    known = None if found is None or found.validation_int8 is None else found.validation_int8
    value = "unknown" if known is None else metric.text(metric.of(known))
    if name not in contest.trainings:
        return f"the brief weights of {name} ({value})"
    order, _ = contest.trainings[name]
    scored = f"({metric.name}, int8 validation, {value})"
    return f"{order.arm} of trial {order.trial}, {_begun(order)} {scored}"


def _begun(order: ArmOrder) -> str:
    if order.samples_before:
        return "going on with a training that was cut off"
    return "going on with what the folder held" if order.goes_on else "from the start"
