"""Draws, for every sample of a batch, another sample of the same class."""

from __future__ import annotations

import torch
from torch import Tensor


class PairSampler:
    """Partners of the same class; a class of one sample is its own partner."""

    def __init__(self, labels: Tensor, *, seed: int) -> None:
        """Sort the samples by class.

        Args:
            labels: shape [samples], int64, >= 0.
        """
        self._order = labels.argsort(stable=True)
        self._counts = labels.bincount()
        self._starts = self._counts.cumsum(0) - self._counts
        self._rank = torch.empty_like(labels)
        positions = torch.arange(len(labels), device=labels.device)
        self._rank[self._order] = positions - self._starts[labels[self._order]]
        self._labels = labels
        self.generator = torch.Generator().manual_seed(seed)

    def partners(self, sample_ids: Tensor) -> Tensor:
        """Return one other row of the same class for each row, shape [batch]."""
        classes = self._labels[sample_ids]
        counts = self._counts[classes]
        uniform = torch.rand(len(sample_ids), generator=self.generator).to(sample_ids.device)
        # 1 to count - 1 places further in the class, so never the sample itself.
        step = 1 + (uniform * (counts - 1)).long()
        rank = (self._rank[sample_ids] + step) % counts
        return self._order[self._starts[classes] + rank]
