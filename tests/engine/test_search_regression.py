"""A regression goes the whole way: search, teacher, int8, report, C, verification."""

from __future__ import annotations

import json
import re
import shutil

import pytest

import hwkd
from hwkd.cli.app import main
from hwkd.io.run_files import read_run_record

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
KNOWS_NOTHING = 58.8  # mean absolute error of the mean of train on this test split


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("regression") / "run"
    hwkd.search(
        device="cortex-m4", task="regression", trials=2, workers=1, spaces=["narrow_deep"],
        methods=["none"], brief_epochs=2, full_epochs=20, calibration="minmax", out=folder,
    )  # fmt: skip
    return folder


def test_the_best_student_beats_the_mean_in_int8(run):
    record = read_run_record(run / "run.json")
    assert record.data.metric.name == "mean absolute error"
    assert record.data.metric.direction == "min"
    scores = record.final.scores.test_int8
    assert scores is not None
    assert scores["mean absolute error"] < 0.9 * KNOWS_NOTHING
    assert scores["R2"] > 0.1
    assert record.final.quantisation_choice.metric == record.data.metric


def test_report_json_and_card_speak_of_the_metric(run, capsys):
    assert main(["report", str(run), "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["best"]
    assert 30 < best["test_mean_absolute_error_int8"] < KNOWS_NOTHING
    assert "test_accuracy_int8" not in best
    page = (run / "report.html").read_text()
    assert "Test mean absolute error, int8" in page
    assert "target units" in page


def test_its_tables_fit_a_terminal_of_eighty_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["report", str(run)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if str(run) not in line]
    assert max(map(len, lines)) <= 80
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in lines)


def test_the_c_gives_the_answer_in_the_unit_of_the_target(run, tmp_path, capsys):
    assert main(["export", str(run), "--target", "c", "--out", str(tmp_path / "c")]) == 0
    data = read_run_record(run / "run.json").data
    text = (tmp_path / "c/model_answer.c").read_text()
    numbers = [
        float(re.search(rf"{name}\[MODEL_ANSWER_COUNT\] = {{(.*?)f}}", text).group(1))
        for name in ("scale", "offset")
    ]
    assert numbers == pytest.approx([*data.answer_std, *data.answer_mean], rel=1e-6)
    assert "model_answer(answer);" in (tmp_path / "c/README.md").read_text()


def test_an_export_tells_estimates_of_another_runtime_from_what_its_c_needs(run, tmp_path, capsys):
    out = tmp_path / "c"
    assert main(["export", str(run), "--target", "c", "--out", str(out)]) == 0
    device = read_run_record(run / "run.json").device
    arena = json.loads((out / "model.json").read_text())["arena_bytes"]
    for text in (capsys.readouterr().out, (out / "README.md").read_text()):
        assert f"{arena:,} bytes of arena" in text
        assert f"estimates for {device.runtime} {device.runtime_version} on {device.name}" in text
        assert "not for this C" in text
        assert "`hwkd verify RUN --device cortex-m4` counts them on an emulated core" in text


def test_the_c_holds_the_preprocessing_and_passes_verification(run, tmp_path, capsys):
    assert main(["export", str(run), "--target", "c", "--out", str(tmp_path / "c")]) == 0
    assert "model_run_raw(const float *raw" in (tmp_path / "c/model.h").read_text()
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("needs the Arm compiler and QEMU")
    assert main(["verify", str(run), "--device", "cortex-m4"]) == 0
    assert "mean absolute error" in capsys.readouterr().out
