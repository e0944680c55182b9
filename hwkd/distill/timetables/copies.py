"""Which copy of a network is used when: stale copies of peers, anchors of a teacher's course."""

from __future__ import annotations


def stale_copy(step: int, *, interval: int, burn_in: int) -> int:
    """Return the step before whose update the copy in use was taken; -1 during the burn-in.

    Source:
        Codistillation, Anil et al. 2018, arXiv:1804.03235.
    """
    return -1 if step < burn_in else step // interval * interval


def stale_weight(step: int, *, burn_in: int) -> float:
    """Return 0 during the burn-in and 1 after it."""
    return 0.0 if step < burn_in else 1.0


def anchor_epochs(epochs: int, interval: int) -> list[int]:
    """Return the epochs, from 0, after which a teacher's anchors are taken: each k-th, the last."""
    return [*range(interval - 1, epochs - 1, interval), epochs - 1]


def anchor_in_use(epoch: int, interval: int, anchors: int) -> int:
    """Return the anchor that teaches a student's epoch, both from 0; the last one stays.

    Source:
        RCO, Jin et al. 2019, arXiv:1904.09149, with equal intervals.
    """
    return min(epoch // interval, anchors - 1)
