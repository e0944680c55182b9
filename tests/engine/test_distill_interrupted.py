"""`hwkd distill` that is bounded, interrupted, killed, or done by several processes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.bars import final_of, request_of

from hwkd.core.errors import ConfigError
from hwkd.core.progress import silent
from hwkd.engine.arms.children import Nursery
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.engine.arms.train_arm import train_arm
from hwkd.engine.distill.resolve import resolve_student
from hwkd.engine.distill.run import run_distillation
from hwkd.engine.run.listener import SilentListener
from hwkd.engine.setup.time_plan import Stage
from hwkd.io.student_folder import (
    FLOAT_FILE,
    INT8_FILE,
    WEIGHTS_FILE,
)
from hwkd.train.checkpoint import Checkpoints


class Noting(SilentListener):
    """Keeps the notes and the plan."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.planned: Mapping[Stage, float] = {}

    def on_note(self, note: str) -> None:
        self.notes.append(note)

    def on_plan(self, seconds: Mapping[Stage, float], left_s: float) -> None:
        self.planned = seconds


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_time_limit_bounds_the_call_and_says_what_was_given_up(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of the time is spent, whatever it is: less for each training allows a shorter limit, and
    # what is imported already is not taken from it.
    monkeypatch.setattr("hwkd.engine.distill.run._LEAST_TRAINING_S", 2.0)
    resolve_student(request_of(place), progress=silent)
    with Nursery() as nursery:
        nursery.start(
            "hwkd.engine.arms.train_arm", ["nowhere"], log=place / "log", threads=1
        ).wait()
    heard, begun = Noting(), time.monotonic()
    options: dict[str, object] = {"with_controls": True, "seeds": tuple(range(40)), "epochs": 500}
    run = run_distillation(
        request_of(place, methods=("kd",), timeout_s=10.0, workers=1, **options), listener=heard
    ).record.run
    assert time.monotonic() - begun < 15.0
    assert set(heard.planned) == {"teacher", "final training", "report"}
    (given_up,) = heard.notes
    assert given_up.startswith("Given up: ")
    assert "of 160 trainings, for lack of time" in given_up
    assert run is not None
    assert given_up in run.all_caveats


@pytest.mark.slow
def test_an_interrupted_call_goes_on_where_it_was(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, object] = {"methods": ("kd",), "with_controls": True, "epochs": 1}
    undisturbed = final_of(place, out=place / "undisturbed", **options)
    trained: list[str] = []
    most = 2

    def train(order: ArmOrder, *arguments: Any, **more: Any) -> ArmResult:
        if len(trained) == most:
            raise KeyboardInterrupt
        trained.append(order.arm)
        return train_arm(order, *arguments, **more)

    monkeypatch.setattr("hwkd.engine.distill.run.train_arm", train)
    with pytest.raises(KeyboardInterrupt, match="go on with the same command"):
        run_distillation(request_of(place, **options))
    assert not (place / "out").exists()
    with pytest.raises(ConfigError, match="with other options was interrupted there"):
        run_distillation(request_of(place, **{**options, "methods": ("dist",)}))
    trained.clear()
    again = final_of(place, **options)
    assert trained == ["label smoothing", "kd-from-labels, no teacher"]
    assert again.verdict == undisturbed.verdict
    assert not list(place.glob(".out*"))


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("cut", ["distilled (seed 0)", "train with simulated int8 rounding"])
def test_a_killed_training_goes_on_in_its_stage_and_gives_the_same_files(
    cut: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, object] = {"methods": ("fitnet", "kd"), "epochs": 3, "qat": "on"}
    undisturbed = final_of(place, out=place / "undisturbed", **options)
    always = partial(Checkpoints, period_s=0.0, share=math.inf)
    monkeypatch.setattr("hwkd.engine.arms.checkpoints.Checkpoints", always)

    class Ending(SilentListener):
        """Ends the process, as it were, in an epoch of one stage."""

        def __init__(self, stage: str) -> None:
            self.stage = stage
            self.told: list[tuple[str, int]] = []

        def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
            self.told.append((stage, done))
            if (stage, done) == (self.stage, 2):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_distillation(request_of(place, **options), listener=Ending(cut))
    again = Ending("none")
    run = run_distillation(request_of(place, **options), listener=again).record.run
    assert min(done for stage, done in again.told if stage == cut) == 1  # epoch 2 was not kept
    stages = [stage for stage, _ in again.told if stage == "distilled (seed 0)"]
    assert len(stages) == (3 if cut == stages[0] else 1)
    for name in (FLOAT_FILE, INT8_FILE, WEIGHTS_FILE):
        assert (place / "out" / name).read_bytes() == (place / "undisturbed" / name).read_bytes()
    assert run is not None
    assert run.final is not None
    assert run.final.history == undisturbed.history
    assert run.final.verdict == undisturbed.verdict


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_arms_side_by_side_in_processes_are_those_of_one_process(place: Path) -> None:
    options = {"methods": ("fitnet", "kd"), "with_controls": True, "epochs": 1}
    here = final_of(place, out=place / "here", **options)
    beside = final_of(place, out=place / "beside", workers=2, **options)
    assert beside.verdict == here.verdict
