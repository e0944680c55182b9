"""What networks that see things learn from boxes: a class at their centres, and their edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwkd.core.boxes import CELL_PIXELS, UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor

# Of a box's side, the deviation of the bell around its centre; in cells, at least.
_SPREAD_RATIO, _LEAST_SPREAD = 1 / 6, 0.4
# How high the bell is where a cell learns the edges of a box.
_OWNED_FROM = 0.3
_EDGE_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What outputs should be, of a batch.

    Attributes:
        heat: 1 at the centre of a box of the class, falling to 0, [batch, classes, height, width].
        edges: distances of left, top, right and bottom from each cell's centre, in cells, of the
            smallest box that it belongs to, [batch, 4, height, width].
        owned: cells that belong to one, [batch, height, width].
        known: pictures of which the boxes are known, [batch].
    """

    heat: Tensor
    edges: Tensor
    owned: Tensor
    known: Tensor


def wanted_outputs(boxes: Tensor, *, classes: int, grid: tuple[int, int]) -> Wanted:
    """Return what outputs for boxes, [batch, most, 5] in pixels, should be."""
    import torch

    height, width = grid
    is_box = boxes[..., 0] >= 0
    x0, y0, x1, y1 = (boxes[..., 1:] / CELL_PIXELS).unbind(-1)
    rows = torch.arange(height, device=boxes.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=boxes.device).view(1, 1, 1, -1)

    def bell(low: Tensor, high: Tensor, places: Tensor, size: int) -> Tensor:
        centre = ((low + high) / 2).floor().clamp(0, size - 1)[..., None, None]
        spread = ((high - low) * _SPREAD_RATIO).clamp(min=_LEAST_SPREAD)[..., None, None]
        return (-(((places - centre) / spread) ** 2) / 2).exp()

    bells = bell(x0, x1, columns, width) * bell(y0, y1, rows, height)
    bells = bells * is_box[..., None, None]
    of_class = torch.nn.functional.one_hot(boxes[..., 0].clamp(min=0).long(), classes)
    heat = (bells[:, :, None] * of_class[..., None, None]).amax(dim=1)
    area = ((x1 - x0) * (y1 - y0))[..., None, None]
    smallest = area.where(bells >= _OWNED_FROM, area.new_tensor(float("inf"))).min(dim=1)
    owned = smallest.values.isfinite()
    chosen = smallest.indices.flatten(1)
    ends = [edge.gather(1, chosen).view(owned.shape) for edge in (x0, y0, x1, y1)]
    x, y = columns[:, 0] + 0.5, rows[:, 0] + 0.5
    edges = torch.stack([x - ends[0], y - ends[1], ends[2] - x, ends[3] - y], dim=1).clamp(min=0.0)
    return Wanted(heat, edges, owned, (boxes[:, 0, 0] != UNKNOWN))


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
