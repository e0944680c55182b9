"""From maps of outputs to things: the decoding that C repeats, in whole numbers where sums round.

A cell of 8x8 pixels has a logit for each class and, for boxes, the distances of their edges from
its centre, in cells. Edges are whole sixteenths of a pixel, so that what overlaps is decided alike
on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwkd.core.arrays import Flags, Floats, Ints
from hwkd.core.boxes import CELL_PIXELS
from hwkd.core.likeliest import likeliest

# Sixteenths of a pixel in a cell; a power of two, which multiplies a float32 without rounding.
CELL_UNITS = 16 * CELL_PIXELS
MOST_THINGS = 32
# Logits below it are no thing whatever the threshold: a probability of .018.
LEAST_SCORE = -4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """What networks see in n pictures, the surest first.

    Attributes:
        labels: shape [n, 32], -1 where there is nothing more.
        scores: logits, float32, shape [n, 32].
        edges: left, top, right and bottom in sixteenths of a pixel, int64, shape [n, 32, 4].
    """

    labels: Ints
    scores: Floats
    edges: Ints


def decoded(outputs: Floats, *, classes: int) -> Things:
    """Return the things in outputs [n, classes, height, width], or with 4 edges behind the classes.

    With edges, a box is left out that has more than half in common (intersection over union) with
    a surer one of its class. Without, a cell is left out beside which one is as sure or surer.

    Source:
        Edges: Tian et al. 2019, arXiv:1904.01355. Points: Zhou et al. 2019, arXiv:1904.07850.
    """
    count, _, height, width = outputs.shape
    logits = outputs[:, :classes].reshape(count, classes, -1)
    best, label = logits.max(axis=1), likeliest(logits)
    is_there = best >= np.float32(LEAST_SCORE)
    has_edges = outputs.shape[1] > classes
    if not has_edges:
        is_there &= _is_peak(best.reshape(count, height, width)).reshape(count, -1)
    order = np.argsort(np.where(is_there, -best, np.inf), axis=1, kind="stable")
    order = order[:, : max(1, int(is_there.sum(axis=1).max(initial=0)))]
    edges = np.take_along_axis(_edges(outputs, classes), order[..., np.newaxis], axis=1)
    label, best, is_there = (np.take_along_axis(v, order, axis=1) for v in (label, best, is_there))
    if has_edges:
        is_there &= (edges[..., 2] > edges[..., 0]) & (edges[..., 3] > edges[..., 1])
        is_there = _unsuppressed(edges, label, is_there)
    return _first(is_there, label, best, edges)


def _is_peak(best: Floats) -> Flags:
    """Tell which cells are surer than the eight around them; of equals the first is."""
    count, height, width = best.shape
    around = np.full((count, height + 2, width + 2), -np.inf, dtype=np.float32)
    around[:, 1:-1, 1:-1] = best
    peak = np.ones(best.shape, dtype=np.bool_)
    for down in range(3):
        for right in range(3):
            other = around[:, down : down + height, right : right + width]
            if (down, right) < (1, 1):
                peak &= best > other
            elif (down, right) > (1, 1):
                peak &= best >= other
    return peak


def _edges(outputs: Floats, classes: int) -> Ints:
    """Return the edges of what each cell sees, [n, cells, 4]; without distances those of cells."""
    count, channels, height, width = outputs.shape
    rows, columns = (index.reshape(-1) * CELL_UNITS for index in np.indices((height, width)))
    corners = np.stack([columns, rows, columns, rows], axis=1)
    if channels == classes:
        ends = corners + np.array([0, 0, CELL_UNITS, CELL_UNITS])
        return np.broadcast_to(ends, (count, *ends.shape))
    distances = outputs[:, classes:].reshape(count, 4, -1).transpose(0, 2, 1)
    distances = np.maximum(distances.astype(np.float32), np.float32(0.0))
    units = np.floor(distances * np.float32(CELL_UNITS) + np.float32(0.5)).astype(np.int64)
    found = corners + CELL_UNITS // 2 + units * np.array([-1, -1, 1, 1])
    limits = np.array([width, height, width, height]) * CELL_UNITS
    inside: Ints = np.clip(found, 0, limits)
    return inside


def _unsuppressed(edges: Ints, label: Ints, is_there: Flags) -> Flags:
    """Return which boxes, the surest first, share at most half with a kept one of their class."""
    kept = is_there.copy()
    areas = (edges[..., 2] - edges[..., 0]) * (edges[..., 3] - edges[..., 1])
    for at in range(edges.shape[1]):
        shared = _shared(edges[:, at : at + 1], edges[:, at + 1 :])
        whole = areas[:, at : at + 1] + areas[:, at + 1 :] - shared
        same = label[:, at : at + 1] == label[:, at + 1 :]
        kept[:, at + 1 :] &= ~(kept[:, at : at + 1] & same & (2 * shared > whole))
    return kept


def _shared(ours: Ints, theirs: Ints) -> Ints:
    """Return the area that boxes share."""
    ends = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    area: Ints = np.maximum(ends, 0).prod(axis=-1)
    return area


def _first(is_there: Flags, label: Ints, best: Floats, edges: Ints) -> Things:
    count = len(is_there)
    order = np.argsort(~is_there, axis=1, kind="stable")[:, :MOST_THINGS]
    labels = np.full((count, MOST_THINGS), -1, dtype=np.int64)
    scores = np.full((count, MOST_THINGS), -np.inf, dtype=np.float32)
    ends = np.zeros((count, MOST_THINGS, 4), dtype=np.int64)
    some = order.shape[1]
    is_kept = np.take_along_axis(is_there, order, axis=1)
    labels[:, :some] = np.where(is_kept, np.take_along_axis(label, order, axis=1), -1)
    scores[:, :some] = np.where(is_kept, np.take_along_axis(best, order, axis=1), -np.inf)
    ends[:, :some] = np.take_along_axis(edges, order[..., np.newaxis], axis=1) * is_kept[..., None]
    return Things(labels=labels, scores=scores, edges=ends)
