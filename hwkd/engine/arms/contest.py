"""Who competes for shipping, and what the ways of training one network say about the teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hwkd.core.best import judged_value
from hwkd.core.final_record import ControlRecord, GainRecord
from hwkd.core.run_record import ObjectiveSettings
from hwkd.core.trial import TrialRecord
from hwkd.distill.attribution import attribute, paired_gain
from hwkd.engine.arms.jobs import JobScores, TrainJob
from hwkd.engine.arms.verdict import Contender
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.methods import Recipe

__all__ = ["BRIEF", "compared", "contenders", "distillation_gain", "samples_seen"]

# Names the weights of a candidate as the search trained them.
BRIEF = "brief-weights"
_ARMS: Mapping[Recipe, str] = {
    "distilled": "distilled",
    "cross-entropy": "cross-entropy only (no teacher)",
    "label smoothing": "label smoothing (no teacher)",
    "transform without a teacher": "transform without a teacher, of the labels alone",
}


def contenders(
    ranked: Sequence[TrialRecord],
    trainings: Mapping[str, tuple[TrainJob, JobScores]],
    context: SearchContext,
    goal: ObjectiveSettings,
) -> list[Contender]:
    """Return every student in the folder that may ship.

    Args:
        ranked: completed trials, best first.
        trainings: full trainings that finished, by name.
        context: of the search.
        goal: what networks are ranked by.
    """
    found = [
        Contender(
            name=f"trial {record.number}",
            network=record.spec.key,
            weights="brief",
            arm=BRIEF,
            value=judged_value(goal, record.objective),
            is_taught=bool(record.methods),
        )
        for record in ranked
        if record.spec is not None and record.objective is not None
    ]
    brief_samples = max((samples_seen(r, context) for r in ranked[:1]), default=0)
    for name, (job, scores) in trainings.items():
        if job.name.startswith(BRIEF) or scores.objective is None:
            continue
        if (scores.samples_seen or 0) < brief_samples:
            continue  # shorter than the brief training: no full one, whatever it is called
        found.append(
            Contender(
                name=name,
                network=job.spec.key,
                weights="full",
                arm=f"{job.recipe}, {job.epochs} epochs, {job.budget_s}",
                value=judged_value(goal, scores.objective),
                is_taught=job.recipe == "distilled",
            )
        )
    return found


def samples_seen(record: TrialRecord, context: SearchContext) -> int:
    """Return how many samples the brief training of a candidate saw, repetitions included."""
    made = float(len(record.epochs)) if record.epochs_made is None else record.epochs_made
    return int(made * context.epoch_samples(record.fidelity or context.fidelity))


def compared(
    job: TrainJob, trainings: Mapping[str, tuple[TrainJob, JobScores]]
) -> tuple[tuple[ControlRecord, ...], GainRecord | None]:
    """Return every way in which the network that ships was trained, and the teacher's gain.

    Args:
        job: the training that ships.
        trainings: that finished, by name.
    """
    lengths: dict[tuple[int, float | None], dict[Recipe, list[JobScores]]] = {}
    for other, scores in trainings.values():
        if other.spec.key == job.spec.key and not other.name.startswith(BRIEF):
            alike = lengths.setdefault((other.epochs, other.budget_s), {})
            alike.setdefault(other.recipe, []).append(scores)
    own = None if job.name.startswith(BRIEF) else lengths.get((job.epochs, job.budget_s))
    # Brief weights have no controls of their length; what is known of their network is shown.
    arms = own or max(lengths.values(), key=len, default={})
    if "distilled" in arms:
        arms = {"distilled": arms["distilled"], **arms}
    return _controls(arms), distillation_gain(arms)


def distillation_gain(arms: Mapping[Recipe, Sequence[JobScores]]) -> GainRecord | None:
    """Return what distillation gained on the test split over the control best on validation.

    Args:
        arms: way of training -> scores, one per seed; None comes of less than two ways.
    """
    seeds = min((len(scores) for scores in arms.values()), default=0)
    if len(arms) < 2 or "distilled" not in arms or seeds == 0:
        return None
    validation: dict[str, list[float]] = {
        recipe: [s.validation_int8 for s in scores[:seeds]] for recipe, scores in arms.items()
    }
    distilled = validation.pop("distilled")
    found = attribute("distilled", distilled, validation)
    by_name: dict[str, Recipe] = {recipe: recipe for recipe in arms}
    control = by_name[found.best_control]
    gain = paired_gain(*([s.test_int8 for s in arms[r][:seeds]] for r in ("distilled", control)))
    has_interval = gain.seeds > 1
    return GainRecord(
        over=control,
        mean=gain.mean,
        low=gain.low if has_interval else None,
        high=gain.high if has_interval else None,
        seeds=gain.seeds,
        confidence=gain.confidence,
        verdict=gain.verdict,
    )


def _controls(arms: Mapping[Recipe, Sequence[JobScores]]) -> tuple[ControlRecord, ...]:
    return tuple(
        ControlRecord(
            name=f"same student, {_ARMS[recipe]}",
            dtype="int8",
            seeds=tuple(score.seed for score in scores),
            test_accuracies=tuple(score.test_int8 for score in scores),
            validation_accuracies=tuple(score.validation_int8 for score in scores),
        )
        for recipe, scores in arms.items()
    )
