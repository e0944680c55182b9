"""What soft answers say beside the label: how sure they are, how right, of which wrong classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hwkd.core.evenly import evenly
from hwkd.core.teaching_record import SoftAnswers, SoftSample

_BINS = 15
_SHOWN = 3


def soft_answers(
    logits: NDArray[np.floating],
    labels: NDArray[np.int64],
    names: Sequence[str],
    *,
    is_right: NDArray[np.bool_],
    samples: int = 10,
) -> SoftAnswers:
    """Look at answers.

    Args:
        logits: shape [n, classes].
        labels: shape [n].
        names: of the classes.
        is_right: whether the head calls each answer by its label, shape [n].
        samples: how many are shown, at most.
    """
    shares = probabilities(logits)
    entropies = -(shares * np.log(np.maximum(shares, 1e-300))).sum(1)
    order = np.argsort(entropies, kind="stable")
    places = evenly(len(order), samples)
    shown = [
        SoftSample(
            row=int(row),
            label=names[labels[row]],
            likeliest=tuple(
                (names[c], float(shares[row, c]))
                for c in np.argsort(-shares[row], kind="stable")[:_SHOWN]
            ),
            entropy_nats=float(entropies[row]),
        )
        for row in order[places]
    ]
    return SoftAnswers(
        accuracy=float(is_right.mean()),
        entropy_nats=float(entropies.mean()),
        calibration_error=calibration_error(shares.max(1), is_right),
        samples=tuple(shown),
    )


def probabilities(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the softmax over the last axis, in double precision."""
    from scipy.special import softmax

    found: NDArray[np.float64] = softmax(logits.astype(np.float64), axis=-1)
    return found


def calibration_error(
    confidence: NDArray[np.float64], is_right: NDArray[np.bool_], *, bins: int = _BINS
) -> float:
    """Return the mean distance of confidence and accuracy over bins of confidence, 0 to 1.

    Args:
        confidence: probability of each answer, shape [n].
        is_right: shape [n].
        bins: of equal width.

    Source:
        Expected calibration error, Guo et al. 2017, arXiv:1706.04599.
    """
    number = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(float(confidence[number == b].mean()) - float(is_right[number == b].mean()))
        * float((number == b).mean())
        for b in np.unique(number)
    ]
    return float(sum(gaps))
