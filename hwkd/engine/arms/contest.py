"""Who competes for shipping, and what the ways of training one network say about the teacher."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.best import error_weight, judged_value
from hwkd.core.metric import Metric, Scores
from hwkd.core.objective import ObjectiveConfig
from hwkd.core.trial import TrialRecord
from hwkd.core.verdict_record import ASKED_FOR, ArmRecord, ArmScores, Verdict
from hwkd.engine.arms.evaluation import student_logits
from hwkd.engine.arms.orders import NOT_SEARCHED, ArmOrder, ArmResult, finished_orders, order_folder
from hwkd.engine.arms.recipes import Arm, arms_of, known_arms
from hwkd.engine.arms.verdict import (
    Contender,
    gain_over_controls,
    shipping,
)
from hwkd.engine.setup.context import SearchContext
from hwkd.io.student_folder import StudentFiles

# Names the weights of a candidate as the search trained them.
BRIEF = "brief-weights"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """Every student of a run folder that may ship, and the one that does.

    Attributes:
        trainings: full trainings that finished, of earlier ends as well, by name.
        deviation: standard error of a value on validation.
    """

    trainings: Mapping[str, tuple[ArmOrder, ArmResult]]
    competing: tuple[Contender, ...]
    deviation: float
    winner: Contender

    @property
    def full_trainings(self) -> int:
        """How many full trainings compete."""
        return sum(contender.weights == "full" for contender in self.competing)


def held_contest(
    run: Path, ranked: Sequence[TrialRecord], context: SearchContext, goal: ObjectiveConfig
) -> Contest:
    """Judge everything that a run folder holds by the one rule of what ships.

    Args:
        ranked: completed trials, best first; at least one.
    """
    trainings = {
        order.full_name: (order, found)
        for order, found in finished_orders(run)
        if not order.name.startswith(BRIEF)
    }
    competing = contenders(ranked, trainings, context, goal)
    deviation = standard_error(run, trainings, competing, context, goal)
    return Contest(
        trainings=trainings,
        competing=tuple(competing),
        deviation=deviation,
        winner=shipping(competing, deviation=deviation),
    )


def contenders(
    ranked: Sequence[TrialRecord],
    trainings: Mapping[str, tuple[ArmOrder, ArmResult]],
    context: SearchContext,
    goal: ObjectiveConfig,
) -> list[Contender]:
    """Return every student in the folder that may ship.

    Args:
        ranked: completed trials, best first.
        trainings: full trainings that finished, by name.
    """
    known = _known_arms(context)
    found = [
        Contender(
            name=f"trial {record.number}",
            network=record.spec.key,
            weights="brief",
            arm=BRIEF,
            value=judged_value(goal, record.objective),
            error=record.objective.task_error,
            told=f"trial {record.number}, its brief training",
        )
        for record in ranked
        if record.spec is not None and record.objective is not None
    ]
    brief_samples = max((samples_seen(r, context) for r in ranked[:1]), default=0)
    best_brief = min((contender.value for contender in found), default=math.inf)
    for name, (job, scores) in trainings.items():
        if scores.objective is None:
            continue
        value = judged_value(goal, scores.objective)
        is_short = not job.goes_on and (scores.samples_seen or 0) < brief_samples
        if is_short and value >= best_brief:
            continue  # shorter than the brief training and no better: no full one
        found.append(
            Contender(
                name=name,
                network=job.spec.key,
                weights="full",
                arm=f"{job.arm}, {job.epochs} epochs, {job.budget_s}, {job.goes_on}",
                value=value,
                steadier=_steadier(scores, goal),
                is_taught=_arm(job.arm, known).is_taught,
                error=scores.objective.task_error,
                told=told(job, scores),
            )
        )
    return found


def standard_error(
    run: Path,
    trainings: Mapping[str, tuple[ArmOrder, ArmResult]],
    competing: Sequence[Contender],
    context: SearchContext,
    goal: ObjectiveConfig,
) -> float:
    """Return the standard error of a value on validation, from the answers of a full training.

    Args:
        trainings: full trainings that finished, by name.
        competing: students that may ship; without a full training among them it is 0.
    """
    full = [contender for contender in competing if contender.weights == "full"]
    if not full:
        return 0.0
    best = trainings[min(full, key=lambda contender: contender.value).name][0]
    held_back = context.of(best.spec).data.validation
    outputs = student_logits(StudentFiles(order_folder(run, best)).int8_path, held_back.inputs)
    errors = context.data.head.errors(outputs, held_back.labels)
    return error_weight(goal) * float(errors.std()) / math.sqrt(len(errors))


def told(order: ArmOrder, reached: ArmResult) -> str:
    """Return what a training was, for people: its trial, way and passes over the examples."""
    parts = [order.arm] if order.trial == NOT_SEARCHED else [f"trial {order.trial}", order.arm]
    if order.repetition:
        parts.append(f"repetition {order.repetition}")
    made = reached.epochs if reached.epochs_judged is None else reached.epochs_judged
    begun = " more" if order.goes_on else ""
    return ", ".join((*parts, f"{made}{begun} pass{'' if made == 1 else 'es'}"))


def _steadier(scores: ArmResult, goal: ObjectiveConfig) -> float | None:
    if scores.objective is None or scores.varied_error is None:
        return None
    varied = scores.objective.model_copy(update={"task_error": scores.varied_error})
    return judged_value(goal, varied)


def samples_seen(record: TrialRecord, context: SearchContext) -> int:
    """Return how many samples the brief training of a candidate saw, repetitions included."""
    made = float(len(record.epochs)) if record.epochs_made is None else record.epochs_made
    return int(made * context.epoch_samples(record.fidelity or context.fidelity))


def samples_in_all(
    name: str, trainings: Mapping[str, tuple[ArmOrder, ArmResult]], brief: Mapping[str, int]
) -> int:
    """Return how many samples a training saw, with those that it went on with.

    Args:
        trainings: full ones, by name.
        brief: what brief ones saw, by the names of their contenders.
    """
    seen = 0
    while name in trainings:
        order, result = trainings[name]
        seen += order.samples_before + (result.samples_seen or 0)
        name = order.goes_on
    return seen + brief.get(name, 0)


def judged(
    job: ArmOrder,
    trainings: Mapping[str, tuple[ArmOrder, ArmResult]],
    context: SearchContext,
    *,
    networks_compared: int | None,
) -> Verdict:
    """Return the verdict on the network that ships: every way in which it was trained, beside it.

    Args:
        trainings: that finished, by name.
        networks_compared: on validation.
    """
    lengths: dict[tuple[object, ...], dict[str, list[ArmResult]]] = {}
    for other, scores in trainings.values():
        # Without a search, networks beside the student are other ways to what the teacher knows.
        if other.spec.key == job.spec.key or other.trial == job.trial == NOT_SEARCHED:
            alike = lengths.setdefault(_length(other), {})
            alike.setdefault(other.arm, []).append(scores)
    is_brief = job.name.startswith(BRIEF)
    own = None if is_brief else lengths.get(_length(job))
    # Brief weights have no controls of their length; what is known of their network is shown.
    found = own or max(lengths.values(), key=len, default={})
    kind, first = context.data.head.kind, _asked_for(job.arm, context)
    order = [arm.name for arm in arms_of(first.methods, kind, context.scheme)]
    names = sorted(found, key=lambda name: order.index(name) if name in order else len(order))
    metric, known = context.data.head.metrics[0], _known_arms(context)
    arms = tuple(_record(_arm(name, known), found[name], metric) for name in names)
    was_trained = bool(arms) and arms[0].name == first.name
    return Verdict(
        metric=metric,
        methods=first.described(),
        is_taught=first.is_taught,
        arms=arms,
        ships=job.arm,
        weights="brief" if is_brief else "full",
        networks_compared=networks_compared,
        gain=gain_over_controls(arms, metric) if was_trained else None,
    )


def _length(job: ArmOrder) -> tuple[object, ...]:
    """Return what trainings that are compared have in common beside their network."""
    return job.epochs, job.budget_s, job.goes_on


def _asked_for(ships: str, context: SearchContext) -> Arm:
    """Return the arm that the others are controls of: without a teacher that was left out."""
    first = arms_of(context.methods, context.data.head.kind, context.scheme)[0]
    known = _known_arms(context)
    return known[ships] if ships in ASKED_FOR and ships in known else first


def _known_arms(context: SearchContext) -> Mapping[str, Arm]:
    return known_arms(context.methods, context.data.head.kind, context.scheme)


def _arm(name: str, known: Mapping[str, Arm]) -> Arm:
    return known.get(name, Arm(name=name))  # an older version had others


def _record(arm: Arm, found: Sequence[ArmResult], metric: Metric) -> ArmRecord:
    return ArmRecord(
        name=arm.name,
        methods=arm.described(),
        is_taught=arm.is_taught,
        scores=tuple(
            ArmScores(
                seed=scores.seed,
                validation_int8=_value(metric, scores.scores.validation_int8),
                test_int8=metric.of(scores.scores.test_int8 or {}),
                validation_float=_value(metric, scores.scores.validation_float),
                test_float=_value(metric, scores.scores.test_float),
                attacked_float=_value(metric, scores.scores.attacked_float),
                attacked_int8=_value(metric, scores.scores.attacked_int8),
                int8_form=None if scores.quantisation is None else scores.quantisation.ships,
            )
            for scores in found
        ),
    )


def _value(metric: Metric, scores: Scores | None) -> float | None:
    return None if scores is None else metric.of(scores)
