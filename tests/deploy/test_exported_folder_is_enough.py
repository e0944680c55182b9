"""From the README of an exported folder alone, a C compiler gives the answers of the report."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

import hwkd
from hwkd.cli.app import main
from hwkd.core.run_record import RunRecord
from hwkd.deploy.sessions import open_session, predict_all
from hwkd.io.run_files import read_run_record
from hwkd.signals.pipeline import Pipeline

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (shutil.which("make") and shutil.which("cc")), reason="no C compiler"),
]
NAMES = ("left side", "middle", 'the "right"')
TEST_SAMPLES = 1000


def signals(count: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return seeded noise with one brighter third per class, and the classes."""
    generator = np.random.default_rng(count)
    labels = np.arange(count) % len(NAMES)
    inputs = generator.normal(size=(count, *shape))
    third = shape[-1] // len(NAMES)
    for index, label in enumerate(labels):
        inputs[index, ..., label * third : (label + 1) * third] += 1.0
    return inputs, labels


def picture_folder(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Write coloured pictures; return the folder, raw test samples and labels."""
    kept = {}
    for split, count in (("train", 240), ("test", TEST_SAMPLES)):
        inputs, labels = signals(count, (3, 8, 9))
        kept[split] = np.clip(inputs * 40 + 100, 0, 255).astype(np.uint8), labels
        for number, (pixels, label) in enumerate(zip(*kept[split], strict=True)):
            place = folder / "pictures" / split / NAMES[label]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.transpose(1, 2, 0)).save(place / f"{number}.png")
    return folder / "pictures", *kept["test"]


def npz_of_floats(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Write an archive with labels of text; return it, raw test samples and labels."""
    (train, known), (test, asked) = (signals(count, (1, 8, 9)) for count in (240, TEST_SAMPLES))
    train, test = (values.astype(np.float32) * 1e-3 + 7 for values in (train, test))
    named = np.array(NAMES)
    np.savez(
        folder / "data.npz", x_train=train, y_train=named[known], x_test=test, y_test=named[asked]
    )
    return folder / "data.npz", test, asked


def npz_of_values(folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """Write an archive of measurements; return it, raw test samples and their values."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(50, 20, (240 + TEST_SAMPLES, 6)).astype(np.float32)
    values = (inputs[:, 0] * 3 - inputs[:, 2] + 1000).astype(np.float32)
    np.savez(
        folder / "data.npz",
        x_train=inputs[:240], y_train=values[:240], x_test=inputs[240:], y_test=values[240:],
    )  # fmt: skip
    return folder / "data.npz", inputs[240:], values[240:]


def search(data: Path, out: Path, task: str) -> RunRecord:
    hwkd.search(
        device="cortex-m4", task=task, data=data, trials=2, workers=1, spaces=["narrow_deep"],
        methods=["none"], brief_epochs=1, full_epochs=1, out=out,
    )  # fmt: skip
    return read_run_record(out / "run.json")


def told_by(readme: str, folder: Path, samples: np.ndarray) -> list[str]:
    """Do what a README says, with these raw samples; return what its program prints."""
    (program,) = re.findall(r"```c\n(.*?)```", readme, re.S)
    (commands,) = re.findall(r"```sh\n(.*?)```", readme, re.S)
    (folder.parent / "example.c").write_text(program)
    (folder.parent / "samples.bin").write_bytes(np.ascontiguousarray(samples).tobytes())
    done = subprocess.run(
        ["sh", "-e", "-c", commands], cwd=folder, capture_output=True, text=True, check=True
    )
    built = ("ar ", "cc ", "make", "a - ")
    return [line for line in done.stdout.splitlines() if not line.startswith(built)]


def int8_outputs(run: Path, record: RunRecord, raw: np.ndarray) -> np.ndarray:
    """Return what the report's int8 model says of raw samples."""
    pipeline = Pipeline.of(record.data.pipeline)
    inputs = pipeline.apply(raw.reshape(len(raw), *pipeline.raw_shape))
    (outputs,) = predict_all(open_session(run / "best/student_int8.onnx"), inputs)
    return outputs


def measured(record: RunRecord, metric: str) -> float:
    assert record.final is not None
    assert record.final.scores.test_int8 is not None
    return record.final.scores.test_int8[metric]


@pytest.mark.parametrize(
    ("make", "c_type"), [(picture_folder, "uint8_t"), (npz_of_floats, "float")]
)
def test_the_readme_gives_the_reports_accuracy(
    make: Callable[[Path], Any], c_type: str, tmp_path: Path
) -> None:
    data, raw, labels = make(tmp_path)
    run = tmp_path / "run"
    record = search(data, run, "image")
    assert record.data.class_names == NAMES
    out = tmp_path / "c"
    assert main(["export", str(run), "--target", "c", "--out", str(out)]) == 0
    shipped = {path.name: path.read_bytes() for path in out.iterdir()}
    assert [name for name, content in shipped.items() if str(tmp_path).encode() in content] == []
    shutil.copy(out / "README.md", tmp_path)
    readme = (tmp_path / "README.md").read_text()
    assert f"static {c_type} raw[MODEL_RAW_VALUES];" in readme
    told = np.array([NAMES.index(line) for line in told_by(readme, out, raw)])
    # So that `hwkd verify` takes the folder afterwards, too.
    assert {path.name: path.read_bytes() for path in out.iterdir()} == shipped
    np.testing.assert_array_equal(told, int8_outputs(run, record, raw).argmax(axis=1))
    reached = measured(record, "accuracy")
    assert float((told == labels).mean()) == reached
    assert f"{100 * reached:.2f} %" in readme
    _same_facts_everywhere(run, tmp_path, json.loads((out / "model.json").read_text()))


def test_the_readme_gives_the_reports_error_in_the_unit_of_the_target(tmp_path: Path) -> None:
    data, raw, values = npz_of_values(tmp_path)
    run, out = tmp_path / "run", tmp_path / "c"
    record = search(data, run, "regression")
    assert main(["export", str(run), "--target", "c", "--out", str(out)]) == 0
    lines = told_by((out / "README.md").read_text(), out, raw)
    told = np.array([float(line.split()[-1]) for line in lines])
    mean, std = (float(it[0]) for it in (record.data.answer_mean, record.data.answer_std))
    expected = int8_outputs(run, record, raw)[:, 0].astype(float) * std + mean
    np.testing.assert_allclose(told, expected, rtol=1e-6)
    reached = measured(record, "mean absolute error")
    assert float(np.abs(told - values).mean()) == pytest.approx(reached, rel=1e-5)
    onnx_out = tmp_path / "onnx"
    assert main(["export", str(run), "--format", "onnx-int8", "--out", str(onnx_out)]) == 0
    (program,) = re.findall(r"```python\n(.*?)```", (onnx_out / "README.md").read_text(), re.S)
    np.save(tmp_path / "samples.npy", raw[:5].reshape(5, *record.data.pipeline.raw_shape))
    shown = program.replace('"samples.npy"', '"../samples.npy"')
    done = subprocess.run(
        [sys.executable, "-c", shown], cwd=onnx_out, capture_output=True, text=True, check=True
    )
    printed = [float(number) for number in re.findall(r"[-\d.e+]+", done.stdout)]
    np.testing.assert_allclose(printed, expected[:5], rtol=1e-4)


def _same_facts_everywhere(run: Path, folder: Path, known: dict[str, Any]) -> None:
    """Compare ONNX files, the TFLite file and a trial's files with the `model.json` of the C."""
    facts = ("preprocessing", "answer", "measured", "estimated", "data")
    given = {name: known[name] for name in facts}
    assert given["answer"]["labels"] == list(NAMES)
    assert main(["export", str(run), "--out", str(folder / "onnx")]) == 0
    names, places = ("student.onnx", "student_int8.onnx"), (folder / "onnx", run / "best")
    for path in (place / name for place in places for name in names):
        props = {it.key: it.value for it in onnx.load(path).metadata_props}
        assert {key: json.loads(props["hwkd"])[key] for key in facts} == given
    readme = (folder / "onnx/README.md").read_text()
    for value in given["preprocessing"]["steps"][0]["values"]["mean"]:
        assert repr(value) in readme
    assert main(["export", str(run), "--trial", "0", "--out", str(folder / "trial")]) == 0
    (said,) = onnx.load(folder / "trial/student.onnx").metadata_props
    assert json.loads(said.value)["answer"] == given["answer"]
    assert main(["export", str(run), "--target", "tflite", "--out", str(folder / "tflite")]) == 0
    assert json.dumps(given["answer"])[1:-1] in (
        folder / "tflite/model.tflite"
    ).read_bytes().decode("utf-8", errors="replace")
    described = json.loads((folder / "tflite/model.json").read_text())
    assert {key: described[key] for key in facts} == given
