"""A time limit is divided between trials and final training: closed forms, one measured pace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny_search import make_run

from hwkd.core.chooser import RandomChooser
from hwkd.core.trial import TrialRecord
from hwkd.engine.context import SearchContext
from hwkd.engine.pace import affordable_training, reserved_s

FULL_EPOCHS, CONTROLS, WORKERS = 10, 2, 2
# Student, cross-entropy, label smoothing, transform without a teacher; over seeds, on the workers.
ROUNDS_PER_SEED = 4 / WORKERS
AFTER_S = 45.0


@dataclass(frozen=True)
class Tried:
    context: SearchContext
    record: TrialRecord

    def lasting(self, epoch_s: float) -> TrialRecord:
        """The trial as if an epoch over all samples had taken so long."""
        return self.record.model_copy(update={"duration_s": epoch_s})


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    folder: Path = tmp_path_factory.mktemp("pace")
    training = {"brief_epochs": 1, "full_epochs": FULL_EPOCHS, "controls": CONTROLS}
    runner = make_run(folder, training=training, workers=WORKERS).runner()
    space = runner.context.screen.spaces["narrow_deep"]
    spec = space.suggest(RandomChooser(0), input_shape=(1, 8, 8), num_outputs=3)
    record = runner.run(lambda: spec, lambda key: None, number=0)
    assert record.state == "completed"
    return Tried(context=runner.context, record=record)


def test_what_the_final_training_takes_is_kept_back(tried: Tried) -> None:
    found = reserved_s([tried.lasting(3.0)], tried.context, 3600.0)
    assert found == pytest.approx(3.0 * CONTROLS * ROUNDS_PER_SEED * FULL_EPOCHS + AFTER_S)


def test_at_most_half_of_the_time_is_kept_back(tried: Tried) -> None:
    assert reserved_s([tried.lasting(1000.0)], tried.context, 3600.0) == 1800.0


def test_nothing_is_kept_back_before_a_student_fits(tried: Tried) -> None:
    assert reserved_s([], tried.context, 3600.0) == 0.0


@pytest.mark.parametrize(
    ("left_s", "epochs", "seeds"),
    [
        (AFTER_S + 1000.0, FULL_EPOCHS, 2),  # 4 rounds of 10 epochs at 1 s are 40 s
        (AFTER_S + 24.5, 6, 2),
        (AFTER_S + 12.5, 6, 1),  # two seeds would leave 3 of 10 epochs
    ],
)
def test_controls_give_way_to_a_long_training(
    tried: Tried, left_s: float, epochs: int, seeds: int
) -> None:
    assert affordable_training(tried.lasting(1.0), tried.context, left_s) == (epochs, seeds)


def test_a_limit_that_has_passed_leaves_one_epoch_without_controls(tried: Tried) -> None:
    assert affordable_training(tried.lasting(1.0), tried.context, -5.0) == (1, 0)
