"""What came of `hwkd distill`: arms, gain with its interval, and the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwkd.core.final_record import QuantisationChoiceRecord
from hwkd.core.trial import EpochRecord
from hwkd.distill.adapters import describe_adapter
from hwkd.distill.attribution import Gain
from hwkd.distill.spec import WeightedMethod
from hwkd.engine.arms.trainings import DistilOutcome
from hwkd.train.teacher import Teacher

__all__ = ["DistilReport", "make_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DistilReport:
    """What came of it, as plain data.

    Attributes:
        out: folder written.
        methods: as a user would write them.
        arms: name, validation and test accuracies per seed, as int8 files and in float; the
            distilled one first.
        exported: name of the arm whose student ships.
        pairs: layer pairs in use.
        epochs: history of the distilled arm's first seed.
        verdict: what to tell the user, line by line.
        gain: over the best control, or None without controls.
        teacher: its description and identity (`hwkd.train.teacher.Teacher`); None without one.
        quantisation: validation accuracies of the exported student in float and int8.
    """

    out: Path
    methods: tuple[str, ...]
    arms: tuple[Mapping[str, Any], ...]
    exported: str
    pairs: tuple[Mapping[str, Any], ...]
    epochs: tuple[EpochRecord, ...]
    verdict: tuple[str, ...]
    gain: Mapping[str, Any] | None
    teacher: Mapping[str, str] | None = None
    quantisation: QuantisationChoiceRecord | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "schema_version": 1,
            "out": str(self.out),
            "teacher": None if self.teacher is None else dict(self.teacher),
            "methods": list(self.methods),
            "arms": [dict(arm) for arm in self.arms],
            "exported": self.exported,
            "pairs": [dict(pair) for pair in self.pairs],
            "epochs": [record.model_dump(mode="json") for record in self.epochs],
            "verdict": list(self.verdict),
            "gain": None if self.gain is None else dict(self.gain),
            "quantisation": None
            if self.quantisation is None
            else self.quantisation.model_dump(mode="json"),
        }


def make_report(
    out: Path,
    teacher: Teacher | None,
    methods: Sequence[WeightedMethod],
    outcome: DistilOutcome,
) -> DistilReport:
    """Say what came of a training.

    Args:
        out: folder to be written.
        teacher: that was asked, if any.
        methods: of the distilled arm.
        outcome: of all arms.
    """
    distilled = outcome.arms[0]
    return DistilReport(
        out=out,
        methods=tuple(entry.describe() for entry in methods),
        arms=tuple(
            {
                "name": result.arm.name,
                "methods": [entry.describe() for entry in result.arm.methods],
                "dtype": "int8",
                "validation": list(result.validation),
                "test": list(result.test),
                "validation_float": [scores.validation_float for scores in result.scores],
                "test_float": [scores.test_float for scores in result.scores],
            }
            for result in outcome.arms
        ),
        exported=outcome.exported.arm.name,
        pairs=tuple(
            {
                "method": entry.method.name,
                "student": pair.student,
                "teacher": pair.teacher,
                "student_shape": list(pair.student_shape),
                "teacher_shape": list(pair.teacher_shape),
                "adapter": describe_adapter(entry.method, pair.student_shape, pair.teacher_shape),
            }
            for entry in distilled.arm.methods
            for pair in distilled.pairs.get(entry.method.name, ())
        ),
        epochs=distilled.epochs,
        verdict=_verdict(outcome),
        gain=_gain(outcome),
        teacher=None
        if teacher is None
        else {"description": teacher.description, "identity": teacher.identity},
    )


def _gain(outcome: DistilOutcome) -> dict[str, Any] | None:
    if outcome.attribution is None or outcome.test_gain is None:
        return None
    return {
        "best_control": outcome.attribution.best_control,
        "validation": _interval(outcome.attribution.gain),
        "test": _interval(outcome.test_gain),
    }


def _interval(gain: Gain) -> dict[str, Any]:
    has_interval = gain.seeds > 1
    return {
        "mean": gain.mean,
        "low": gain.low if has_interval else None,
        "high": gain.high if has_interval else None,
        "seeds": gain.seeds,
        "confidence": gain.confidence,
        "verdict": gain.verdict,
    }


def _verdict(outcome: DistilOutcome) -> tuple[str, ...]:
    found, gain = outcome.attribution, outcome.test_gain
    distilled = outcome.arms[0].arm
    if not distilled.methods:
        return ()
    what = "the teacher" if distilled.is_taught else "the methods"
    if found is None or gain is None:
        return (f"what {what} added is unknown: give --attribution to train the controls",)
    points = f"{100 * gain.mean:+.2f} points"
    if gain.seeds > 1:
        points += f" ({100 * gain.low:+.2f} to {100 * gain.high:+.2f}, {gain.seeds} seeds)"
    lines = [
        f"{what.removeprefix('the ')} against {found.best_control}, int8 test accuracy: {points}: "
        f"{gain.verdict}"
    ]
    if not found.teacher_helped:
        advice = "; more unlabelled data (--unlabelled) is where a teacher pays"
        lines.append(
            f"the student of {found.exported} ships: on validation it is at least as good without "
            f"{what}{advice if distilled.is_taught else ''}"
        )
    return tuple(lines)
