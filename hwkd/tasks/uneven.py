"""A note on classes of which one has nearly all samples, and on what is done about it."""

from __future__ import annotations

import numpy as np

from hwkd.core.head import Head
from hwkd.core.reading import Reading
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.raw import RawData

_MOST = 0.8  # of the train split, in one class, without a word


def uneven_classes(data: RawData, head: Head, reading: Reading) -> tuple[str, ...]:
    """Return what to know of a train split that is nearly all of one class; none where it is not.

    A network that names this class always is hard to beat while samples count alike, and scores
    that count classes alike call it a guesser.
    """
    labels = data.train.labels
    if not head.kind.of_classes or reading.class_weights == "balanced" or labels.ndim != 1:
        return ()
    counts = np.bincount(labels[head.is_labelled(labels)], minlength=head.size)
    share = float(counts.max() / max(counts.sum(), 1))
    if head.size < 2 or share <= _MOST:
        return ()
    found = (
        f"{100 * share:.0f}% of the training samples are of one class "
        f"({head.names[int(counts.argmax())]}); "
    )
    if isinstance(head, ClassesHead) and head.weights:
        metric = head.metrics[0].name
        return (
            f"{found}rare classes weigh more in training, since {metric} judges; --class-weights "
            "none lets every sample count alike",
        )
    return (
        f"{found}--metric balanced-accuracy lets the others count as much, in training and in what "
        "is chosen; --class-weights balanced does in training alone",
    )
