"""How well things that were seen are those that are there: average precision, F1 and counts.

Each number is a sum over pictures, so that every picture has an error and their mean is 1 minus
the score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hwkd.core.arrays import Doubles, Floats, Ints
from hwkd.tasks.things import Things

UNITS_PER_PIXEL = 16
# The recalls at which COCO's average precision reads precision, and its overlaps.
_RECALLS = np.linspace(0.0, 1.0, 101)
OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Things of n pictures beside the boxes that are there.

    Attributes:
        near: how near each thing is to each box of its class, 0 to 1, [n, things, boxes]; 0 where
            either is none: intersection over union, or of points whether they lie inside.
    """

    things: Things
    labels: Ints
    near: Doubles

    @classmethod
    def of(cls, things: Things, boxes: Floats, *, as_points: bool) -> Judged:
        """Compare; boxes are float32 [n, most, 5] as targets have them."""
        labels = boxes[..., 0].astype(np.int64)
        given = boxes[:, np.newaxis, :, 1:].astype(np.float64)
        seen = things.edges[:, :, np.newaxis].astype(np.float64) / UNITS_PER_PIXEL
        near = _inside(seen, given) if as_points else _overlap(seen, given)
        same = things.labels[:, :, np.newaxis] == labels[:, np.newaxis]
        near *= same & (labels >= 0)[:, np.newaxis]
        return cls(things=things, labels=labels, near=near)

    def matches(self, least: float) -> Ints:
        """Return the box that each thing is taken for, [n, things], -1 for none.

        The surest thing chooses first, the nearest box that no other has.
        """
        count, things, _ = self.near.shape
        near, rows = self.near.copy(), np.arange(count)
        taken = np.full((count, things), -1, dtype=np.int64)
        for at in range(things if near.shape[2] else 0):
            best = near[:, at].argmax(axis=1)
            hit = near[rows, at, best] >= min(least, 1.0 - 1e-10)
            taken[hit, at] = best[hit]
            near[rows[hit], :, best[hit]] = 0.0
        return taken

    def lost_precision(self, least: float) -> Doubles:
        """Return each picture's part of 1 minus the mean average precision, [n].

        Of each class, precision is read at 101 recalls. What is lost at one belongs to the picture
        with the box by which that recall is reached, else evenly to the boxes that nothing found.

        Source:
            Lin et al. 2014, arXiv:1405.0312, and the evaluation code of COCO.
        """
        lost = self.lost_by_class(least)
        none = np.zeros(len(self.labels))
        return np.asarray(sum((part / len(lost) for part in lost.values()), none))

    def lost_by_class(self, least: float) -> dict[int, Doubles]:
        """Return each picture's part of 1 minus the average precision, by the classes there are."""
        taken = self.matches(least)
        known = [int(label) for label in np.unique(self.labels) if label >= 0]
        return {label: self._lost_of_class(label, taken) for label in known}

    def _lost_of_class(self, label: int, taken: Ints) -> Doubles:
        pictures, places = np.nonzero(self.things.labels == label)
        order = np.argsort(-self.things.scores[pictures, places], kind="stable")
        pictures, found = pictures[order], taken[pictures, places][order]
        per_picture = (self.labels == label).sum(axis=1)
        total = int(per_picture.sum())
        is_right = found >= 0
        right = np.cumsum(is_right)
        precision = right / np.arange(1, len(right) + 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        reached = np.searchsorted(right / total, _RECALLS, side="left")
        is_reached = reached < len(right)
        lost = np.zeros(len(per_picture))
        hits = np.flatnonzero(is_right)
        # At recall 0 the first thing may be wrong; the first that is right has the blame.
        owners = hits[np.searchsorted(hits, reached[is_reached]).clip(max=max(0, len(hits) - 1))] \
            if len(hits) else hits  # fmt: skip
        share = 1.0 / len(_RECALLS)
        if len(hits):
            np.add.at(lost, pictures[owners], share * (1.0 - precision[reached[is_reached]]))
        missing = per_picture - np.bincount(pictures[hits], minlength=len(per_picture))
        never = float((~is_reached).sum() if len(hits) else len(_RECALLS))
        if missing.sum():
            lost += share * never * missing / missing.sum()
        return lost

    def best_threshold(self, least: float) -> float:
        """Return the score from which on things count with the best F1; 0 where none is right."""
        taken = self.matches(least)
        seen = self.things.labels >= 0
        order = np.argsort(-self.things.scores[seen], kind="stable")
        scores, right = self.things.scores[seen][order], (taken[seen] >= 0)[order]
        if not right.any():
            return 0.0
        there = int((self.labels >= 0).sum())
        f1 = 2.0 * np.cumsum(right) / (np.arange(1, len(right) + 1) + there)
        f1[:-1][scores[:-1] == scores[1:]] = 0.0  # equals count together
        return float(scores[f1.argmax()])

    def counted(self, least: float, threshold: float) -> Ints:
        """Return of each picture what was right, was seen and is there, [n, 3]."""
        seen = (self.things.labels >= 0) & (self.things.scores >= np.float32(threshold))
        right = (self.matches(least) >= 0) & seen
        there = (self.labels >= 0).sum(axis=1)
        return np.stack([right.sum(axis=1), seen.sum(axis=1), there], axis=1)

    def counted_by_class(self, least: float, threshold: float, classes: int) -> Ints:
        """Return of each class what was right, was seen and is there, [classes, 3]."""
        seen = (self.things.labels >= 0) & (self.things.scores >= np.float32(threshold))
        right = (self.matches(least) >= 0) & seen
        groups = (
            self.things.labels[right],
            self.things.labels[seen],
            self.labels[self.labels >= 0],
        )
        return np.stack([np.bincount(group, minlength=classes) for group in groups], axis=1)


def f1_errors(counted: Ints) -> Doubles:
    """Return each picture's error, whose mean is 1 minus the F1 of all pictures together."""
    right, seen, there = counted.T
    whole = max(1, int((seen + there).sum()))
    return np.asarray((seen + there - 2 * right) * len(counted) / whole, dtype=np.float64)


def count_errors(counted: Ints) -> Doubles:
    """Return by how much each picture's number of things is wrong."""
    return np.asarray(np.abs(counted[:, 1] - counted[:, 2]), dtype=np.float64)


def _overlap(ours: Doubles, theirs: Doubles) -> Doubles:
    ends = np.minimum(ours[..., 2:], theirs[..., 2:]) - np.maximum(ours[..., :2], theirs[..., :2])
    shared = np.maximum(ends, 0.0).prod(axis=-1)
    areas = [(each[..., 2:] - each[..., :2]).prod(axis=-1) for each in (ours, theirs)]
    ratio: Doubles = shared / np.maximum(areas[0] + areas[1] - shared, 1e-9)
    return ratio


def _inside(ours: Doubles, theirs: Doubles) -> Doubles:
    """Return 1 for a point in the middle of a box, 1/2 for one at its edge, 0 for one outside."""
    middle = (ours[..., :2] + ours[..., 2:]) / 2
    half = np.maximum((theirs[..., 2:] - theirs[..., :2]) / 2, 1e-9)
    off = np.abs(middle - (theirs[..., :2] + theirs[..., 2:]) / 2) / half
    far = off.max(axis=-1)
    return np.where(far <= 1.0, 1.0 - far / 2, 0.0)
