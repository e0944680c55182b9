"""What a task is judged by: metrics with a name, a unit and a direction, and scores by name."""

from __future__ import annotations

from typing import Literal, TypeAlias

from hwkd.core.errors import RunFolderError, UnknownNameError
from hwkd.core.strict_model import StrictModel

# Metric name -> value, for one network, one split and one number type.
Scores: TypeAlias = dict[str, float]


def primary_text(scores: Scores) -> str:
    """Return name and value of the first score, which is the primary metric's, for a terminal."""
    if not scores:
        return "not judged"
    name, value = next(iter(scores.items()))
    return f"{name} {value:.4f}"


class Metric(StrictModel):
    """One number that says how good outputs are.

    Attributes:
        name: for people and as a key of `Scores`, for example "accuracy".
        unit: "ratio" is a share, 0 to 1, printed in per cent; "" has no unit.
        direction: whether larger or smaller values are better.
    """

    name: str
    unit: str
    direction: Literal["max", "min"]

    @property
    def is_share(self) -> bool:
        """Whether it is a share of what there is, 0 to 1."""
        return self.unit == "ratio"

    def of(self, scores: Scores) -> float:
        """Return this metric's value.

        Raises:
            RunFolderError: if a stored record has no score of that name.
        """
        if self.name not in scores:
            known = ", ".join(scores) or "none"
            raise RunFolderError(
                f"a record has no score {self.name!r} (it has {known}); it was changed or is of "
                "another version of hwkd"
            )
        return scores[self.name]

    def gain(self, value: float, baseline: float) -> float:
        """Return by how much `value` is better than `baseline`, in the metric's unit."""
        return value - baseline if self.direction == "max" else baseline - value

    def lost_ratio(self, before: Scores | None, after: Scores | None) -> float:
        """Return what was lost of a score: of a ratio the difference, else the share; 0 unknown."""
        if before is None or after is None:
            return 0.0
        whole = 1.0 if self.is_share else abs(self.of(before)) or 1.0
        return self.gain(self.of(before), self.of(after)) / whole

    def signed(self, difference: float) -> str:
        """Return a difference without unit, a ratio's in points."""
        return f"{100.0 * difference:+.2f}" if self.is_share else f"{difference:+.4g}"

    def difference(self, difference: float) -> str:
        """Return a difference with its unit, for people; a ratio's is in points."""
        unit = "points" if self.is_share else self.unit
        return f"{self.signed(difference)} {unit}".rstrip()

    @property
    def key(self) -> str:
        """Name as part of a JSON key."""
        return self.name.replace(" ", "_")

    def text(self, value: float) -> str:
        """Return a value with its unit, for people."""
        if self.is_share:
            return f"{100.0 * value:.2f} %"
        return f"{value:.4g} {self.unit}".rstrip()


ACCURACY = Metric(name="accuracy", unit="ratio", direction="max")
BALANCED_ACCURACY = Metric(name="balanced accuracy", unit="ratio", direction="max")
MACRO_F1 = Metric(name="macro F1", unit="ratio", direction="max")
AVERAGE_PRECISION = Metric(name="average precision", unit="ratio", direction="max")


def led_by(metrics: tuple[Metric, ...], name: str | None, *, task: str) -> tuple[Metric, ...]:
    """Return metrics with the one called `name` in front; None leaves the order.

    A name is known with any of spaces, dashes and underscores between its words, in any case.

    Raises:
        UnknownNameError: if no metric of the task has that name.
    """
    if name is None:
        return metrics
    wanted = name.lower().replace("-", "_").replace(" ", "_")
    found = [metric for metric in metrics if metric.key.lower() == wanted]
    if not found:
        raise UnknownNameError(f"metric of {task}", name, [metric.key for metric in metrics])
    return (*found, *(metric for metric in metrics if metric not in found))


class ScoresRecord(StrictModel):
    """Scores of one network; None where nothing was measured.

    Attributes:
        validation_float: float32, validation split; choices may look at it.
        validation_int8: int8, validation split; networks are chosen by it.
        test_float: float32, test split.
        test_int8: int8, test split; read once, nothing is chosen by it.
        attacked_float: float32, on inputs of the test split that were changed against it.
        attacked_int8: int8, on the same inputs.
    """

    validation_float: Scores | None = None
    validation_int8: Scores | None = None
    test_float: Scores | None = None
    test_int8: Scores | None = None
    attacked_float: Scores | None = None
    attacked_int8: Scores | None = None
