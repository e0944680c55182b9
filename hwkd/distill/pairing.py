"""Which student stage learns from which teacher stage: proposed, shown and overridable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwkd.core.errors import ConfigError
from hwkd.distill.method import Shape, ViewShapes


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerPair:
    """One hint: a student stage and the teacher stage that it follows, counted from 1."""

    student: int
    teacher: int
    student_shape: Shape
    teacher_shape: Shape


def propose_pairs(student: Sequence[Shape], teacher: Sequence[Shape]) -> tuple[LayerPair, ...]:
    """Pair every student stage with the teacher stage most like it, in order.

    The cost of a pair is |log2 of the ratio of positions| + the difference in relative depth; the
    pairs whose cost adds up to the least are taken. Teacher stages may repeat but never go back.

    Args:
        student: shapes without batch, channels first, from the input on.
        teacher: the same for the teacher.
    """
    if not student or not teacher:
        return ()
    costs = [
        [
            _cost(ours, theirs, (i + 1) / len(student) - (j + 1) / len(teacher))
            for j, theirs in enumerate(teacher)
        ]
        for i, ours in enumerate(student)
    ]
    best = [costs[0][:]]
    for row in costs[1:]:
        best.append([cost + min(best[-1][: j + 1]) for j, cost in enumerate(row)])
    choice = min(range(len(teacher)), key=lambda j: best[-1][j])
    chosen = [choice]
    for row in reversed(best[:-1]):
        choice = min(range(choice + 1), key=lambda j: row[j])
        chosen.append(choice)
    return tuple(_pair(student, teacher, i, j) for i, j in enumerate(reversed(chosen)))


def chosen_pairs(
    pairs: Sequence[tuple[int, int]], student: Sequence[Shape], teacher: Sequence[Shape]
) -> tuple[LayerPair, ...]:
    """Return the user's own pairs.

    Args:
        pairs: (student stage, teacher stage), counted from 1.
        student: shapes of every stage.
        teacher: shapes of every stage.

    Raises:
        ConfigError: if a stage does not exist.
    """
    for ours, theirs in pairs:
        for side, stage, count in (
            ("student", ours, len(student)),
            ("teacher", theirs, len(teacher)),
        ):
            if not 1 <= stage <= count:
                raise ConfigError(
                    f"pairs={ours}:{theirs}: the {side} has no stage {stage}; it has {count}"
                )
    return tuple(_pair(student, teacher, ours - 1, theirs - 1) for ours, theirs in pairs)


def common_positions(student: Shape, teacher: Shape) -> int:
    """Return how many positions two maps have after both are pooled to a common size."""
    sizes = [(1, 1, *shape[1:])[-2:] for shape in (student, teacher)]
    return math.prod(min(pair) for pair in zip(*sizes, strict=True))


def single_positions(student: ViewShapes, teacher: ViewShapes) -> tuple[int, ...]:
    """Return the layer pairs, counted from 1, that have one position in common."""
    pairs = zip(student.features, teacher.features, strict=True)
    return tuple(n for n, pair in enumerate(pairs, start=1) if common_positions(*pair) == 1)


def hardware_importance(stage_costs: Sequence[float]) -> tuple[float, ...]:
    """Return weights of layer pairs in proportion to what their stage costs on the device.

    Args:
        stage_costs: per student stage, in seconds, cycles or MACs, >= 0.

    Returns:
        Weights with mean 1, so that the sum of the terms keeps its size; all 1 for zero costs.
    """
    total = sum(stage_costs)
    if total <= 0:
        return (1.0,) * len(stage_costs)
    return tuple(cost * len(stage_costs) / total for cost in stage_costs)


def _pair(student: Sequence[Shape], teacher: Sequence[Shape], i: int, j: int) -> LayerPair:
    return LayerPair(
        student=i + 1, teacher=j + 1, student_shape=student[i], teacher_shape=teacher[j]
    )


def _cost(ours: Shape, theirs: Shape, depth: float) -> float:
    """Return how unlike two stages are; `depth` is the difference of their relative depths."""
    ratio = math.log2(math.prod(ours[1:]) / math.prod(theirs[1:]))
    return abs(ratio) + abs(depth)
