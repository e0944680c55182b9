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
# Of a cell and a class: sorted and compared together, a few hundred bytes each.
_CHOICES_AT_ONCE = 2**19


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

    With edges, a cell may see a thing of each class in its box, as the evaluation of COCO has it; a
    box is left out that has more than half in common (intersection over union) with a surer one of
    its class. Without, a cell sees one thing, and is left out where one beside it is as sure.

    Source:
        Edges: Tian et al. 2019, arXiv:1904.01355. Points: Zhou et al. 2019, arXiv:1904.07850.
    """
    has_edges = outputs.shape[1] > classes
    choices = (classes if has_edges else 1) * outputs.shape[2] * outputs.shape[3]
    some = max(1, _CHOICES_AT_ONCE // choices)
    parts = [
        _decoded(outputs[start : start + some], classes, has_edges=has_edges)
        for start in range(0, max(1, len(outputs)), some)
    ]
    return Things(
        labels=np.concatenate([part.labels for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        edges=np.concatenate([part.edges for part in parts]),
    )


def named(things: Things) -> Things:
    """Return those that are answers: of boxes that share more than half, the surest of any class.

    Average precision counts a right second guess, and is of all; who asks what is there wants each
    thing once.
    """
    kept = _unsuppressed(things.edges, np.zeros_like(things.labels), things.labels >= 0)
    return _first(kept, things.labels, things.scores, things.edges)


def _decoded(outputs: Floats, classes: int, *, has_edges: bool) -> Things:
    count, _, height, width = outputs.shape
    logits = outputs[:, :classes].reshape(count, classes, -1)
    best: Floats = logits.max(axis=1)
    label: Ints = likeliest(logits)
    if has_edges:
        best = logits.transpose(0, 2, 1).reshape(count, -1)
        label = np.broadcast_to(np.tile(np.arange(classes), height * width), best.shape)
    is_there = best >= np.float32(LEAST_SCORE)
    if not has_edges:
        is_there &= _is_peak(best.reshape(count, height, width)).reshape(count, -1)
    order = np.argsort(np.where(is_there, -best, np.inf), axis=1, kind="stable")
    order = order[:, : max(1, int(is_there.sum(axis=1).max(initial=0)))]
    cells = order // classes if has_edges else order
    edges = np.take_along_axis(_edges(outputs, classes), cells[..., np.newaxis], axis=1)
    label, best = np.take_along_axis(label, order, axis=1), np.take_along_axis(best, order, axis=1)
    is_there = np.take_along_axis(is_there, order, axis=1)
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
    """Return the first 32 boxes, the surest first, that share at most half with one of their class.

    What a box of those shares more with is out; what is left and surest is the next of them.
    """
    left, kept, rows = is_there.copy(), np.zeros_like(is_there), np.arange(len(is_there))
    areas = (edges[..., 2] - edges[..., 0]) * (edges[..., 3] - edges[..., 1])
    for _ in range(MOST_THINGS):
        if not left.any():
            break
        surest = left.argmax(axis=1)
        kept[rows, surest] |= left[rows, surest]
        shared = _shared(edges[rows, surest][:, np.newaxis], edges)
        whole = areas[rows, surest][:, np.newaxis] + areas - shared
        same = label == label[rows, surest][:, np.newaxis]
        left &= ~(same & (2 * shared > whole))
        left[rows, surest] = False
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
