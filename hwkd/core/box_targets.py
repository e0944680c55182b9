"""What maps of outputs about things should be: a class at the middle of each, and its edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hwkd.core.boxes import CELL_PIXELS, UNKNOWN

if TYPE_CHECKING:
    from torch import Tensor

# Of a box's side, the deviation of the bell around its centre; in cells, at least.
_SPREAD_RATIO, _LEAST_SPREAD = 1 / 6, 0.4
# How high the bell is where a cell learns the edges of a box.
OWNED_FROM = 0.3


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


def wanted_outputs(
    boxes: Tensor, *, classes: int, grid: tuple[int, int], sureness: Tensor | None = None
) -> Wanted:
    """Return what outputs for boxes, [batch, most, 5] in pixels, should be.

    Args:
        sureness: how high the bell of each box is, [batch, most]; None is 1 for all.
    """
    height, width = grid
    is_box = boxes[..., 0] >= 0
    x0, y0, x1, y1 = (boxes[..., 1:] / CELL_PIXELS).unbind(-1)
    rows, columns, numbers = (boxes.new_ones(n).cumsum(0) - 1 for n in (height, width, classes))
    rows, columns = rows.view(1, 1, -1, 1), columns.view(1, 1, 1, -1)

    def bell(low: Tensor, high: Tensor, places: Tensor, size: int) -> Tensor:
        centre = ((low + high) / 2).floor().clamp(0, size - 1)[..., None, None]
        spread = ((high - low) * _SPREAD_RATIO).clamp(min=_LEAST_SPREAD)[..., None, None]
        return (-(((places - centre) / spread) ** 2) / 2).exp()

    bells = bell(x0, x1, columns, width) * bell(y0, y1, rows, height)
    bells = bells * is_box[..., None, None]
    of_class = (boxes[..., :1] == numbers).to(boxes.dtype)
    high = bells if sureness is None else bells * sureness[..., None, None]
    heat = (high[:, :, None] * of_class[..., None, None]).amax(dim=1)
    area = ((x1 - x0) * (y1 - y0))[..., None, None]
    smallest = area.where(bells >= OWNED_FROM, area.new_tensor(float("inf"))).min(dim=1)
    owned = smallest.values.isfinite()
    chosen = smallest.indices.flatten(1)
    ends = [edge.gather(1, chosen).view(owned.shape) for edge in (x0, y0, x1, y1)]
    x, y = columns[:, 0] + 0.5, rows[:, 0] + 0.5
    edges: Tensor = boxes.new_empty(len(boxes), 4, height, width)
    for at, distance in enumerate((x - ends[0], y - ends[1], ends[2] - x, ends[3] - y)):
        edges[:, at] = distance.clamp(min=0.0)
    return Wanted(heat, edges, owned, (boxes[:, 0, 0] != UNKNOWN))
