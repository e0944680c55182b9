"""The grid of trainings of the distillation benchmarks: resumable, and right about its labels."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from benchmarks.distill import attribution as distill_attribution
from benchmarks.distill import cells as distill_cells
from benchmarks.distill import few_labels as distill_few_labels
from benchmarks.distill import grid as distill_grid
from benchmarks.distill import noisy_labels as distill_noisy_labels
from benchmarks.distill.cells import (
    CONTROLS,
    Cell,
    Row,
    Score,
    methods_of,
    rows,
    run_cells,
    show_markdown,
)
from benchmarks.distill.setup import (
    STUDENT_CHANNELS,
    Labels,
    Place,
    load_data,
    parameters,
    seen_labels,
    student,
)
from hwkd.engine.arms.verdict import paired_gain

DIGITS = Place(data=None, teacher=None, teacher_epochs=1)


@pytest.mark.parametrize(
    ("labels", "hidden", "wrong"),
    [(Labels(share=0.1), 0.9, 0.0), (Labels(noise=0.4), 0.0, 0.4), (Labels(), 0.0, 0.0)],
)
def test_labels_are_hidden_and_replaced_as_told(
    labels: Labels, hidden: float, wrong: float
) -> None:
    true = load_data(None).train.labels
    seen = seen_labels(DIGITS, labels)
    known = seen >= 0
    assert 1 - known.mean() == pytest.approx(hidden, abs=0.01)
    assert (seen[known] != true[known]).mean() == pytest.approx(wrong, abs=0.01)
    assert set(np.unique(seen[known])) <= set(np.unique(true))


@pytest.mark.parametrize("size", STUDENT_CHANNELS)
def test_students_have_about_as_many_parameters_as_their_names_say(size: str) -> None:
    count = parameters(student(size, load_data(None)))
    assert count == pytest.approx(1000 * int(size[:-1]), rel=0.15)


def test_a_killed_grid_goes_on_with_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = _cells(("cross-entropy", "kd"), seeds=2)
    file = tmp_path / "cells.jsonl"
    written = [
        json.dumps({"cell": c.key(), "validation": 0.5, "test": 0.5, "seconds": 1.0}) for c in cells
    ]
    file.write_text("\n".join(written[:3]) + "\n" + written[3][:20])
    asked: list[Cell] = []

    class Pool:
        def __init__(self, *_: object, **__: object) -> None: ...
        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None: ...
        def submit(self, _: object, cell: Cell, __: Place) -> object:
            asked.append(cell)
            raise KeyboardInterrupt

    monkeypatch.setattr(distill_cells, "worker_pool", Pool)
    monkeypatch.setattr(distill_cells, "_warm_cache", lambda *_: None)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, DIGITS, file, processes=1)
    assert asked == cells[3:]
    file.write_text("\n".join(written) + "\n")
    assert len(run_cells(cells, DIGITS, file, processes=1)) == 4


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed() -> None:
    parent = subprocess.Popen(
        [
            sys.executable, "-c",
            "import os, time; from benchmarks.lib.worker_pool import worker_pool\n"
            "pool = worker_pool(1)\n"
            "print(pool.submit(os.getpid).result(), flush=True)\n"
            "time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert worker != parent.pid
    parent.kill()
    # The worker writes to the same pipe, which ends when its last writer does.
    assert parent.stdout.read() == ""
    parent.wait()
    parent.stdout.close()


@pytest.mark.parametrize(
    ("benchmark", "arguments", "students", "arms"),
    [
        (distill_attribution, ["--methods", "kd", "dist"], {"2k", "8k", "30k"}, 5),
        (distill_few_labels, ["--shares", "0.1"], {"8k", "20k"}, 5),
        (distill_noisy_labels, ["--noise", "0.2", "--students", "2k"], {"2k"}, 5),
    ],
)
def test_a_benchmark_shows_a_table_per_student(
    benchmark: ModuleType,
    arguments: list[str],
    students: set[str],
    arms: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[Cell] = []

    def fake(cells: Sequence[Cell], *_: object, **__: object) -> dict[Cell, Score]:
        asked.extend(cells)
        return {
            cell: Score(validation=0.5, test=0.5 + 0.1 * bool(cell.teacher), seconds=1.0)
            for cell in cells
        }

    monkeypatch.setattr(distill_grid, "run_cells", fake)
    monkeypatch.setattr(distill_grid, "teacher_accuracy", lambda *_: 0.9)
    teacher = SimpleNamespace(identity="0123456789abcdef")
    monkeypatch.setattr(distill_cells, "teacher", lambda *_: teacher)
    cells = ["--cells", str(tmp_path / "cells.jsonl"), "--seeds", "2"]
    assert benchmark.main([*cells, *arguments]) == 0
    assert {cell.student for cell in asked} == students
    assert len(asked) == 2 * arms * len(students)
    shown = capsys.readouterr().out
    assert shown.count(" parameters, 10 epochs, 2 seeds") == len(students)
    assert shown.count("+10.00 (+10.00 to +10.00) over cross-entropy") >= len(students)


def test_a_gain_is_paired_with_the_control_that_validation_prefers() -> None:
    scores = {
        cell: Score(validation=validation, test=test + 0.01 * cell.seed, seconds=1.0)
        for cell, validation, test in zip(
            _cells((*CONTROLS, "kd"), seeds=2),
            [0.7, 0.8, 0.6, 0.9] * 2,
            [0.75, 0.5, 0.6, 0.6] * 2,
            strict=True,
        )
    }
    table = rows(scores, CONTROLS)
    assert [row.arm for row in table] == [*CONTROLS, "kd"]
    assert table[-1].over == "label_smoothing"
    assert table[-1].gain is not None
    assert table[-1].gain.mean == pytest.approx(0.1)


def test_a_markdown_table_has_an_arm_a_row_and_marks_gains_that_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = paired_gain([0.521, 0.522, 0.524], [0.5, 0.501, 0.5], over="cross-entropy")
    none = paired_gain([0.521, 0.49, 0.55], [0.5, 0.501, 0.5], over="cross-entropy")
    tables = {
        size: [
            Row(arm="cross-entropy", test=0.5),
            Row(arm="kd", test=0.521, over="cross-entropy", gain=gain),
        ]
        for size, gain in (("2k", shown), ("8k", none))
    }
    show_markdown(tables)
    assert capsys.readouterr().out.split("\n")[1:5] == [
        "| training | 2k | 8k |",
        "|---|--:|--:|",
        "| cross-entropy | 50.00 % | 50.00 % |",
        "| kd | 52.10 %, **+2.20 (+1.77 to +2.63)** | 52.10 %, +2.00 (-5.58 to +9.58) |",
    ]


def test_the_control_of_a_method_needs_no_teacher() -> None:
    (entry,) = methods_of("no teacher, kd:temperature=2,weight=0.5")
    assert not entry.method.uses_teacher
    assert entry.weight == 0.5
    with pytest.raises(SystemExit, match="no such control"):
        methods_of("no teacher, pkt")


def _cells(arms: tuple[str, ...], *, seeds: int) -> list[Cell]:
    return [
        Cell(
            student="8k", arm=arm, labels=Labels(), seed=seed, epochs=1, batch=8, data="d",
            teacher="",
        )
        for seed in range(seeds)
        for arm in arms
    ]  # fmt: skip
