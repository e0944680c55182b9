"""Targets from how near classes lie to each other in a classifier."""

from __future__ import annotations

import torch
from torch import Tensor


def near_classes(members: Tensor, labels: Tensor, *, spread: float, share: float) -> Tensor:
    """Return logits of a target: the label, and a share for all classes by their nearness to it.

    Args:
        members: rows of a classifier, shape [1, classes, dim].
        labels: shape [batch].
        spread: distance, in mean distances of two classes, at which nearness falls to 1 / e; > 0.
        share: of what is given by nearness, 0 to 1; the label has the rest.

    Source:
        Hahn and Choi 2019, arXiv:1908.01851, where rows are embeddings of words.
    """
    rows = members[0]
    gaps = torch.linalg.vector_norm(rows[:, None] - rows[None] + 1e-12, dim=2)
    count = len(rows)
    mean = gaps.sum() / max(1, count * (count - 1))
    near = torch.softmax(-gaps / (spread * mean.clamp_min(1e-12)), 1)[labels]
    sure = torch.nn.functional.one_hot(labels, count).to(near)
    return ((1.0 - share) * sure + share * near).clamp_min(1e-12).log()
