"""How every way of training one student did, which of them ships, and what the teacher was worth.

One record for a search and for `hwkd distill`; report, model card, JSON and terminal read it, and
its sentences are made here alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from hwkd.core.metric import ACCURACY, Metric
from hwkd.core.strict_model import StoredInt, StrictModel

# Names of ways of training: what a user asks for; every other one is a control.
DISTILLED, TEACHER_FREE, LABELS_ALONE, SCHEME = (
    "distilled", "teacher-free", "labels alone", "scheme",
)  # fmt: skip
ASKED_FOR = (DISTILLED, TEACHER_FREE, LABELS_ALONE, SCHEME)
SMOOTHED = "label smoothing"


class ArmScores(StrictModel):
    """What one training reached, in the metric of the verdict.

    Attributes:
        validation_int8: of the int8 file; students are chosen by it. None in records of older
            versions.
        test_int8: of the int8 file; nothing is chosen by it.
        validation_float: of the float file; None in records of older versions.
        test_float: likewise.
        attacked_float: of the float file on test inputs changed against it; None if not asked for.
        attacked_int8: of the int8 file on the same.
        int8_form: "qat" where the int8 file was trained with simulated rounding, "ptq" where it
            was quantised after training; None in records of older versions.
    """

    seed: StoredInt
    validation_int8: float | None = None
    test_int8: float
    validation_float: float | None = None
    test_float: float | None = None
    attacked_float: float | None = None
    attacked_int8: float | None = None
    int8_form: Literal["ptq", "qat"] | None = None


class ArmRecord(StrictModel):
    """One way of training the student, over its seeds.

    Attributes:
        name: one of `ASKED_FOR`, or of a control, as "cross-entropy".
        methods: as `--method` takes them; none is labels alone.
        scores: one a seed, at least one.
    """

    name: str
    methods: tuple[str, ...] = ()
    is_taught: bool = False
    scores: tuple[ArmScores, ...]

    @property
    def test_int8(self) -> tuple[float, ...]:
        """Of the int8 files on the test split, one a seed."""
        return tuple(score.test_int8 for score in self.scores)

    @property
    def rounded(self) -> int:
        """Trainings whose int8 file was trained with simulated rounding."""
        return sum(score.int8_form == "qat" for score in self.scores)

    def mean(
        self,
        name: Literal[
            "validation_int8", "test_int8", "test_float", "attacked_float", "attacked_int8"
        ],
    ) -> float | None:
        """Return the mean of a score over the seeds; None where one is unknown."""
        values = [getattr(score, name) for score in self.scores]
        return None if not values or None in values else fmean(values)


class Gain(StrictModel):
    """What the methods gained in int8 test score over the best control, seed by seed.

    Attributes:
        over: name of the control that was best on validation.
        mean: difference of scores in the metric's unit, positive where the methods are better.
        low: lower end of the interval; None for a single seed, which shows no spread.
        high: upper end; None likewise.
        confidence: of the Student-t interval, 0 to 1.
        verdict: "gain", "loss" or "no difference shown".
    """

    over: str
    mean: float
    low: float | None
    high: float | None
    seeds: StoredInt
    confidence: float
    verdict: str

    @property
    def meaning(self) -> str:
        """What the interval says."""
        if self.verdict in ("gain", "loss"):
            return f"a {self.verdict}, since the interval leaves 0 out"
        return self.verdict

    def text(self, metric: Metric) -> str:
        """Return it with its interval: points of a ratio, else in the metric's unit."""
        text = metric.difference(self.mean)
        if self.low is None or self.high is None:
            return f"{text} (one seed, which shows no spread)"
        ends = f"{metric.signed(self.low)} to {metric.signed(self.high)}"
        return f"{text} ({self.confidence:.0%} interval {ends}, {self.seeds} seeds)"


