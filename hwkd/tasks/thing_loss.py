"""What networks that see things learn from boxes: a class at their centres, and their edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwkd.core.box_targets import wanted_outputs

if TYPE_CHECKING:
    from torch import Tensor

_EDGE_WEIGHT = 0.2


def thing_loss(
    outputs: Tensor, boxes: Tensor, *, classes: int, some_unlabelled: bool = False
) -> Tensor:
    """Return the mean over pictures of what their cells get wrong, by the number of their boxes.

    Classes: the focal loss of centre points. Edges: 1 minus the generalised intersection over
    union, and a little of the distance, which has a gradient where a distance is negative.

    Source:
        Zhou et al. 2019, arXiv:1904.07850, equation 1; Rezatofighi et al. 2019, arXiv:1902.09630.
    """
    from torch.nn import functional

    height, width = outputs.shape[2:]
    wanted = wanted_outputs(boxes, classes=classes, grid=(height, width))
    logits = outputs[:, :classes]
    there, absent = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    is_centre = wanted.heat == 1
    centres = -(absent.exp() ** 2 * there)
    others = -((1 - wanted.heat) ** 4 * there.exp() ** 2 * absent)
    wrong = centres.where(is_centre, others).flatten(1).sum(dim=1)
    lost = wrong / (boxes[..., 0] >= 0).sum(dim=1).clamp(min=1)
    if outputs.shape[1] > classes:
        edges = outputs[:, classes:]
        off = 1 - _generalised_overlap(edges.clamp(min=0.0), wanted.edges)
        off = off + _EDGE_WEIGHT * functional.smooth_l1_loss(
            edges, wanted.edges, reduction="none"
        ).mean(dim=1)
        owned = wanted.owned.flatten(1)
        lost = lost + (off.flatten(1) * owned).sum(dim=1) / owned.sum(dim=1).clamp(min=1)
    counted = len(lost) if some_unlabelled else wanted.known.sum().clamp(min=1)
    total: Tensor = (lost * wanted.known).sum() / counted
    return total


def _generalised_overlap(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return it for boxes about one centre, each given by four distances, [batch, 4, ...]."""

    def area(sides: Tensor) -> Tensor:
        return (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])

    shared = area(ours.minimum(theirs))
    whole = area(ours) + area(theirs) - shared
    around = area(ours.maximum(theirs))
    tiny = 1e-6
    overlap: Tensor = (shared + tiny) / (whole + tiny) - (around - whole) / (around + tiny)
    return overlap
