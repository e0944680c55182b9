"""What is heard in a recording: outputs of its windows, in order, as the firmware takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwkd.core.arrays import Doubles, Floats
from hwkd.core.head import Head
from hwkd.core.likeliest import likeliest
from hwkd.core.listening import WHOLE, ListenRule, power_factor
from hwkd.signals.listening import chances, smoothed
from hwkd.tasks.reconstruction_head import ANSWERS, ReconstructionHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Scores of inferences.

    Attributes:
        labels: name of each score.
        unit: what a score is.
        scores: shape [inferences, labels].
        heard: number of the label of each inference whose score reached the threshold, or None.
        threshold: None where nothing is decided.
    """

    labels: tuple[str, ...]
    unit: str
    scores: Doubles
    heard: tuple[int | None, ...]
    threshold: float | None


def heard_classes(head: Head, outputs: Floats, rule: ListenRule, *, output_scale: float) -> Heard:
    """Return mean probabilities of classes, with the integers of `model_process` in the C.

    Args:
        outputs: logits, shape [inferences, classes].
        output_scale: of an int8 step of them.
    """
    steps = np.rint(outputs / output_scale).astype(np.int64)
    mean = smoothed(chances(steps, power_factor(output_scale)), rule.smoothing)
    best = likeliest(mean)
    if rule.label is not None:
        best[:] = rule.label
    return Heard(
        labels=head.names,
        unit="probability",
        scores=mean / WHOLE,
        heard=tuple(
            int(label) if row[label] >= rule.threshold else None
            for label, row in zip(best, mean, strict=True)
        ),
        threshold=rule.threshold / WHOLE,
    )


def heard_values(head: Head, outputs: Floats, inputs: Floats) -> Heard:
    """Return distances of what repeats its input, or values in their unit."""
    if not isinstance(head, ReconstructionHead):
        values = outputs * np.array(head.answer_std) + np.array(head.answer_mean)
        return Heard(
            labels=head.names,
            unit="value",
            scores=values,
            heard=(None,) * len(values),
            threshold=None,
        )
    nowhere = head.targets(np.zeros(len(inputs)), inputs)
    distances = head.distances(outputs, nowhere)[:, np.newaxis]
    limit = None if head.decision is None else head.decision.threshold
    return Heard(
        labels=(ANSWERS[1],),
        unit="distance",
        scores=distances,
        heard=tuple(0 if limit is not None and d >= limit else None for (d,) in distances),
        threshold=limit,
    )
