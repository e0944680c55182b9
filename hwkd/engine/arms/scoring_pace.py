"""How long it takes to know what a trained student is worth, measured before it is trained."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hwkd.engine.arms.evaluation import deploy_student, student_logits
from hwkd.engine.arms.varied import varied_copies
from hwkd.engine.setup.context import SearchContext
from hwkd.engine.setup.screening import Candidate
from hwkd.nn.build import build_module

# How often a file is quantised and scored after the training: three ways to find ranges, three
# corrections that take about as long again; after going on with all examples the corrections only.
# The test split is answered twice, in float and in int8.
_SCORINGS, _SCORINGS_AGAIN, _TESTS = 10.0, 6.0, 3.0
# At least: the first way to find ranges, and scores of it in float and in int8.
_LEAST_SCORINGS, _SCORINGS_OF_ONE = 3.0, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoringPace:
    """How long it takes here to know what a student is worth.

    Attributes:
        first_s: of the first time, kept in reserve should others work here then.
        varying_s: of answering varied copies of validation.
        testing_s: of answering the test split, in float and in int8.
    """

    first_s: float
    scoring_s: float
    varying_s: float
    testing_s: float

    @property
    def after_training_s(self) -> float:
        """What follows a training."""
        return self.first_s + _SCORINGS * self.scoring_s + self.varying_s + self.testing_s

    @property
    def least_after_training_s(self) -> float:
        """What follows at least, where there is no time for further forms of the int8 file."""
        return self.first_s + _LEAST_SCORINGS * self.scoring_s + self.varying_s + self.testing_s

    @property
    def after_rounding_s(self) -> float:
        """What follows once the form of the int8 file is chosen."""
        return _SCORINGS_OF_ONE * self.scoring_s + self.varying_s + self.testing_s

    @property
    def after_going_on_s(self) -> float:
        """What follows once the student went on with all examples."""
        return _SCORINGS_AGAIN * self.scoring_s + self.testing_s


def measure_scoring(context: SearchContext, candidate: Candidate) -> ScoringPace:
    """Measure it with untrained weights; the first time takes ten times as long as the next."""
    first_s, _ = _scored(context, candidate)
    scoring_s, judging_s = _scored(context, candidate)
    tests = _TESTS * len(context.data.test) / max(1, len(context.data.validation))
    return ScoringPace(
        first_s=first_s,
        scoring_s=scoring_s,
        varying_s=judging_s * varied_copies(context),
        testing_s=judging_s * tests,
    )


def _scored(context: SearchContext, candidate: Candidate) -> tuple[float, float]:
    """Return what quantising and judging an untrained student takes, and judging alone; seconds.

    What answers are worth is soon known of classes, and not of boxes.
    """
    begun = time.monotonic()
    with TemporaryDirectory(prefix="hwkd-pace-") as temporary:
        untrained = deploy_student(
            build_module(candidate.layers, seed=0).eval(),
            candidate.layers,
            Path(temporary),
            calibration=context.calibration,
            ranges="auto",
        )
        asked = time.monotonic()
        validation = context.data.validation
        answers = student_logits(untrained.int8_path, validation.inputs)
        context.data.head.errors(answers, validation.labels)
        ended = time.monotonic()
    return ended - begun, ended - asked
