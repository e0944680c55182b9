"""Boxes around things in pictures: how targets hold them, and how they move with their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Side, in pixels, of the cells that outputs about boxes have a position for.
CELL_PIXELS = 8
# Class, left, top, right and bottom, in pixels from the upper left corner.
BOX_VALUES = 5
# In place of a class: no box, and in every row of a picture of which nothing is known.
NO_BOX, UNKNOWN = -1.0, -2.0


@dataclass(frozen=True, slots=True)
class Moves:
    """How the pictures of a batch were moved: shifted, mirrored and flipped, then transposed.

    Attributes:
        rows: that rows come from, before rows and columns change places, [batch, height].
        columns: likewise, [batch, width].
        mirrored: which pictures have left and right changed, [batch].
        flipped: which have up and down changed.
        transposed: in which rows and columns change places.
    """

    rows: Tensor
    columns: Tensor
    mirrored: Tensor
    flipped: Tensor
    transposed: Tensor

    @classmethod
    def of(cls, positions: Tensor) -> Moves:
        """Find them in `hwkd.core.signals.Batch.positions`."""
        width = positions.shape[2]
        first_row, first_column = positions[:, 0], positions[:, :, 0]
        transposed = first_row[:, 0] // width != first_row[:, -1] // width
        rows, columns = first_column // width, first_row % width
        if bool(transposed.any()):
            rows = (first_row // width).where(transposed[:, None], rows)
            columns = (first_column % width).where(transposed[:, None], columns)
        return cls(
            rows, columns, mirrored=columns[:, 0] > columns[:, -1],
            flipped=rows[:, 0] > rows[:, -1], transposed=transposed,
        )  # fmt: skip


def moved_boxes(boxes: Tensor, positions: Tensor | None) -> Tensor:
    """Return boxes, shape [batch, most, 5], moved as the pictures of a batch are.

    What lies outside the picture afterwards is cut off; a box of which nothing is left becomes
    none.

    Args:
        positions: see `hwkd.core.signals.Batch.positions`.
    """
    if positions is None:
        return boxes
    moves = Moves.of(positions)
    label, x0, y0, x1, y1 = boxes.unbind(-1)
    x0, x1 = _moved_ends(x0, x1, moves.columns, moves.mirrored)
    y0, y1 = _moved_ends(y0, y1, moves.rows, moves.flipped)
    is_lost = (label >= 0) & ((x1 <= x0) | (y1 <= y0))
    across = moves.transposed[:, None]
    kept = label.masked_fill(is_lost, NO_BOX)
    moved: Tensor = boxes.new_empty(boxes.shape)
    ends = (y0.where(across, x0), x0.where(across, y0), y1.where(across, x1), x1.where(across, y1))
    for at, values in enumerate((kept, *ends)):
        moved[..., at] = values
    return moved


def _moved_ends(
    low: Tensor, high: Tensor, places: Tensor, is_reversed: Tensor
) -> tuple[Tensor, Tensor]:
    """Return where boxes begin and end, [batch, most], in pictures whose places come from others.

    Args:
        places: that those of the moved picture come from, along one axis, [batch, size].
    """
    size = places.shape[1]
    # A place comes from itself plus a shift, held inside the picture: the first or the last is.
    by = (places[:, 0] + places[:, -1] - (size - 1)).to(low.dtype)[:, None]
    over = is_reversed[:, None]
    return (
        (size + by - high).where(over, low - by).clamp(0, size),
        (size + by - low).where(over, high - by).clamp(0, size),
    )


def mirrored_edges(maps: Tensor) -> Tensor:
    """Return maps whose last outputs are edges, left, top, right, bottom, with the sides changed.

    Args:
        maps: shape [batch, outputs, height, width].
    """
    classes = list(range(maps.shape[1] - 4))
    return maps[:, [*classes, -2, -3, -4, -1]]


def moved_edges(maps: Tensor, moves: Moves) -> Tensor:
    """Return maps whose last outputs are edges with those named as they are in moved pictures."""
    mirrored, flipped, transposed = (
        which[:, None, None] for which in (moves.mirrored, moves.flipped, moves.transposed)
    )
    left, top, right, bottom = maps[:, -4:].unbind(1)
    left, right = right.where(mirrored, left), left.where(mirrored, right)
    top, bottom = bottom.where(flipped, top), top.where(flipped, bottom)
    edges = (
        top.where(transposed, left), left.where(transposed, top),
        bottom.where(transposed, right), right.where(transposed, bottom),
    )  # fmt: skip
    classes = maps[:, :-4].unbind(1)
    shown: Tensor = maps.new_empty(maps.shape)
    for at, values in enumerate((*classes, *edges)):
        shown[:, at] = values
    return shown
