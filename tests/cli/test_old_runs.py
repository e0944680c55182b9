"""Runs of earlier versions stay of use: their report, every export, and going on with them."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from hwkd.cli.app import main
from hwkd.core.trial import read_trial_line
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.toolchain import host_compiler
from hwkd.io.run_files import read_run_record
from hwkd.io.student_folder import FLOAT_FILE, INT8_FILE, WEIGHTS_FILE, read_student
from hwkd.io.trials_file import read_trials

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> Path:
    """A run of the version before `student.json`, whose best/ has spec.json and metrics.json."""
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path / "cache"))
    return shutil.copytree(GOLDEN / "run_v2", tmp_path / "run")


@pytest.mark.parametrize("name", ["run_v1", "run_v2"])
def test_reports_are_made_again(name: str, tmp_path: Path, capsys) -> None:
    folder = shutil.copytree(GOLDEN / name, tmp_path / "run")
    wanted = [row["trial"] for row in csv_rows(folder / "pareto.csv")]
    assert main(["report", str(folder)]) == 0
    assert (folder / "report.html").is_file()
    made = csv_rows(folder / "pareto.csv")
    # What ships is listed, too, where others are better in all.
    assert [row["trial"] for row in made if row["on_front"] == "yes"] == wanted
    assert all(row["ships"] == "yes" for row in made if row["on_front"] == "no")


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_without_files_of_its_student_says_so(tmp_path: Path, capsys) -> None:
    assert main(["export", str(GOLDEN / "run_v1"), "--out", str(tmp_path / "out")]) == 2
    assert "records of a run without its files (best/ and journal.log" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_its_best_student_is_read(run: Path) -> None:
    student = read_student(run)
    assert student.labels == tuple("0123456789")
    assert student.record.spec == read_run_record(run / "run.json").final.spec
    assert set(student.record.files) == {FLOAT_FILE, INT8_FILE, WEIGHTS_FILE}
    assert {"stage1", "embedding"} <= set(student.layers.taps)


def test_its_files_are_exported_as_they_are(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run), "--format", "onnx,onnx-int8,torch", "--out", str(out)]) == 0
    assert (out / WEIGHTS_FILE).read_bytes() == (run / "best" / WEIGHTS_FILE).read_bytes()
    for name in (FLOAT_FILE, INT8_FILE):
        exported = onnx.load(out / name)
        said = exported.metadata_props.pop()
        assert json.loads(said.value)["answer"]["labels"]
        assert exported == onnx.load(run / "best" / name)
    spec = importlib.util.spec_from_file_location("load_student", out / "load_student.py")
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    samples = np.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = loader.load()(torch.from_numpy(samples)).numpy()
    found = predict(open_session(out / FLOAT_FILE), samples)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("source", ["", "best"])
@pytest.mark.parametrize("target", ["c", "tflite"])
def test_its_firmware_is_exported_with_labels(
    target: str, source: str, run: Path, tmp_path: Path, capsys
) -> None:
    if target == "tflite":
        pytest.importorskip("flatbuffers")
    out = tmp_path / "out"
    assert main(["export", str(run / source), "--target", target, "--out", str(out)]) == 0
    if target == "c":
        assert json.loads((out / "model.json").read_text())["labels"] == list("0123456789")
    else:
        assert (out / "labels.txt").read_text().split() == list("0123456789")


def test_a_trial_of_it_is_exported(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["export", str(run), "--trial", "0", "--format", "torch", "--out", str(out)]) == 0
    stored = (run / "students" / "0.safetensors").stat().st_size
    assert (out / WEIGHTS_FILE).stat().st_size == stored


def test_other_ranges_make_another_int8_file_that_was_not_tested(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["--format", "onnx-int8", "--calibration", "minmax", "--out", str(out)]
    assert main(["export", str(run), *given]) == 0
    assert (out / INT8_FILE).read_bytes() != (run / "best" / INT8_FILE).read_bytes()
    assert read_student(out).record.run.final is None


@pytest.mark.slow
@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.skipif(shutil.which("qemu-system-arm") is None, reason="needs qemu-system-arm")
@pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc")
def test_it_is_verified(run: Path) -> None:
    assert main(["verify", str(run), "--device", "cortex-m4", "--inputs", "4"]) == 0


def test_a_changed_file_of_it_is_refused(run: Path, tmp_path: Path, capsys) -> None:
    shutil.copyfile(run / "best" / FLOAT_FILE, run / "best" / INT8_FILE)
    for command in (["export", str(run), "--out", "x"], ["profile", str(run), "--device", "host"]):
        assert main(command) == 2
        message = capsys.readouterr().err
        assert "is not the file of this student (SHA-256" in message
        assert message.count("\n") == 1


def test_its_spec_json_alone_is_a_student(run: Path, tmp_path: Path, capsys) -> None:
    path = shutil.copyfile(run / "best" / "spec.json", tmp_path / "spec.json")
    out = tmp_path / "out"
    command = ["distill", "--student", str(path), "--method", "none", "--epochs", "1"]
    content = json.loads(path.read_text())
    key, content["spec"]["key"] = content["spec"]["key"], "0" * 16
    path.write_text(json.dumps(content))
    assert main([*command, "--out", str(out)]) == 2
    assert "is not that of the spec's choices, which were edited" in capsys.readouterr().err
    content["spec"]["key"] = key
    del content["layers"]
    path.write_text(json.dumps(content))
    assert main([*command, "--out", str(out)]) == 2
    assert "describes no student (layers: Field required" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", ["", "best", "best/spec.json"])
def test_its_student_is_distilled_anew(source: str, run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["distill", "--student", str(run / source), "--method", "none", "--epochs", "1"]
    assert main([*command, "--out", str(out)]) == 0
    made = read_student(out)
    assert made.layers == read_student(run).layers
    assert made.labels == tuple("0123456789")
    assert (out / "MODEL_CARD.md").read_text().startswith("#")


@pytest.mark.slow
def test_it_goes_on_and_keeps_what_it_had(run: Path, capsys) -> None:
    lines = (run / "trials.jsonl").read_text().splitlines()
    before = {r.number: r for r in map(partial(read_trial_line, where="before"), lines)}
    wanted = str(len(before) + 1)
    assert main(["search", "--resume", str(run), "--trials", wanted, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"] == len(before) + 1
    after = read_trials(run / "trials.jsonl").records
    assert {r.number: r.spec for r in after if r.number in before} == {
        number: record.spec for number, record in before.items()
    }
    assert read_student(run).labels == tuple("0123456789")
