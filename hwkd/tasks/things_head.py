"""What heads have in common whose outputs say where things are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hwkd.core.arrays import AnyArray, Doubles, Flags, Floats, Ints
from hwkd.core.boxes import BOX_VALUES, UNKNOWN
from hwkd.core.class_scores import F1 as F1_OF_CLASS
from hwkd.core.class_scores import PRECISION, RECALL, ClassScores, shares
from hwkd.core.decision_record import DecisionRecord
from hwkd.core.head import Knowledge, OutputKind
from hwkd.core.metric import Metric, Scores
from hwkd.tasks.numbers_out import NumbersOut
from hwkd.tasks.own_targets import NoCorrection, knowledge_of_its_own
from hwkd.tasks.thing_loss import thing_loss
from hwkd.tasks.thing_scores import OVERLAPS, UNITS_PER_PIXEL, Judged, count_errors, f1_errors
from hwkd.tasks.things import MOST_THINGS, Things, decoded, named

if TYPE_CHECKING:
    from torch import Tensor

MAP50 = Metric(name="mAP@50", unit="ratio", direction="max")
MAP50_95 = Metric(name="mAP@50:95", unit="ratio", direction="max")
F1 = Metric(name="F1", unit="ratio", direction="max")
# Of things of all classes together: how many are named and how many are there.
COUNT = Metric(name="count error", unit="things a picture", direction="min")
# The logit of a probability of .1, as that of centre points (arXiv:1904.07850) begins.
RARE = -2.19
AP50, AP50_95 = "AP@50", "AP@50:95"
THING_SCORES = (PRECISION, RECALL, F1_OF_CLASS)
EDGES = ("left", "top", "right", "bottom")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingsHead(NoCorrection, NumbersOut):
    """Maps with a position for each cell of 8x8 pixels; see `hwkd.core.head.Head`.

    Outputs are [n, classes, height, width], or have the edges of boxes behind the classes; see
    `hwkd.tasks.things`. Targets are boxes, float32 [n, most, 5]: class (-1 for no box, -2 where
    nothing is known), left, top, right and bottom in pixels.

    Attributes:
        names: of the classes, and of the edges where there are some.
        most: boxes that a target has room for.
        as_points: a thing is found where its point lies inside the box; else where boxes overlap.
        threshold: logit from which on a thing counts; None chooses the best for what it scores.
    """

    names: tuple[str, ...]
    kind: OutputKind
    metrics: tuple[Metric, ...]
    as_points: bool
    most: int = 1
    threshold: float | None = None
    loss_name: str = "things"
    answer_mean: tuple[float, ...] = ()
    answer_std: tuple[float, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.names if self.as_points else self.names[: -len(EDGES)]

    def loss(
        self,
        outputs: Tensor,
        targets: Tensor,
        *,
        smoothing: float = 0.0,
        some_unlabelled: bool = False,
    ) -> Tensor:
        """Return what cells get wrong, see `thing_loss`."""
        del smoothing
        return thing_loss(
            outputs, targets, classes=len(self.classes), some_unlabelled=some_unlabelled
        )

    def _seen(self, outputs: Floats) -> Things:
        return decoded(outputs, classes=len(self.classes))

    def _judged(self, things: Things, targets: Floats) -> Judged:
        return Judged.of(things, targets, as_points=self.as_points)

    def _threshold(self, judged: Judged) -> float:
        chosen = self.threshold
        return judged.best_threshold(OVERLAPS[0]) if chosen is None else chosen

    def scores(self, outputs: Floats, targets: Floats, wholes: Ints | None = None) -> Scores:
        """Return average precisions, and F1 and the error of the count at the threshold.

        Precisions are of every class that a cell sees in its box, the others of each thing once.
        """
        del wholes
        seen = self._seen(outputs)
        answers = self._judged(named(seen), targets)
        counted = answers.counted(OVERLAPS[0], self._threshold(answers))
        found = {
            F1.name: 1.0 - f1_errors(counted).mean(),
            COUNT.name: count_errors(counted).mean(),
        }
        if not self.as_points:
            judged = self._judged(seen, targets)
            lost = [judged.lost_precision(least).sum() for least in OVERLAPS]
            found |= {MAP50.name: 1.0 - lost[0], MAP50_95.name: 1.0 - sum(lost) / len(lost)}
        # Sums of shares may pass 1 by a rounding.
        return self.asked_for({name: max(0.0, float(value)) for name, value in found.items()})

    def by_class(self, outputs: Floats, targets: Floats) -> tuple[ClassScores, ...]:
        """Return of each class what `scores` says of all, at the same threshold."""
        seen = self._seen(outputs)
        answers = self._judged(named(seen), targets)
        counted = answers.counted_by_class(
            OVERLAPS[0], self._threshold(answers), len(self.classes)
        ).tolist()
        judged = None if self.as_points else self._judged(seen, targets)
        lost = [] if judged is None else [judged.lost_by_class(least) for least in OVERLAPS]
        return tuple(
            ClassScores(
                name=name,
                given=counted[label][2],
                scores={
                    **_average_precisions([of.get(label) for of in lost]),
                    **shares(counted[label], THING_SCORES),
                },
            )
            for label, name in enumerate(self.classes)
        )

    def errors(self, outputs: Floats, targets: Floats) -> Doubles:
        """Return what each picture adds to the error of the first metric; the mean is 1 minus it.

        Of the count it is the difference, in things that a picture has on average.
        """
        seen, first = self._seen(outputs), self.metrics[0]
        if first in (MAP50, MAP50_95):
            judged = self._judged(seen, targets)
            overlaps = OVERLAPS[:1] if first == MAP50 else OVERLAPS
            lost = sum(judged.lost_precision(least) for least in overlaps)
            return np.asarray(lost * len(targets) / len(overlaps), dtype=np.float64)
        judged = self._judged(named(seen), targets)
        counted = judged.counted(OVERLAPS[0], self._threshold(judged))
        if first == F1:
            return f1_errors(counted)
        return count_errors(counted) / max(1e-9, float(counted[:, 2].mean()))

    def blind_error(self, targets: Floats) -> float:
        """Return the error of seeing nothing."""
        nothing = np.full((len(targets), self.size, 1, 1), -np.inf, dtype=np.float32)
        return float(self.errors(nothing, targets).mean())

    def decide(
        self,
        outputs: Floats,
        targets: Floats,
        wholes: Ints | None = None,
    ) -> DecisionRecord:
        """Choose the logit from which on things count: that of the best F1."""
        del wholes
        judged = self._judged(named(self._seen(outputs)), targets)
        threshold = judged.best_threshold(OVERLAPS[0])
        right, seen, there = judged.counted(OVERLAPS[0], threshold).sum(axis=0).tolist()
        false = 1.0 - right / max(1, seen)
        return DecisionRecord(
            answer="a thing",
            threshold=threshold,
            rate="of all things named, false",
            best=F1.name,
            wanted=false,
            reached=false,
            detected=right / max(1, there),
        )

    def falsely(self, outputs: Floats, targets: Floats, wholes: Ints | None = None) -> None:
        """Return nothing: the best F1 is asked for, and no rate."""
        del outputs, targets, wholes

    def at(self, decision: DecisionRecord | None) -> ThingsHead:
        """Return the head with a threshold."""
        return replace(self, threshold=None if decision is None else decision.threshold)

    def of_teacher(self, answers: Floats) -> Floats:
        """Return them as they are."""
        return answers

    def knowledge(self, outputs: Floats, targets: Floats) -> Knowledge:
        """Say how much better outputs suit their own boxes than those of other pictures."""
        return knowledge_of_its_own(
            self.errors, outputs, targets,
            what=f"error ({self.metrics[0].name}) with the boxes of others above that with its own",
        )  # fmt: skip

    def answers(self, outputs: Floats, inputs: Floats) -> AnyArray:
        """Return the things of each picture, float64 [n, 32, 6], the surest first.

        Class (-1 for none), probability, left, top, right and bottom in pixels.
        """
        del inputs
        things = named(self._seen(outputs))
        limit = np.float32(0.0 if self.threshold is None else self.threshold)
        is_seen = (things.labels >= 0) & (things.scores >= limit)
        found = np.zeros((len(outputs), MOST_THINGS, 1 + BOX_VALUES))
        found[..., 0] = np.where(is_seen, things.labels, -1)
        found[..., 1] = is_seen / (1.0 + np.exp(-things.scores.astype(np.float64)))
        found[..., 2:] = things.edges / UNITS_PER_PIXEL * is_seen[..., np.newaxis]
        return found

    def targets(self, labels: AnyArray, inputs: Floats) -> Floats:
        """Return boxes as they are."""
        del inputs
        return labels.astype(np.float32)

    def answer_text(self, target: Any) -> str:
        """Return how many things of each class there are."""
        known = np.asarray(target)[:, 0].astype(np.int64)
        counts = np.bincount(known[known >= 0], minlength=len(self.classes))
        shown = [f"{n} x {name}" for name, n in zip(self.classes, counts, strict=False) if n]
        return ", ".join(shown) or "nothing"

    def is_labelled(self, targets: Floats) -> Flags:
        """Tell of which pictures the boxes are known; an empty picture's are."""
        return np.asarray(targets[:, 0, 0] != UNKNOWN, dtype=np.bool_)

    def unlabelled(self, count: int) -> Floats:
        """Return so many targets of which nothing is known."""
        boxes = np.zeros((count, self.most, BOX_VALUES), dtype=np.float32)
        boxes[..., 0] = UNKNOWN
        return boxes


def _average_precisions(lost: list[Doubles | None]) -> dict[str, float | None]:
    """Return those of one class, by what is lost at each overlap: None of a class without boxes."""
    if not lost:
        return {}
    found = [None if part is None else max(0.0, 1.0 - float(part.sum())) for part in lost]
    known = [value for value in found if value is not None]
    return {AP50: found[0], AP50_95: sum(known) / len(known) if known else None}
