"""What an int8 student is worth on validation examples that are varied as training varies them.

A thousand examples tell two good students apart by chance: the standard error of an error of .1 is
.0095. Shifted and mirrored, as training saw its own, the same examples ask again: over 16 full
trainings of four searches on Fashion-MNIST the accuracy on eight varied copies went along with that
on the test set (correlation .75), the accuracy on the examples as they are hardly (.39). The last
choice among full trainings goes by it; every score in records is of the examples as they are.
"""

from __future__ import annotations

import math
from pathlib import Path

from hwkd.engine.arms.evaluation import student_logits
from hwkd.engine.setup.context import SearchContext
from hwkd.train.augment import augment
from hwkd.train.choose_augmentation import choose_augmentation

_MOST_COPIES, _MOST_EXAMPLES = 8, 8_000


def varied_copies(context: SearchContext) -> int:
    """Return how many varied copies are answered; none of many examples, which need no more."""
    if context.data.head.kind.of_maps:
        return 0  # every position of a map is an example
    return min(_MOST_COPIES, _MOST_EXAMPLES // max(1, len(context.data.validation)))


def varied_error(context: SearchContext, int8_path: Path) -> float | None:
    """Return the mean error over the varied copies, 0 is best; None if nothing may vary.

    Args:
        context: of the run; the copies are the same for all its students.
    """
    data, copies = context.data, varied_copies(context)
    if not copies:
        return None
    variation = choose_augmentation(data.train, passes=math.inf, symmetry=lambda: context.symmetry)
    if not variation.changes_inputs:
        return None
    inputs, labels = data.validation.inputs, data.validation.labels
    answers = (
        student_logits(int8_path, augment(inputs, copy, variation)) for copy in range(copies)
    )
    return math.fsum(float(data.head.errors(a, labels).mean()) for a in answers) / copies
