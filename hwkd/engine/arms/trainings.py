"""Trains one student in full with any distillation methods, beside its controls when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwkd.core.progress import Progress, silent
from hwkd.core.student import Layers
from hwkd.distill.attribution import Attribution, Gain, attribute, paired_gain
from hwkd.distill.spec import WeightedMethod
from hwkd.engine.arms.arm import ArmResult, ArmRun, DistilSettings, LoadedSet
from hwkd.engine.arms.recipes import arms_of
from hwkd.engine.setup.transfer import TransferSet
from hwkd.train.teacher import Teacher

__all__ = ["DistilOutcome", "distil_student"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilOutcome:
    """What came of it.

    Attributes:
        arms: the distilled one first.
        attribution: on validation accuracy; None without controls.
        test_gain: over the best control on test accuracy; None without controls.
        exported: the arm whose student ships.
    """

    arms: tuple[ArmResult, ...]
    attribution: Attribution | None
    test_gain: Gain | None
    exported: ArmResult


def distil_student(
    layers: Layers,
    transfer: TransferSet,
    teacher: Teacher | None,
    methods: Sequence[WeightedMethod],
    settings: DistilSettings,
    *,
    progress: Progress = silent,
) -> DistilOutcome:
    """Train a student with the methods, and its controls if the settings ask for them.

    Args:
        layers: the student's description.
        transfer: what it trains on.
        teacher: None for teacher-free methods.
        methods: to combine; none is plain cross-entropy.
        settings: lengths and seeds.
        progress: told about every epoch.

    Raises:
        ConfigError: if a method cannot run here; before any training.
    """
    arms = arms_of(methods) if settings.with_controls else arms_of(methods)[:1]
    name = arms[0].name
    everything = LoadedSet.of(transfer, settings.device)
    labelled = transfer.labelled_only()
    # Controls cannot learn from unlabelled samples.
    some = everything if labelled is transfer else LoadedSet.of(labelled, settings.device)
    runs = [
        ArmRun(layers, everything if arm.is_taught else some, teacher, arm, settings, progress)
        for arm in arms
    ]
    # Every arm is checked before the first is trained.
    for run in runs:
        run.prepare(samples=len(everything.batches.labels))
    results = tuple(run.train() for run in runs)
    distilled, controls = results[0], results[1:]
    if not controls:
        return DistilOutcome(arms=results, attribution=None, test_gain=None, exported=distilled)
    sign = 1.0 if transfer.head.metrics[0].direction == "max" else -1.0

    def better(values: Sequence[float]) -> list[float]:
        return [sign * value for value in values]

    found = attribute(
        name,
        better(distilled.validation),
        {c.arm.name: better(c.validation) for c in controls},
    )
    by_name = {result.arm.name: result for result in results}
    return DistilOutcome(
        arms=results,
        attribution=found,
        test_gain=paired_gain(better(distilled.test), better(by_name[found.best_control].test)),
        exported=by_name[found.exported],
    )
