"""Boxes around things in pictures: how targets hold them, and how they move with their pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Side, in pixels, of the cells that outputs about boxes have a position for.
CELL_PIXELS = 8
# Class, left, top, right and bottom, in pixels from the upper left corner.
BOX_VALUES = 5
# In place of a class: no box, and in every row of a picture of which nothing is known.
NO_BOX, UNKNOWN = -1.0, -2.0


def moved_boxes(boxes: Tensor, positions: Tensor | None) -> Tensor:
    """Return boxes, shape [batch, most, 5], moved as the pictures of a batch are.

    What lies outside the picture afterwards is cut off; a box of which nothing is left becomes
    none.

    Args:
        positions: see `hwkd.core.signals.Batch.positions`.
    """
    if positions is None:
        return boxes
    height, width = positions.shape[1:]
    rows = positions[:, :, 0] // width
    columns = positions[:, 0, :] % width
    # A position comes from itself plus a shift, held inside the picture: the first or the last is.
    down = (rows[:, 0] + rows[:, -1] - (height - 1)).to(boxes.dtype)[:, None]
    right = (columns[:, 0] + columns[:, -1] - (width - 1)).to(boxes.dtype)[:, None]
    is_mirrored = is_mirror_image(positions)[:, None]
    label, x0, y0, x1, y1 = boxes.unbind(-1)
    x0, x1 = (
        (width + right - x1).where(is_mirrored, x0 - right).clamp(0, width),
        (width + right - x0).where(is_mirrored, x1 - right).clamp(0, width),
    )
    y0, y1 = (y0 - down).clamp(0, height), (y1 - down).clamp(0, height)
    is_lost = (label >= 0) & ((x1 <= x0) | (y1 <= y0))
    kept = label.masked_fill(is_lost, NO_BOX)
    moved: Tensor = boxes.new_empty(boxes.shape)
    for at, values in enumerate((kept, x0, y0, x1, y1)):
        moved[..., at] = values
    return moved


def is_mirror_image(positions: Tensor) -> Tensor:
    """Tell which pictures of a batch are mirrored, shape [batch], of `Batch.positions`."""
    return positions[:, 0, 0] > positions[:, 0, -1]
