"""How much a student learns from its teacher, and from samples at the teacher's boundaries."""

from __future__ import annotations


def boundary_ratios(epoch: int, epochs: int) -> tuple[float, float]:
    """Return weights of distillation, 4 to 1, and of boundary samples, 2 to 0 at 3/4 of the epochs.

    Args:
        epoch: from 1.
        epochs: of the training.

    Source:
        BSS, Heo et al. 2019, arXiv:1805.05532.
    """
    done = epoch / epochs
    return 4.0 - 3.0 * done, max(2.0 - 2.0 * done / 0.75, 0.0)
