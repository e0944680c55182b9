"""What first users stumbled over, walked through as they would: one search, and all that follows.

Everything is typed or called as a user does it and judged by what a user reads.
"""

from __future__ import annotations

import json
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from support.tiny_search import write_npz, write_teacher

import hwkd
from hwkd.cli.app import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
NAMES = ("cup", "key", "shoe")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with data whose labels are text, a teacher, and a run with its distillation."""
    folder = tmp_path_factory.mktemp("first")
    with np.load(write_npz(folder / "numbers.npz")) as stored:
        x, y = stored["x_train"], np.array(NAMES)[stored["y_train"]]
    np.savez(folder / "data.npz", x_train=3 * x + 40, y_train=y)
    found = hwkd.search(
        "cortex-m7", data=folder / "data.npz", teachers=str(write_teacher(folder / "t.onnx")),
        spaces="plain", trials=2, workers=1, brief_epochs=1, full_epochs=1, controls=0,
        out=folder / "run",
    )  # fmt: skip
    # One text is one space, not nine of one letter each.
    assert {record.spec.space for record in found.records if record.spec is not None} == {"plain"}
    typed = ["--student", str(folder / "run"), "--epochs", "1", "--out", str(folder / "again")]
    assert main(["distill", *typed, "--seeds", "1"]) == 0
    return folder


def test_names_of_classes_reach_every_folder_that_is_handed_over(place, tmp_path):
    for source, options in (("run", ()), ("run", ("--trial", "0")), ("again", ())):
        for target in ("c", "tflite"):
            if target == "tflite":
                pytest.importorskip("flatbuffers")
            if target == "c" and options:
                continue  # a candidate is handed over as files
            out = tmp_path / f"{source}-{target}-{len(options)}"
            kind = ["--format", "onnx-int8"] if options else ["--target", target]
            given = [str(place / source), *kind, *options, "--out", str(out)]
            assert main(["export", *given]) == 0
            readme = (out / "README.md").read_text()
            assert all(name in readme for name in NAMES), readme


def test_the_mean_and_deviation_of_training_stand_in_every_folder(place, tmp_path):
    record = json.loads((place / "run/best/student.json").read_text())
    mean = next(iter(re.findall(r'"mean": \[?\s*(-?[\d.]+)', json.dumps(record))))
    assert float(mean) > 30  # of the raw values, which lie about 40
    for target in ("c", "tflite"):
        if target == "tflite":
            pytest.importorskip("flatbuffers")
        out = tmp_path / target
        assert main(["export", str(place / "run"), "--target", target, "--out", str(out)]) == 0
        facts = json.loads((out / "model.json").read_text())
        found = [float(n) for n in re.findall(r"-?\d+\.\d+", json.dumps(facts))]
        assert any(abs(number - float(mean)) < 1e-3 for number in found)
        assert f"{float(mean):.4g}"[:4] in (out / "README.md").read_text()


def test_the_report_and_the_card_show_what_ships_beside_what_was_searched_for(place):
    page = (place / "run/report.html").read_text()
    assert "hwkd&#x27;s own C: Latency" in page or "hwkd's own C: Latency" in page
    latency = json.loads((place / "run/run.json").read_text())["final"]
    ours, asked = latency["own_c"], latency["cost"]
    assert ours["runtime"] == "hwkd-c" != asked["runtime"]
    assert ours["latency"]["value_s"] != asked["latency"]["value_s"]
    assert ours["flash_bytes"] != asked["flash_bytes"]
    card = (place / "run/best/MODEL_CARD.md").read_text()
    assert "## As hwkd's own C" in card
    assert re.search(r"1 epoch\b", page)
    assert "in full" not in re.findall(r"<h3>Accuracy</h3>.*?</table>", page, re.S)[0]


def test_what_distill_wrote_names_its_teacher_and_goes_through_every_command(
    place, tmp_path, capsys
):
    record = json.loads((place / "again/student.json").read_text())
    assert "t.onnx" in json.dumps(record["run"]["teacher"])
    again = str(place / "again")
    assert main(["report", again]) == 0
    assert main(["profile", again, "--device", "cortex-m4"]) == 0
    assert main(["evaluate", again, "--data", str(place / "data.npz")]) == 0
    given = [again, "--target", "c", "--out", str(tmp_path / "c")]
    assert main(["export", *given]) == 0
    assert main(["export", *given]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_latency": 0.02}, r'has no unit; write text, as "20ms"'),
        ({"max_ram": 65536}, r"has no unit; write text"),
        ({"data": np.zeros((3, 8, 8))}, r"data: .* expected"),
        ({"data": (np.zeros((3, 8, 8)), np.zeros(2))}, r"data|y_train|labels"),
        ({"spaces": "narrow_dep"}, r"did you mean narrow_deep"),
        ({"listener": print}, r"listener: "),
    ],
)
def test_what_python_is_given_wrongly_is_one_line(options, message, tmp_path):
    with pytest.raises(hwkd.HwkdError, match=message) as caught:
        hwkd.search("cortex-m7", trials=1, out=tmp_path / "run", **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_row_that_is_far_off_changes_no_file_before_it_was_asked_about(tmp_path, capsys):
    board, rows = tmp_path / "board.toml", tmp_path / "rows.csv"
    assert main(["devices", "new", str(board)]) == 0
    before = board.read_bytes()
    models = [write_teacher(tmp_path / f"m{i}.onnx", shape=(1, 8, 8 + 8 * i)) for i in range(4)]
    times_ms = []
    for model in models:
        cost = hwkd.profile(model, device=str(board)).cost
        assert cost.latency is not None
        times_ms.append(1.3e3 * cost.latency.value_s)
    times_ms[2] *= 20  # as with a cache switched off
    lines = [
        f"{model.name};{str(ms).replace('.', ',')}"
        for model, ms in zip(models, times_ms, strict=True)
    ]
    rows.write_text("\n".join(["model;latency_ms", *lines]) + "\n")
    given = ["devices", "calibrate", "--device", str(board), "--measurements", str(rows)]
    assert main(given) == 2
    said = capsys.readouterr().err
    assert "line 4" in said and "--outliers keep" in said
    assert board.read_bytes() == before
    assert main([*given, "--outliers", "keep"]) == 0
    assert board.read_bytes() != before


def test_a_folder_of_recordings_is_told_which_task_takes_it(tmp_path, capsys):
    for word in ("yes", "no"):
        (tmp_path / "set" / word).mkdir(parents=True)
        with wave.open(str(tmp_path / "set" / word / "1.wav"), "wb") as clip:
            clip.setnchannels(1)
            clip.setsampwidth(2)
            clip.setframerate(16000)
            clip.writeframes(bytes(32000))
    given = ["--device", "cortex-m7", "--data", str(tmp_path / "set")]
    assert main(["search", *given, "--out", str(tmp_path / "run")]) == 2
    assert "--task keyword" in capsys.readouterr().err
