"""Whole searches that are asked for something special."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support.finished_search import (
    load_exported,
    records,
    search_arguments,
)
from support.tiny_search import write_npz, write_teacher
from support.user_space import USER_SPACE

import hwkd
from hwkd.cli.app import main
from hwkd.core.errors import HwkdError
from hwkd.engine.run.listener import SilentListener
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.run_files import read_run_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class HearsPlans(SilentListener):
    """Keeps what it hears of the time."""

    def __init__(self) -> None:
        self.plans: list[dict[str, float]] = []
        self.notes: list[str] = []

    def on_plan(self, seconds, left_s):
        assert sum(seconds.values()) <= left_s + 1e-6
        self.plans.append(dict(seconds))

    def on_note(self, note):
        self.notes.append(note)


def test_a_time_limit_is_divided_aloud_and_recorded(inputs, tmp_path):
    listener = HearsPlans()
    found = hwkd.search(
        "cortex-m7", data=inputs / "data.npz", teachers=[str(inputs / "teacher.onnx")], workers=1,
        spaces=["narrow_deep"], trials=2, timeout="100s", brief_epochs=1, full_epochs=1, controls=0,
        out=tmp_path / "run",
        listener=listener,
    )  # fmt: skip
    assert found.run.status == "finished"
    assert found.best is not None
    assert set(listener.plans[0]) == {"teacher", "search", "final training", "report"}
    assert set(found.run.planned_seconds) == set(listener.plans[0])
    assert set(found.run.phase_seconds) >= {"prepare", "teacher", "search", "final training"}
    assert found.seconds is not None
    assert found.seconds < 100.0
    assert all(note in found.run.all_caveats for note in listener.notes)


def test_a_limit_too_short_is_refused_with_the_least_that_works(inputs, tmp_path, capsys):
    given = ["--timeout", "1s"]
    assert main(search_arguments(inputs, tmp_path / "run", *given)) == 2
    assert re.search(r"--timeout 1s: .*; give at least --timeout \d+s", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_bad_data_is_said_before_a_limit_that_is_too_short(inputs, tmp_path, capsys):
    (tmp_path / "bad.csv").write_text("a,label\n1,x\ntwo,y\n")
    arguments = ["search", "--device", "cortex-m7", "--data", str(tmp_path / "bad.csv")]
    assert main([*arguments, "--timeout", "1s", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "bad.csv" in said
    assert "--timeout" not in said


def test_labels_alone_train_no_teacher(inputs, tmp_path):
    found = hwkd.search(
        "cortex-m7", data=inputs / "data.npz", methods=("none",), workers=1, trials=2,
        spaces=("narrow_deep",), brief_epochs=1, full_epochs=1, out=tmp_path / "run",
    )  # fmt: skip
    assert found.run.teacher is None
    assert found.run.objective.beta == 0.0
    assert {record.methods for record in found.records} == {()}
    assert hwkd.resume(tmp_path / "run", trials=3).run.status == "finished"


def test_several_teachers_label_what_has_no_label(inputs, tmp_path):
    write_teacher(tmp_path / "other.onnx", scale=0.2)
    np.save(tmp_path / "more.npy", np.load(inputs / "data.npz")["x_train"][:60] + 0.1)
    given = [
        "--teacher", tmp_path / "other.onnx", "--unlabelled", tmp_path / "more.npy",
        "--method", "kd", "--controls", "0",
    ]  # fmt: skip
    run = tmp_path / "run"
    assert main(search_arguments(inputs, run, *given, trials=2)) == 0
    record = read_run_record(run / "run.json")
    assert record.teacher.description.startswith("mean answer of 2 teachers")
    config = SearchConfig.from_toml(run / "config.toml")
    names = [Path(source).name for source in config.teacher.sources]
    assert names == ["teacher.onnx", "other.onnx"]
    np.save(tmp_path / "more.npy", np.load(inputs / "data.npz")["x_train"][:50])
    with pytest.raises(HwkdError, match="the unlabelled data changed"):
        hwkd.resume(run, trials=3)


MY_TEACHER = '''
import torch
from torch import nn


class Bright(nn.Module):
    """Looks at the third of the window in which a class is bright."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        parts = [x[:, :, 8 * i : 8 * i + 8].mean((1, 2)) for i in range(3)]
        return self.scale * torch.stack(parts, 1)
'''


def test_signals_a_users_own_space_and_teacher_and_a_pareto_search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "signals.npz", shape=(2, 24))
    (tmp_path / "my_bright_teacher.py").write_text(MY_TEACHER)
    (tmp_path / "mine.py").write_text(USER_SPACE.format(name="mine"))
    found = hwkd.search(
        "cortex-m4", data="signals.npz", teachers=["my_bright_teacher:Bright"], spaces=["mine.py"],
        objective="pareto", workers=1, trials=4, brief_epochs=1, full_epochs=1, controls=0,
        out="run",
    )  # fmt: skip
    assert found.run.data.input_shape == (2, 24)
    assert found.run.teacher.kind == "factory"
    states = {r.state for r in found.records}
    assert states <= {"completed", "duplicate"}
    assert len(found.pareto) >= 1
    assert found.best.spec.space == "mine"
    assert found.report == Path("run/report.html")
    assert len(RunFolder(tmp_path / "run").trials.study.directions) == 4
    assert main(["export", "run", "--format", "torch", "--out", "exported"]) == 0
    module = load_exported(tmp_path / "exported")
    assert module(torch.zeros(2, 2, 24)).shape == (2, 3)


def test_the_digits_with_a_trained_teacher_on_the_host(tmp_path, capsys):
    given = [
        "search", "--device", "host", "--trials", "2", "--workers", "1", "--space", "narrow_deep",
        "--teacher-time", "6s", "--brief-epochs", "1", "--no-final", "--out",
        str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(given) == 0
    printed = capsys.readouterr()
    assert "trained here" in printed.err
    assert "report: " in printed.out
    record = read_run_record(tmp_path / "run" / "run.json")
    assert record.device.basis.name == "measured"
    for trial in records(tmp_path / "run"):
        if trial.state == "completed":
            assert trial.cost.latency_s is None
            assert trial.latency_s == trial.profile.median_s
