"""How right outputs are, and whether that is more than guessing."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["accuracy_ratio", "balanced_accuracy_ratio", "least_knowledge_ratio"]

# One guess in 700 passes by luck at three standard deviations.
_CHANCE_DEVIATIONS = 3.0


def accuracy_ratio(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the share of examples whose largest logit is the label, 0 to 1."""
    return float(np.mean(logits.argmax(axis=1) == labels))


def balanced_accuracy_ratio(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the mean over the classes present of the share that is right, 0 to 1.

    Answering the most frequent class always is worth 1 / classes, however frequent it is.
    """
    is_right = logits.argmax(axis=1) == labels
    return float(np.mean([is_right[labels == label].mean() for label in np.unique(labels)]))


def least_knowledge_ratio(labels: NDArray[np.int64]) -> float:
    """Return the balanced accuracy above which outputs are more than guesses, 0 to 1.

    Three standard deviations above chance; of few examples, half way from chance to perfection at
    most, so that a perfect network always passes.
    """
    counts = np.unique(labels, return_counts=True)[1]
    chance = 1.0 / len(counts)
    deviation = math.sqrt(float(np.sum(chance * (1.0 - chance) / counts))) / len(counts)
    return min(chance + _CHANCE_DEVIATIONS * deviation, (1.0 + chance) / 2)
