"""How small a student may be: a ladder of widths, each trained with the teacher and without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

import numpy as np

from hwkd.core.errors import ConfigError
from hwkd.core.ladder_record import CapacityRecord, CurveRecord, RungRecord
from hwkd.core.metric import Metric
from hwkd.core.verdict_record import LABELS_ALONE
from hwkd.core.widened import widened
from hwkd.distill.spec import NO_METHOD, is_none
from hwkd.engine.arms.verdict import gain_in
from hwkd.engine.distill.request import DistillRequest
from hwkd.engine.distill.resolve import ResolvedStudent, resolve_student
from hwkd.engine.distill.rungs import Rungs, arm_of, run_of, rungs
from hwkd.engine.run.listener import SearchListener
from hwkd.engine.setup.resolve import screen_of
from hwkd.io.student_folder import StudentFolder

# Of the student's channels; parameters double from one to the next, about.
WIDTHS = (0.25, 0.35, 0.5, 0.71, 1.0, 1.41)
_LEAST_RUNGS = 3


def run_capacity(
    request: DistillRequest, *, tolerance: float, listener: SearchListener
) -> StudentFolder:
    """Train the ladder and write the folder of the smallest student that is good enough.

    Args:
        request: of the student as it was given, with its teacher.
        tolerance: what may be lost of the teacher's score, in the metric's unit; at least 0.

    Raises:
        ConfigError: before any training, if there is no teacher or no ladder.
    """
    if is_none(request.methods):
        raise ConfigError(
            f"--capacity: compares students with a teacher and without, and --method {NO_METHOD} "
            "has none; leave it out"
        )
    resolved = resolve_student(request, progress=listener)
    widths = _distinct(resolved)
    with rungs(request, asked="capacity", listener=listener) as trainings:
        pairs = [(width, *_pair(trainings, width)) for width in widths]
        metric = resolved.data.head.metrics[0]
        records = [_record(resolved, metric, *pair) for pair in pairs]
        teacher = run_of(pairs[0][1]).teacher
        if teacher is None or teacher.scores.validation_float is None:
            raise ConfigError("--capacity: no teacher took part; give a method that has one")
        best = metric.of(teacher.scores.validation_float)
        index, is_within = smallest_within(metric, records, best - metric.gain(tolerance, 0.0))
        found = CapacityRecord(
            metric=metric,
            teacher=best,
            tolerance=tolerance,
            rungs=tuple(records),
            taught=_curve(metric, records, [r.validation_int8 for r in records]),
            alone=_curve(metric, records, [r.alone_validation_int8 for r in records]),
            ships=records[index].name,
            is_within=is_within,
        )
        student = pairs[index][1]
        return trainings.published(student, run_of(student).model_copy(update={"capacity": found}))


def smallest_within(metric: Metric, rungs: Sequence[RungRecord], least: float) -> tuple[int, bool]:
    """Return the first rung that is at least as good, and whether there is one; else the best.

    Args:
        rungs: from the smallest.
        least: score on validation, in the metric's unit.
    """
    means = [fmean(rung.validation_int8) for rung in rungs]
    for index, mean in enumerate(means):
        if metric.gain(mean, least) >= 0:
            return index, True
    best = max(range(len(means)), key=lambda index: metric.gain(means[index], least))
    return best, False


def _distinct(resolved: ResolvedStudent) -> list[float]:
    """Return the widths that are networks of their own."""
    by_key = {widened(resolved.layers, width).key: width for width in reversed(WIDTHS)}
    widths = sorted(by_key.values())
    if len(widths) < _LEAST_RUNGS:
        raise ConfigError(
            f"--capacity: the student has too few channels for a ladder ({len(widths)} different "
            f"networks, needed {_LEAST_RUNGS}); give a wider one"
        )
    return widths


def _pair(trainings: Rungs, width: float) -> tuple[StudentFolder, StudentFolder]:
    taught = replace(trainings.request, width=width)
    alone = replace(
        taught, methods=(NO_METHOD,), teachers=(), teacher_weights=(), teacher_inputs=(),
        teacher_classes=(), unlabelled=None,
    )  # fmt: skip
    return (
        trainings.trained(f"{width:g} with the teacher", taught),
        trainings.trained(f"{width:g} alone", alone),
    )


def _record(
    resolved: ResolvedStudent,
    metric: Metric,
    width: float,
    taught: StudentFolder,
    alone: StudentFolder,
) -> RungRecord:
    screen = screen_of(resolved.config, resolved.data.pipeline, head=resolved.data.head)
    cost = screen.costed(resolved.spec, taught.layers).cost
    with_teacher, without = arm_of(taught), arm_of(alone)
    record = RungRecord.of(f"{width:g}", width, cost, with_teacher, alone=without)
    gain = gain_in(metric, with_teacher.test_int8, without.test_int8, over=LABELS_ALONE)
    return record.model_copy(update={"gain": gain})


def _curve(
    metric: Metric, rungs: Sequence[RungRecord], scores: Sequence[Sequence[float]]
) -> CurveRecord:
    """Return the line through mean errors over the logarithm of parameters."""
    sizes = [math.log10(rung.params) for rung in rungs]
    means = [fmean(each) for each in scores]
    errors = [1.0 - mean if metric.direction == "max" else mean for mean in means]
    slope, intercept = np.polyfit(sizes, errors, 1)
    left = np.array(errors) - np.polyval((slope, intercept), sizes)
    return CurveRecord(intercept=float(intercept), slope=float(slope), spread=float(left.std()))
