"""A student that went on learning from further data: what it was before, and what it is after."""

from __future__ import annotations

from hwkd.core.metric import ACCURACY, Metric, ScoresRecord
from hwkd.core.strict_model import StrictModel


class FinetuneRecord(StrictModel):
    """Both students on the splits of the new data.

    Attributes:
        student: that went on, as it was given.
        kept: outputs that it had, in the new order.
        new: outputs that it did not have; before, no answer named them.
        left_out: outputs of which the new data has no examples.
        before: of its int8 file, with its own threshold.
        after: of what ships.
    """

    metric: Metric = ACCURACY
    student: str
    kept: tuple[str, ...]
    new: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    before: ScoresRecord
    after: ScoresRecord

    def score(self, scores: ScoresRecord, split: str) -> float:
        """Return the score of an int8 file on "validation" or "test"."""
        found = scores.validation_int8 if split == "validation" else scores.test_int8
        return self.metric.of(found or {})

    @property
    def sentences(self) -> tuple[str, ...]:
        """What became of the student."""
        before, after = (self.score(scores, "test") for scores in (self.before, self.after))
        gain = self.metric.gain(after, before)
        change = self.metric.difference(gain if self.metric.direction == "max" else -gain)
        lines = [
            f"Fine-tuned: {self.metric.text(before)} before and {self.metric.text(after)} after "
            f"({change}), int8, on the test split of the new data."
        ]
        if self.new:
            lines.append(f"New: {', '.join(self.new)}, which the student could not name before.")
        if self.left_out:
            lines.append(f"Not in the new data, and given up: {', '.join(self.left_out)}.")
        validation = [self.score(s, "validation") for s in (self.after, self.before)]
        if not self.new and self.metric.gain(*validation) < 0:
            lines.append("On validation it was better before: keep the student that there was.")
        return tuple(lines)
