"""What networks that see things learn from boxes: a class at their centres, and their edges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwkd.core.box_targets import OWNED_FROM, Wanted, wanted_outputs

if TYPE_CHECKING:
    from torch import Tensor

_EDGE_WEIGHT = 0.2
_TINY = 1e-6
# That a thing is there is learned long before which it is: the focal loss says little where all
# classes are as unsure. At a weight of 1, mAP@50 .230 instead of .204 after 48,000 pictures. With a
# peak rate of .28, one detector, one seed, 48,000 scenes: .328, .366, .334 on train and .318, .403,
# .315 on validation with 0.25, 0.5, 1.5.
_WHICH_WEIGHT = 0.5


def thing_loss(
    outputs: Tensor, boxes: Tensor, *, classes: int, some_unlabelled: bool = False
) -> Tensor:
    """Return the mean over pictures of what their cells get wrong, by the number of their boxes.

    Classes: the focal loss of centre points. Edges: 1 minus the generalised intersection over
    union, and a little of the distance, which has a gradient where a distance is negative. Beside
    them, where things are, the cross-entropy of which class it is.

    Source:
        Zhou et al. 2019, arXiv:1904.07850, equation 1; Rezatofighi et al. 2019, arXiv:1902.09630.
    """
    from torch.nn import functional

    height, width = outputs.shape[2:]
    wanted = wanted_outputs(boxes, classes=classes, grid=(height, width))
    logits = outputs[:, :classes].contiguous()
    there, absent = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    is_centre = wanted.heat == 1
    centres = -(absent.exp() ** 2 * there)
    others = -((1 - wanted.heat) ** 4 * there.exp() ** 2 * absent)
    wrong = centres.where(is_centre, others).flatten(1).sum(dim=1)
    lost = wrong / (boxes[..., 0] >= 0).sum(dim=1).clamp(min=1)
    if classes > 1:
        lost = lost + _WHICH_WEIGHT * _which(logits, wanted.heat)
    if outputs.shape[1] > classes:
        lost = lost + _off_edges(outputs[:, classes:], wanted)
    counted = len(lost) if some_unlabelled else wanted.known.sum().clamp(min=1)
    total: Tensor = (lost * wanted.known).sum() / counted
    return total


def _off_edges(edges: Tensor, wanted: Wanted) -> Tensor:
    """Return how wrong each picture's edges are, a mean of the cells of things, [batch].

    Args:
        edges: shape [batch, 4, height, width].
    """
    from torch.nn import functional

    pictures, rows, columns = wanted.owned.nonzero().unbind(1)
    ours, theirs = (each[pictures, :, rows, columns] for each in (edges, wanted.edges))
    off = 1 - _generalised_overlap(ours.clamp(min=0.0), theirs)
    off = off + _EDGE_WEIGHT * functional.smooth_l1_loss(ours, theirs, reduction="none").mean(1)
    cells = wanted.owned.flatten(1).sum(dim=1).clamp(min=1)
    return off.new_zeros(len(edges)).index_add(0, pictures, off / cells[pictures])


def _which(logits: Tensor, heat: Tensor) -> Tensor:
    """Return the mean cross-entropy of each picture's classes where there are things, [batch].

    Args:
        logits: shape [batch, classes, height, width], as `heat`.
        heat: how near the middle of a thing is, by which cells count.
    """
    from torch.nn import functional

    near, label = heat.max(dim=1)
    counts = (near * (near >= OWNED_FROM)).flatten(1)
    off = functional.cross_entropy(logits, label, reduction="none").flatten(1)
    return (off * counts).sum(dim=1) / counts.sum(dim=1).clamp(min=_TINY)


def _generalised_overlap(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return it for boxes about one centre, each given by four distances, [cells, 4]."""

    def area(sides: Tensor) -> Tensor:
        return (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])

    shared = area(ours.minimum(theirs))
    whole = area(ours) + area(theirs) - shared
    around = area(ours.maximum(theirs))
    overlap: Tensor = (shared + _TINY) / (whole + _TINY) - (around - whole) / (around + _TINY)
    return overlap
