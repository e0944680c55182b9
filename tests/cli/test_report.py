from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from support.synthetic_run import make_run, write_run
from typer.testing import CliRunner

from hwkd.cli.app import app
from hwkd.core.errors import RunFolderError
from hwkd.report.build import build_report
from hwkd.report.columns import front_columns
from hwkd.report.tables import best_view, feasibility_view, front_view, verdict_view


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_run(tmp_path / "run", *make_run())
    return tmp_path / "run"


def _shown(renderable: object) -> str:
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def test_json_is_the_one_object_that_was_promised(folder: Path):
    outcome = CliRunner().invoke(app, ["report", str(folder), "--json"])
    made = json.loads(outcome.stdout)
    assert outcome.exit_code == 0
    assert made["trials"] == 40
    assert made["trials"] == sum(
        made[state] for state in ("completed", "rejected", "failed", "duplicates")
    )
    assert set(made["front"][0]) == {
        "trial", "space", "error", "latency_s", "peak_ram_bytes", "flash_bytes", "passes",
    }  # fmt: skip
    assert made["best"]["test_accuracy_int8"] == 0.9767
    assert made["best"]["test_accuracy_float"] == 0.9783
    assert made["teacher"]["test_accuracy"] == 0.989
    assert made["seconds"] == pytest.approx(152.0)


def test_the_front_and_every_caveat_are_printed(folder: Path):
    outcome = CliRunner().invoke(app, ["report", str(folder)])
    assert outcome.exit_code == 0
    assert "Pareto front, 13 of the trials" in outcome.stdout
    assert "caveat: Synthetic records for tests" in outcome.stdout
    assert (folder / "report.html").stat().st_size > 1_000_000


def test_a_cut_last_record_is_one_warning_on_stderr(folder: Path):
    path = folder / "trials.jsonl"
    path.write_bytes(path.read_bytes()[:-9])
    outcome = CliRunner().invoke(app, ["report", str(folder), "--json"])
    assert json.loads(outcome.stdout)["trials"] == 39
    assert "warning:" in outcome.stderr
    assert "last record was cut" in " ".join(outcome.stderr.split())


def test_a_folder_that_is_no_run_is_an_error_and_stays_empty(tmp_path: Path):
    outcome = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert isinstance(outcome.exception, RunFolderError)
    assert "not a run folder" in str(outcome.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_report_needs_neither_torch_nor_the_study(folder: Path):
    code = (
        "import sys; from pathlib import Path; import hwkd; "
        "hwkd.report(Path(sys.argv[1])).as_dict(); "
        "print(sorted({'torch', 'optuna', 'onnx', 'onnxruntime'} & set(sys.modules)), "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_terminal_tables_show_basis_and_square_brackets_as_they_are():
    run, records = make_run()
    renamed = [
        r.model_copy(update={"spec": replace(r.spec, space="[red]x[/red]")}) if r.spec else r
        for r in records
    ]
    report = build_report(run, renamed)
    front = _shown(front_view(report))
    assert "[red]x[/red]" in front
    assert "estimated" in front
    assert "97.67 %" in _shown(best_view(report))
    assert "39.0 %" in _shown(feasibility_view(run))


def dominated(run, records):
    """The same run, whose student that ships is slower than another of the same error."""
    best = next(r for r in records if r.number == run.final.trial)
    cost = replace(best.cost, peak_ram_bytes=best.cost.peak_ram_bytes + 1)
    spoilt = best.model_copy(update={"number": 1 + len(records), "cost": cost})
    verdict = run.final.verdict.model_copy(update={"full_trainings": 3})
    final = run.final.model_copy(update={"trial": spoilt.number, "verdict": verdict})
    return run.model_copy(update={"final": final}), (*records, spoilt)


def test_what_ships_is_listed_where_others_dominate_it_and_says_why(tmp_path):
    run, records = dominated(*make_run())
    write_run(tmp_path / "run", run, records)
    report = build_report(run, records)
    number = run.final.trial
    assert number not in {point.trial for point in report.front}
    shown = _shown(front_view(report))
    assert [line for line in shown.splitlines() if line.strip().startswith(f"*{number} ")]
    said = " ".join(shown.split())
    assert "it is not on the front" in said
    assert f"*{number} ships: on validation it was the best of 3 full trainings" in said
    assert "97.90 %" in said
    columns = front_columns(report)
    at = columns["trial"].index(number)
    assert (columns["on_front"][at], columns["ships"][at]) == (False, True)
    assert sum(columns["ships"]) == 1
    assert sum(columns["on_front"]) == len(report.front) == len(columns["trial"]) - 1
    told = CliRunner().invoke(app, ["report", str(tmp_path / "run"), "--json"])
    assert "3 full trainings" in json.loads(told.stdout)["best"]["verdict"]["reason"]


def test_before_anything_ships_the_front_says_nothing_of_it():
    run, records = make_run()
    report = build_report(run.model_copy(update={"final": None}), records)
    assert "ships" not in _shown(front_view(report))
    assert "*" not in _shown(front_view(report))
    assert not any(front_columns(report)["ships"])


def test_classes_are_shown_at_the_end_where_the_score_is_a_mean_over_them():
    run, records = make_run()
    counts = tuple(tuple(90 if a == b else 1 for b in range(10)) for a in range(10))
    final = run.final.model_copy(update={"confusion": counts})
    run = run.model_copy(update={"final": final})
    assert "Each class" not in _shown(verdict_view(build_report(run, records)))
    data = run.data.model_copy(update={"kind": "class maps"})
    report = build_report(run.model_copy(update={"data": data}), records)
    (row,) = [
        x for x in _shown(verdict_view(report)).splitlines() if x.strip().startswith("digit 3")
    ]
    assert row.split() == ["digit", "3", "99", "83.3", "%", "90.9", "%", "90.9", "%"]


def test_an_empty_front_is_said_in_words():
    run, _ = make_run()
    report = build_report(run.model_copy(update={"final": None}), ())
    assert "No candidate has completed" in _shown(front_view(report))