class Verdict(StrictModel):
    """What ships, and why.

    Attributes:
        metric: that scores and gain are in; its better direction is positive in a gain.
        methods: what was asked for, as `--method` takes it; none is labels alone.
        is_taught: whether a teacher takes part in them.
        arms: every way in which the network that ships was trained; what was asked for first, if
            it was trained in full.
        ships: name of the arm whose student ships.
        weights: "full", or "brief" when no full training was made or better on
            validation.
        networks_compared: on validation; the more there are, the more of the best one's score
            there is luck. None where nothing was searched, or an older version did.
        full_trainings: that finished and competed with brief ones; None likewise.
        gain: over the best control; None where none was trained.
    """

    metric: Metric = ACCURACY
    methods: tuple[str, ...] = ()
    is_taught: bool = False
    arms: tuple[ArmRecord, ...] = ()
    ships: str
    weights: Literal["full", "brief"] = "full"
    networks_compared: StoredInt | None = None
    full_trainings: StoredInt | None = None
    gain: Gain | None = None

    @property
    def asked_for_ships(self) -> bool:
        """Whether the student that ships learned by the methods, and not as a control."""
        return self.ships in ASKED_FOR

    @property
    def reason(self) -> str:
        """Why this student ships and no other one of the run, in a few words."""
        if self.weights == "brief":
            why = self._instead_of_full().removeprefix(": ")
            return f"{why}{'; ' if why else ''}its weights are those of the brief training"
        if self.full_trainings == 1:
            return "it was trained in full, and then no other was better on validation"
        if self.full_trainings is None:
            return "after full training it was best on validation"
        return f"on validation it was the best of {self.full_trainings} full trainings"

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the student learned from, what that was worth, and how it was chosen."""
        return (*self._worth(), *self._selection())

    def _worth(self) -> tuple[str, ...]:
        what = "the teacher" if self.is_taught else "the methods"
        methods = ", ".join(self.methods)
        if not methods:
            return ("Trained on labels alone.",)
        if self.gain is None:
            if not self.asked_for_ships:
                return (f"Trained with {self.ships}.",)
            return (
                f"Trained on labels and {methods}. No control was trained, so what {what} added "
                "is unknown; `hwkd distill --attribution` trains them.",
            )
        gain = self.gain
        name = "Distilled" if self.is_taught else "Trained without a teacher"
        worth = (
            f"{name} by {methods}: {gain.text(self.metric)} on the int8 test over {gain.over}, the "
            f"control that was best on validation; {gain.meaning}."
        )
        if self.asked_for_ships:
            return (worth, f"The student of {what} ships: on validation it beat every control.")
        lines = (
            worth,
            f"The control ships, trained with {self.ships}: on validation it was at least as good "
            f"without {what}.",
        )
        advice = "More data without labels (`--unlabelled`) is where a teacher pays."
        return (*lines, advice) if self.is_taught else lines

    def _selection(self) -> tuple[str, ...]:
        lines = []
        if self.weights == "brief":
            lines.append(f"The weights of the brief training ship{self._instead_of_full()}.")
        if self.networks_compared is not None and self.networks_compared > 1:
            lines.append(
                f"It is the best of {self.networks_compared} networks compared on validation, so "
                "its validation score is partly luck; its test score is not."
            )
        return tuple(lines)

    def _instead_of_full(self) -> str:
        if self.full_trainings == 0:
            made = "saw as many examples" if self.arms else "was made"
            return f": no full training {made}"
        if self.full_trainings is None and not self.arms:
            return ""
        return ": no full training was as good on validation, luck allowed for"


_OLD_NAMES = {
    "same student, distilled": DISTILLED,
    "same student, cross-entropy only (no teacher)": "cross-entropy",
    "same student, label smoothing (no teacher)": SMOOTHED,
    "same student, transform without a teacher, of the labels alone": "transform without a teacher",
}
_OLD_FIELDS = ("controls", "gain", "recipe", "weights", "networks_compared", "methods")


def verdict_of_older_final(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a final record with its loose controls and gain made one verdict."""
    methods, recipe = raw.get("methods", ()), raw.get("recipe", DISTILLED)
    verdict = {
        "methods": methods,
        "is_taught": bool(methods),
        "arms": [_older_arm(control, methods) for control in raw.get("controls", ())],
        "ships": recipe if methods or recipe != DISTILLED else LABELS_ALONE,
        "weights": raw.get("weights", "full"),
        "networks_compared": raw.get("networks_compared"),
        "gain": raw.get("gain"),
    }
    kept = {name: value for name, value in raw.items() if name not in _OLD_FIELDS}
    return {**kept, "verdict": verdict}


def _older_arm(control: Mapping[str, Any], methods: Sequence[str]) -> dict[str, Any]:
    name = _OLD_NAMES.get(control["name"], control["name"])
    seeds, tests = control["seeds"], control["test_accuracies"]
    validations = control.get("validation_accuracies") or [None] * len(seeds)
    is_distilled = name == DISTILLED
    return {
        "name": name,
        "methods": methods if is_distilled else (),
        "is_taught": is_distilled,
        "scores": [
            {"seed": seed, "test_int8": test, "validation_int8": validation}
            for seed, test, validation in zip(seeds, tests, validations, strict=True)
        ],
    }
