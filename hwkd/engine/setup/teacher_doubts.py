"""Whether a teacher of the user's is what it seems: shown what it expects, and understood rightly.

A network at the wrong scale of its input, or with its classes in another order, is often better
than chance and still a bad teacher. So the usual ways to get it wrong are tried on validation
examples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from hwkd.core.errors import TeacherError
from hwkd.core.head import Correction, Head, Knowledge
from hwkd.core.progress import Progress
from hwkd.language.text_classifier import TextClassifier
from hwkd.tasks.base import TaskData
from hwkd.train.teacher_input import SeenInput, usual_inputs
from hwkd.train.teacher_module import ModuleTeacher
from hwkd.train.teacher_onnx import OnnxTeacher
from hwkd.train.teacher_open import NetworkTeacher

_Outputs: TypeAlias = NDArray[np.float32]
# Enough to see what is far better; a tenth of a second to a few seconds for each way.
_MOST_EXAMPLES, _FEWEST_EXAMPLES = 1000, 10
# Far better is at least this much of the error of knowing nothing, and no luck: of two dozen ways,
# one that is as good passes four standard errors once in a thousand teachers.
_LEAST_GAIN = 0.05
_DEVIATIONS = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How a teacher would be far better.

    Attributes:
        line: with what it is worth as it is used and in the better way.
        remedy: what it is worth in the better way, and what selects that.
    """

    line: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Way:
    """One way to use a teacher, judged on examples that no correction was found on."""

    seen: SeenInput | None
    correction: Correction | None
    errors: NDArray[np.float64]
    knowledge: Knowledge
    loss: float

    @property
    def worth(self) -> tuple[float, float]:
        """What it knows; of ways that know as much, the surer one is what it was trained with."""
        return self.knowledge.value, -self.loss

    def is_far_better(self, other: _Way) -> bool:
        gain = other.errors - self.errors
        luck = _DEVIATIONS * float(gain.std()) / np.sqrt(len(gain))
        return (
            self.knowledge.is_enough
            and float(gain.mean()) >= max(_LEAST_GAIN, luck)
            and self.knowledge.value - other.knowledge.value >= _LEAST_GAIN
        )


def find_doubt(
    teacher: NetworkTeacher | TextClassifier,
    data: TaskData,
    outputs: _Outputs,
    *,
    progress: Progress,
) -> Doubt | None:
    """Say how a teacher would be far better; None if no usual way is.

    Args:
        teacher: one of the user's; of others nothing is doubted.
        data: of which validation examples are used.
        outputs: of the teacher for all validation examples, as it is used.
    """
    if teacher.kind == "trained here":
        return None
    generator = np.random.default_rng(0)
    chosen = generator.permutation(len(data.validation))[:_MOST_EXAMPLES]
    if len(chosen) < _FEWEST_EXAMPLES:
        return None
    inputs, targets = data.validation.inputs[chosen], data.validation.labels[chosen]
    used, *corrected = _ways(data.head, None, outputs[chosen], targets)
    if used.errors.mean() < _LEAST_GAIN:
        return None
    shows = teacher if isinstance(teacher, OnnxTeacher | ModuleTeacher) else None  # others read
    for seen, answers in () if shows is None else _answers(shows, data, inputs, progress):
        corrected += _ways(data.head, seen, answers, targets)
    # One mistake explains more than two.
    singles = [way for way in corrected if way.seen is None or way.correction is None]
    doubles = [way for way in corrected if way not in singles]
    best = used
    for group in (singles, doubles):
        better = [way for way in group if way.is_far_better(best)]
        best = max(better, key=lambda way: way.worth, default=best)
    return None if best is used else _said(teacher, used, best)


def _ways(
    head: Head, seen: SeenInput | None, outputs: _Outputs, targets: NDArray[Any]
) -> list[_Way]:
    """Return what outputs are worth as they are, and corrected by what every second one says."""
    found = head.correction(outputs[::2], targets[::2])
    held, known = outputs[1::2], targets[1::2]
    ways = []
    for correction in (None, found) if found.says else (None,):
        answers = held if correction is None else correction.outputs(held)
        ways.append(
            _Way(
                seen=seen,
                correction=correction,
                errors=head.errors(answers, known),
                knowledge=head.knowledge(answers, known),
                loss=float(head.loss(torch.tensor(answers), torch.tensor(known))),
            )
        )
    return ways


def _answers(
    teacher: OnnxTeacher | ModuleTeacher,
    data: TaskData,
    inputs: NDArray[np.float32],
    progress: Progress,
) -> Iterator[tuple[SeenInput, _Outputs]]:
    """Yield what the teacher says when it is shown other inputs, as far as it takes them."""
    now, usual_ones = teacher.seen, usual_inputs(data.pipeline.record())
    for is_last in (False, True):
        for number, usual in enumerate(usual_ones, start=is_last * len(usual_ones)):
            progress("other inputs of the teacher", number, 2 * len(usual_ones))
            seen = usual.with_channels(last=is_last)
            same = (seen.scale, seen.offset) == (now.scale, now.offset)
            if same and is_last == now.wanted.channels_last:
                continue
            try:
                yield seen, replace(teacher, seen=seen).logits(inputs)
            except TeacherError:  # of another shape, or it knows no such numbers
                if is_last != now.wanted.channels_last:
                    break


def _said(teacher: NetworkTeacher | TextClassifier, used: _Way, better: _Way) -> Doubt:
    """Put both numbers and what selects the better one into a line."""
    ways, advice = [], []
    if better.seen is not None:
        ways.append(f"with --teacher-input {better.seen.text}")
        advice.append(f"give --teacher-input {better.seen.text}")
    if better.correction is not None:
        ways.append(f"with {better.correction.says}")
        advice.append(better.correction.advice)
    remedy = (
        f"{better.knowledge.value:.3f} {' and '.join(ways)}, on {len(used.errors):,} validation "
        f"examples; {' and '.join(advice)}"
    )
    return Doubt(
        line=f"Teacher {teacher.name}: {used.knowledge.what} {used.knowledge.value:.3f} as it is "
        f"used (--teacher-input {teacher.seen.text}), but {remedy}",
        remedy=remedy,
    )
