"""The program in the README of an ONNX folder says what hwkd says, with NumPy and ONNX Runtime."""

import ast
import math
import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from support.students import student_record
from support.texts import topic_texts

from hwkd.core.box_targets import wanted_outputs
from hwkd.core.decision_record import DecisionRecord
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.deploy.readme_program import picture_hint
from hwkd.deploy.student_facts import student_readme, with_facts
from hwkd.io.run_files import read_run_record
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.recipes.texts import ByteNumbers, PieceNumbers, WordFeatures
from hwkd.signals.steps.normalise import Normalise
from hwkd.signals.steps.standardise import Standardise
from hwkd.signals.texts import as_bytes
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.maps_head import MapsHead
from hwkd.tasks.pictures import decode_picture
from hwkd.tasks.pictures_head import PicturesHead
from hwkd.tasks.points_head import points_head
from hwkd.tasks.reconstruction_head import ReconstructionHead
from hwkd.tasks.values_head import ValuesHead

GOLDEN = Path(__file__).parents[1] / "golden" / "run_v2" / "run.json"
CLASSES = ("nut", "bolt", "gear")


def passes_on(shape: tuple[int, ...], *, flat: bool) -> bytes:
    """Return an ONNX file whose outputs are its inputs, `flat` as one row."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *sizes])
        for name, sizes in (("x", shape), ("y", (math.prod(shape),) if flat else shape))
    ]
    graph = helper.make_graph(
        [helper.make_node("Flatten" if flat else "Identity", ["x"], ["y"])], "g", ends[:1], ends[1:]
    )
    opsets = [helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def described(pipeline: PipelineRecord, input_shape, head, decision=None):
    """Describe a student with these inputs and outputs."""
    run = read_run_record(GOLDEN)
    assert run.final is not None
    data = run.data.model_copy(
        update={
            "pipeline": pipeline, "input_shape": input_shape, "kind": head.kind.name,
            "class_names": head.names, "answer_mean": head.answer_mean,
            "answer_std": head.answer_std, "metrics": head.metrics,
        }
    )  # fmt: skip
    final = run.final.model_copy(update={"decision": decision})
    return student_record(run=run.model_copy(update={"data": data, "final": final}))


def done(student, shape, folder, monkeypatch, *, flat=False):
    """Do what the README says; return its names and what it printed."""
    text = student_readme(student, ["student_int8.onnx"])
    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    imported = {
        name.name
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported <= {"json", "math", "re", "Path", "numpy", "onnxruntime"}
    (folder / "student_int8.onnx").write_bytes(with_facts(passes_on(shape, flat=flat), student))
    monkeypatch.chdir(folder)
    known: dict[str, Any] = {}
    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(program, "README.md", "exec"), known)
    return known, printed.getvalue().splitlines()


def raw(shape, count=6, seed=0):
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def scaled(shape) -> Pipeline:
    step = Normalise(mean=(0.25,) * shape[0], std=(0.5,) * shape[0])
    return Pipeline(steps=(step,), raw_shape=shape, raw_dtype="float32", raw_low=-9.0, raw_high=9.0)


def told(head, values, folder, monkeypatch, decision=None):
    """Return what the program prints of raw values, its names, and what the head says."""
    pipeline = scaled(values.shape[1:])
    np.save(folder / "samples.npy", values)
    student = described(pipeline.record(), values.shape[1:], head, decision)
    known, printed = done(student, values.shape[1:], folder, monkeypatch)
    outputs = pipeline.apply(values)
    np.testing.assert_array_equal(known["given"], outputs)
    return printed, known, head.at(decision).answers(outputs, outputs)


def test_classes_are_named(tmp_path, monkeypatch):
    head = ClassesHead(names=CLASSES)
    printed, _, answers = told(head, raw((3,)), tmp_path, monkeypatch)
    assert ast.literal_eval(printed[0]) == answers.tolist()


def test_masks_are_those_of_the_head(tmp_path, monkeypatch):
    head = MapsHead(names=CLASSES, grid=(8, 16))
    printed, known, answers = told(head, raw((3, 8, 16)), tmp_path, monkeypatch)
    np.testing.assert_array_equal(known["masks"], answers)
    assert ast.literal_eval(printed[0]) == {
        name: int((answers[0] == number).sum()) for number, name in enumerate(CLASSES)
    }


def test_values_are_in_their_unit(tmp_path, monkeypatch):
    plain = {"constant": (0.0, 0.0), "constant_error": (1.0, 1.0)}
    head = ValuesHead(names=("a", "b"), answer_mean=(3.0, -1.0), answer_std=(2.0, 0.5), **plain)
    printed, _, answers = told(head, raw((2,)), tmp_path, monkeypatch)
    found = [float(number) for number in re.findall(r"[-+\d.e]+", " ".join(printed))]
    assert found == pytest.approx(answers.ravel().tolist(), rel=1e-6)


def test_pictures_are_levels(tmp_path, monkeypatch):
    head = PicturesHead(names=("grey",), answer_mean=(120.0,), answer_std=(90.0,))
    _, known, answers = told(head, raw((1, 8, 8)), tmp_path, monkeypatch)
    np.testing.assert_array_equal(known["pictures"], answers)


def test_anomalies_are_told_at_the_threshold(tmp_path, monkeypatch):
    # Outputs that repeat their input miss nothing; a threshold of 0 makes all of them anomalies.
    head = ReconstructionHead(names=("a", "b", "c"))
    for threshold, answer in ((0.0, "anomaly"), (0.5, "normal")):
        decision = DecisionRecord(
            answer="anomaly", threshold=threshold, rate="false", wanted=0, reached=0, detected=1
        )
        printed, _, answers = told(head, raw((3,)), tmp_path, monkeypatch, decision)
        assert [line.split()[-1] for line in printed] == answers.tolist() == [answer] * 6


@pytest.mark.parametrize(
    "head", [boxes_head(CLASSES), points_head(CLASSES)], ids=("boxes", "points")
)
@pytest.mark.parametrize("threshold", [None, -1.5, 1.0])
def test_things_are_those_of_the_head(head, threshold, tmp_path, monkeypatch):
    random = np.random.default_rng(3)
    boxes = np.zeros((6, 9, 5), np.float32)
    boxes[..., 1:3] = random.uniform(0, 70, (6, 9, 2))
    boxes[..., 3:] = np.minimum(boxes[..., 1:3] + random.uniform(8, 50, (6, 9, 2)), 96)
    boxes[..., 0] = random.integers(-1, 3, (6, 9))
    wanted = wanted_outputs(torch.from_numpy(boxes), classes=3, grid=(12, 12))
    maps = 6 * wanted.heat.numpy() - 3 + random.normal(0, 1.2, wanted.heat.shape).round(1)
    if not head.as_points:
        maps = np.concatenate([maps, wanted.edges.numpy()], axis=1)
    decision = threshold and DecisionRecord(
        answer="a thing", threshold=threshold, rate="false", wanted=0, reached=0, detected=1
    )
    # What the pipeline makes of it are the maps.
    values = (0.5 * maps + 0.25).astype(np.float32)
    printed, _, answers = told(head, values, tmp_path, monkeypatch, decision)
    assert sum(int((picture[:, 0] >= 0).sum()) for picture in answers) > 12
    for line, picture in zip(printed, answers, strict=True):
        found = eval(line, {"np": np})
        there = picture[picture[:, 0] >= 0]
        assert [CLASSES.index(each[0]) for each in found] == there[:, 0].tolist()
        for each, row in zip(found, there, strict=True):
            assert each[1:] == pytest.approx(row[1:].tolist(), abs=1e-6)


TEXTS = [text for text, _ in topic_texts(30)] + [
    "", "!!", "Straße, ein Äpfel? UPPER upper 1,234.5", "a" * 300, "x" * 120 + " word"
]  # fmt: skip


@pytest.mark.parametrize(
    "features",
    [
        WordFeatures(known=20), WordFeatures(known=12, buckets=9), ByteNumbers(count=40),
        PieceNumbers(known=60, count=30), PieceNumbers(known=400, count=30),
    ],
    ids=lambda each: f"{type(each).__name__} {getattr(each, 'known', '')}",
)  # fmt: skip
def test_texts_become_what_they_were_in_training(features, tmp_path, monkeypatch):
    inputs = as_bytes(TEXTS, 128)
    labels = np.arange(len(TEXTS)) % 2
    fitted = getattr(features, "fitted", None)
    steps = features.steps((1, 128), None) if fitted is None else fitted(inputs, labels)
    values = steps[0].apply(inputs)
    if steps[0].are_numbers:  # nothing is moved
        rest = Standardise(factors=(256,) * values.shape[1], offsets=(0,) * values.shape[1],
                           shifts=(0,) * values.shape[1])  # fmt: skip
    else:
        rest = Standardise.of([3.0] * values.shape[1], [700.0] * values.shape[1])
    steps = (*steps, rest, *features.after(values.shape[1:]))
    pipeline = Pipeline(steps=steps, raw_shape=(1, 128), raw_dtype="uint8", raw_low=0, raw_high=255)
    expected = pipeline.apply(inputs)
    head = ClassesHead(names=tuple(f"c{at}" for at in range(expected[0].size)))
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    student = described(pipeline.record(), expected.shape[1:], head)
    known, printed = done(student, expected.shape[1:], tmp_path, monkeypatch, flat=True)
    likeliest = expected.reshape(len(expected), -1).argmax(axis=1)
    assert ast.literal_eval(printed[0]) == [f"c{at}" for at in likeliest]
    np.testing.assert_array_equal(known["given"], expected)
    assert np.ptp(expected) > 0


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_file_becomes_what_training_reads(channels, tmp_path):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (30, 41, 3), dtype=np.uint8)
    mode = Image.fromarray(pixels if channels == 3 else pixels[..., 0])
    mode.save(tmp_path / "a.png")
    pipeline = scaled((channels, 16, 24)).record().model_copy(update={"raw_dtype": "uint8"})
    (lines,) = re.findall(r"```\n(.*?)```", picture_hint(pipeline), re.S)
    known = {"np": np, "Image": Image, "file": tmp_path / "a.png"}
    exec(lines, known)
    read = decode_picture(str(tmp_path / "a.png"), height=16, width=24, dtype=np.uint8)
    np.testing.assert_array_equal(known["sample"], read[:channels])
    assert picture_hint(scaled((3, 16, 24)).record()) == ""  # values, no levels


def test_what_has_no_program_says_how_hwkd_does_it(tmp_path):
    run = read_run_record(GOLDEN)
    record = scaled((3,)).record()
    step = record.steps[0].model_copy(update={"kind": "mel"})
    pipeline = record.model_copy(update={"steps": (step,)})
    data = run.data.model_copy(update={"pipeline": pipeline})
    student = student_record(run=run.model_copy(update={"data": data}))
    text = student_readme(student, ["student_int8.onnx"])
    assert 'hwkd.open(".").best.predict(raw)' in text
