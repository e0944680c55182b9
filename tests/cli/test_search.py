"""What a search on a small data set leaves, and what is exported from it."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.finished_search import (
    TOOLS,
    TRIALS,
    VERIFIES,
    load_exported,
    outcome,
    records,
)

import hwkd
from hwkd.cli.app import main
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.tflite_check import installed
from hwkd.deploy.to_int8 import assert_int8
from hwkd.deploy.toolchain import host_compiler
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data
from hwkd.io.run_files import read_run_record
from hwkd.io.student_folder import read_student

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_json_has_the_keys_that_others_read(finished):
    run, found = finished
    assert set(found) >= {
        "run", "trials", "completed", "rejected", "failed", "front", "best", "teacher", "seconds",
    }  # fmt: skip
    assert (found["run"], found["trials"]) == (str(run), TRIALS)
    states = ("completed", "rejected", "failed", "duplicates")
    assert sum(found[state] for state in states) == TRIALS
    assert found["completed"] >= 2
    for point in found["front"]:
        assert set(point) == {
            "trial", "space", "error", "passes", "latency_s", "peak_ram_bytes", "flash_bytes",
        }  # fmt: skip
    assert set(found["best"]) >= {
        "trial", "test_accuracy_float", "test_accuracy_int8", "latency_s", "peak_ram_bytes",
        "flash_bytes",
    }  # fmt: skip
    assert 0.5 < found["teacher"]["test_accuracy"] <= 1
    assert 0 <= found["best"]["test_accuracy_int8"] <= 1
    assert found["seconds"] > 0


def test_every_file_of_the_run_folder_is_there_and_can_be_read(finished, inputs):
    run, found = finished
    assert len(records(run)) == TRIALS
    assert [r.number for r in records(run)] == list(range(TRIALS))
    config = SearchConfig.from_toml(run / "config.toml")
    assert (config.seed, config.trials, config.data) == (3, TRIALS, str(inputs / "data.npz"))
    record = read_run_record(run / "run.json")
    assert record.status == "finished"
    assert record.device.limit("latency").value == pytest.approx(0.002)
    with (run / "pareto.csv").open() as handle:
        rows = [row for row in csv.DictReader(handle) if row["on_front"] == "yes"]
    assert len(rows) == len(found["front"])
    assert (run / "pareto.png").read_bytes().startswith(b"\x89PNG")
    page = (run / "report.html").read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=[\"']https?://", page)
    for name in ("student.onnx", "student_int8.onnx"):
        onnx.checker.check_model(onnx.load(run / "best" / name))
    student = read_student(run)
    assert student.labels == ("0", "1", "2")
    assert student.record.run == record
    assert student.record.trial.objective == records(run)[record.final.trial].objective
    assert student.layers == SEARCH_SPACES.get(student.record.spec.space).layers(
        student.record.spec
    )
    assert (run / "best" / "MODEL_CARD.md").read_text().startswith("#")
    study = RunFolder(run).trials.study
    assert len(study.trials) == TRIALS


def test_a_student_without_a_teacher_stands_beside_the_best(finished):
    final = read_run_record(finished[0] / "run.json").final
    trained = [path.name for path in (finished[0] / "final").iterdir()]
    verdict = final.verdict
    assert sum(name.startswith(final.spec.key) for name in trained) >= len(verdict.arms)
    if len(verdict.arms) == 1:  # the second-best network won, which has no controls
        assert verdict.gain is None
        return
    assert [len(arm.scores) for arm in verdict.arms] == [1, 1, 1, 1]
    assert [arm.is_taught for arm in verdict.arms] == [True, False, False, False]
    distilled, *controls = verdict.arms
    validation = {arm.name: arm.scores[0].validation_int8 or 0.0 for arm in verdict.arms}
    shipped = final.scores.validation_int8
    assert shipped is not None
    assert shipped["accuracy"] == max(validation.values())
    assert verdict.asked_for_ships == all(
        validation["distilled"] > validation[control.name] for control in controls
    )
    over = next(arm for arm in controls if arm.name == verdict.gain.over)
    assert verdict.gain.mean == pytest.approx(distilled.test_int8[0] - over.test_int8[0])
    assert final.history[0].losses


@pytest.mark.skipif(not VERIFIES, reason=f"needs {', '.join(TOOLS)}")
def test_verify_runs_the_best_student_on_the_emulated_core(finished):
    run, found = finished
    verification = read_run_record(run / "run.json").final.verification
    assert verification.passed
    assert verification.emulation.mismatches.onnxruntime == 0
    assert found["best"]["verification"] == verification.model_dump(mode="json")
    assert "On an emulated core" in (run / "report.html").read_text()
    assert "## On an emulated core" in (run / "best" / "MODEL_CARD.md").read_text()
    written = json.loads((run / "best" / "verification.json").read_text())
    assert written["passed"] is True
    assert written["device"] == "cortex-m7"


@pytest.mark.parametrize("which", ["best", "trial"])
def test_exported_files_agree_with_the_torch_weights(which, finished, tmp_path, capsys):
    run, found = finished
    completed = next(r.number for r in records(run) if r.state == "completed")
    trial = "best" if which == "best" else str(completed)
    given = [
        "export", str(run), "--trial", trial, "--format", "onnx,onnx-int8,torch",
        "--out", str(tmp_path / "out"), "--json",
    ]  # fmt: skip
    assert main(given) == 0
    printed = capsys.readouterr()
    names = {Path(path).name for path in json.loads(printed.out)["files"]}
    assert names == {path.name for path in (tmp_path / "out").iterdir()}
    assert ("trained briefly" in printed.err) is (which == "trial")
    samples = np.random.default_rng(1).normal(size=(16, 1, 8, 8)).astype(np.float32)
    module = load_exported(tmp_path / "out")
    with torch.no_grad():
        expected = module(torch.from_numpy(samples)).numpy()
    actual = predict(open_session(tmp_path / "out" / "student.onnx"), samples)
    np.testing.assert_allclose(actual, expected, atol=1e-4)
    assert_int8(onnx.load(tmp_path / "out" / "student_int8.onnx"), name="exported")
    assert found["completed"]


def test_exported_c_runs_an_example_of_the_validation_data(finished, tmp_path, capsys):
    run, _ = finished
    out = tmp_path / "firmware"
    assert main(["export", str(run), "--target", "c", "--out", str(out), "--json"]) == 0
    assert capsys.readouterr().err == ""
    _, data = load_data(SearchConfig.from_toml(run / "config.toml"))
    text = (out / "model_sample.h").read_text()
    label = data.class_names[int(data.validation.labels[0])]
    assert '#define MODEL_SAMPLE_ORIGIN "validation example 0 of ' in text
    assert f'#define MODEL_SAMPLE_LABEL "{label}"' in text
    described = json.loads((out / "model.json").read_text())["input"]
    steps = data.validation.inputs[0] / np.float32(described["scale"]) + described["zero_point"]
    body = text.split("model_sample_input")[1].split("{")[1].split("}")[0]
    recorded = [int(value) for value in body.split(",") if value.strip()]
    # Both are channels last: the data have one channel.
    np.testing.assert_array_equal(recorded, np.clip(np.rint(steps), -128, 127).reshape(-1))


def test_exported_tflite_was_run_where_the_interpreters_are(finished, tmp_path, capsys):
    pytest.importorskip("flatbuffers")
    run, _ = finished
    out = tmp_path / "tflite"
    given = ["export", str(run), "--target", "tflite", "--out", str(out)]
    assert main([*given, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} == {
        "README.md", "model.tflite", "model.json", "labels.txt",
    }  # fmt: skip
    assert (out / "model.tflite").read_bytes()[4:8] == b"TFL3"
    assert (out / "labels.txt").read_text() == "0\n1\n2\n"
    found = {item["interpreter"]: item for item in printed["facts"]["against_c"]}
    assert set(found) == (set(installed()) if host_compiler() else set())
    if "tflite-micro" in found:
        assert found["tflite-micro"]["mismatches"] == 0
        assert found["tflite-micro"]["outputs"] == 32 * 3
    assert main(given) == 2  # an earlier export is in the way like anything else
    assert "is in use; give a new or an empty folder" in capsys.readouterr().err


def test_an_export_never_overwrites_and_names_what_is_not_there(finished, tmp_path, capsys):
    run, _ = finished
    used = tmp_path / "used"
    used.mkdir()
    (used / "student.onnx").write_text("mine")
    assert main(["export", str(run), "--out", str(used)]) == 2
    assert "is in use; give a new or an empty folder" in capsys.readouterr().err
    assert (used / "student.onnx").read_text() == "mine"
    assert main(["export", str(run), "--trial", "99", "--out", str(tmp_path / "x")]) == 2
    assert f"no such trial; it has 0 to {TRIALS - 1}" in capsys.readouterr().err
    other = next((r.number for r in records(run) if r.state == "rejected"), None)
    if other is not None:
        assert main(["export", str(run), "--trial", str(other), "--out", str(tmp_path / "x")]) == 2
        assert "it was rejected (" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_the_same_seed_and_one_worker_give_the_same_trials_and_front(finished, inputs, tmp_path):
    again = hwkd.search(
        "cortex-m7", data=inputs / "data.npz", teachers=[str(inputs / "teacher.onnx")],
        spaces=["narrow_deep", "depthwise"], max_latency="2ms", workers=1, seed=3, trials=TRIALS,
        brief_epochs=1, full_epochs=1, final=False, out=tmp_path / "run",
    )  # fmt: skip
    run, found = finished
    assert outcome(again.folder) == outcome(run)
    assert again.as_dict()["front"] == found["front"]
    assert again.best is None
    assert [point.trial for point in again.pareto] == [p["trial"] for p in found["front"]]
    again.report.unlink()
    assert hwkd.report(again.folder).report.is_file()
