"""What is added to each class's outputs so that the mean IoU over the classes is largest.

A network that learns by cross-entropy, rarer classes weighing more, is right about how likely
classes are, weighed so. Which class to name for the largest mean IoU is another question: a
position that is named wrongly costs two classes, by their sizes. The answers are moved, and not the
weights: one number for each class, which ships in a bias.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwkd.core.arrays import Floats, Ints

_REACH, _STEPS, _SWEEPS = 3.0, 121, 3


def iou_offsets(outputs: Floats, given: Ints) -> NDArray[np.float32]:
    """Return what to add to the outputs of each class, shape [classes].

    Each class in turn is moved to the best of 121 places within 3 nats, three times over; nowhere
    where no move is better. A class that is given nowhere stays: that it would best never be named
    is all that is known of it, and it may come in other pictures.

    Args:
        outputs: logits, shape [classes, positions].
        given: class of each position, shape [positions], all >= 0.
    """
    classes = len(outputs)
    places = np.linspace(-_REACH, _REACH, _STEPS)
    offsets = np.zeros(classes)
    for _ in range(_SWEEPS):
        for moved in np.unique(given).tolist():
            others = outputs + offsets[:, np.newaxis]
            others[moved] = -np.inf
            second = others.argmax(axis=0)
            from_place = np.searchsorted(places, others.max(axis=0) - outputs[moved], side="right")
            found = _mean_iou(moved, second, given, from_place, classes)
            now = int(np.abs(places - offsets[moved]).argmin())
            if found.max() > found[now]:
                offsets[moved] = places[int(found.argmax())]
    return offsets.astype(np.float32)


def _mean_iou(
    moved: int, second: Ints, given: Ints, from_place: Ints, classes: int
) -> NDArray[np.float64]:
    """Return the mean IoU at each place of one class.

    Args:
        second: class that is named for each position while the moved one is not.
        from_place: at which place, and at all behind it, the moved one is.
    """

    def up_to(chosen: NDArray[np.bool_], what: Ints) -> Ints:
        """Count by place and by `what` the chosen positions that the moved class has taken."""
        keys = from_place[chosen] * classes + what[chosen]
        counts = np.bincount(keys, minlength=(_STEPS + 1) * classes)
        return counts.reshape(_STEPS + 1, classes)[:_STEPS].cumsum(axis=0)

    everywhere = np.ones(len(given), bool)
    agrees = second == given
    shared = np.bincount(given[agrees], minlength=classes) - up_to(agrees, given)
    named = np.bincount(second, minlength=classes) - up_to(everywhere, second)
    taken = up_to(everywhere, given)
    shared[:, moved], named[:, moved] = taken[:, moved], taken.sum(axis=1)
    either = np.bincount(given, minlength=classes) + named - shared
    counts = either > 0
    means: NDArray[np.float64] = (shared / np.maximum(either, 1)).sum(
        axis=1, where=counts
    ) / counts.sum(axis=1)
    return means
