"""Teachers that are not what they seem: the scale, the order of the classes, a random member."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.console import Console
from support.synthetic_run import make_run
from support.tiny_search import silent

from hwkd.cli.search_display import SearchDisplay
from hwkd.core.errors import TeacherError
from hwkd.core.run_record import TeacherRecord
from hwkd.engine.run.teacher_stage import prepare_teacher
from hwkd.engine.setup.config import SearchConfig, TeacherConfig
from hwkd.engine.setup.prepare import prepare_data
from hwkd.report.build import build_report

_NAMES = ("ape", "bee", "cat", "dog")
_SHAPE = (8, 8, 3)  # height, width, channels; each class has a bright quarter of its own
_QUARTERS = ((0, 0), (0, 4), (4, 0), (4, 4))


def write_pictures(path: Path, *, count: int = 800) -> Path:
    """Write uint8 pictures, channels last; one quarter is grey, the others darker or brighter."""
    generator = np.random.default_rng(5)
    labels = np.arange(count) % 4
    pictures = generator.normal(0, 25, size=(count, *_SHAPE))
    for picture, label in zip(pictures, labels, strict=True):
        for quarter, (row, column) in enumerate(_QUARTERS):
            level = 150 if quarter == label else generator.choice([80, 220])
            picture[row : row + 4, column : column + 4] += level
    np.savez(
        path,
        x_train=np.clip(pictures, 0, 255).astype(np.uint8),
        y_train=labels,
    )
    return path


def write_network(
    path: Path,
    *,
    low: float,
    high: float,
    channels_last: bool = False,
    order: tuple[int, ...] = (0, 1, 2, 3),
    seed: int | None = None,
) -> Path:
    """Write a network by hand that finds the grey quarter, if it is shown its own scale.

    Args:
        path: of the file.
        low: input of a black pixel that it was made for.
        high: of a white one.
        channels_last: of its input.
        order: class of each of its outputs.
        seed: of weights that mean nothing; None knows the classes.
    """
    weights = np.zeros((*_SHAPE, 4), dtype=np.float32)
    for output, label in enumerate(order):
        row, column = _QUARTERS[label]
        weights[row : row + 4, column : column + 4, :, output] = 0.2
    if seed is not None:
        weights = np.random.default_rng(seed).normal(size=weights.shape).astype(np.float32)
    if not channels_last:
        weights = np.moveaxis(weights, 2, 0)
    shape = list(_SHAPE) if channels_last else [_SHAPE[2], *_SHAPE[:2]]
    level, steep = low + (high - low) * 150 / 255, 8 / (high - low)
    nodes = [
        helper.make_node("Sub", ["x", "level"], ["above"]),
        helper.make_node("Mul", ["above", "steep"], ["scaled"]),
        helper.make_node("Mul", ["scaled", "scaled"], ["square"]),
        helper.make_node("Neg", ["square"], ["negative"]),
        helper.make_node("Exp", ["negative"], ["lit"]),
        helper.make_node("Flatten", ["lit"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    constants = {
        "level": np.float32(level),
        "steep": np.float32(steep),
        "w": weights.reshape(-1, 4),
    }
    graph = helper.make_graph(
        nodes, "by hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def judged(folder: Path, *sources: Path, inputs: tuple[str, ...] = ()) -> TeacherRecord:
    data = folder / "pictures.npz"
    if not data.is_file():
        write_pictures(data)
    config = SearchConfig(
        device="cortex-m7",
        data=str(data),
        spaces=("depthwise",),
        teacher=TeacherConfig(sources=tuple(map(str, sources)), inputs=inputs),
    )
    prepared = prepare_data(config, progress=silent)
    record = prepare_teacher(prepared.config, prepared.transfer, progress=silent).record
    assert record is not None
    return record


def accuracy(record: Any) -> float:
    return record.scores.validation_float["accuracy"]


@pytest.mark.parametrize(
    ("low", "high", "name"), [(0, 255, "raw"), (0, 1, "unit"), (-1, 1, "signed")]
)
@pytest.mark.parametrize("is_last", [False, True])
def test_a_scale_that_scores_far_better_is_named_with_both_numbers(
    tmp_path, low, high, name, is_last
):
    path = write_network(tmp_path / "t.onnx", low=low, high=high, channels_last=is_last)
    wanted = f"{name},channels-last" if is_last else name
    right = judged(tmp_path, path, inputs=(name,))
    assert accuracy(right) > 0.9
    assert right.doubts == ()
    assert right.members[0].input == wanted
    wrong_input = "unit" if name == "raw" else "raw"
    try:
        wrong = judged(tmp_path, path, inputs=(wrong_input,))
    except TeacherError as error:
        said = str(error)
        assert "t.onnx" in said
    else:
        (said,) = wrong.doubts
        assert wrong.identity != right.identity
    assert f"with --teacher-input {wanted}, on " in said
    assert "\n" not in said


def test_a_teacher_of_another_order_of_classes_is_named_with_the_order(tmp_path):
    swapped = write_network(tmp_path / "t.onnx", low=0, high=1, order=(0, 2, 1, 3))
    (said,) = judged(tmp_path, swapped, inputs=("unit",)).doubts
    assert "its classes in another order: output 1 is 2, output 2 is 1" in said
    assert "--teacher-input unit)" in said
    turned = write_network(tmp_path / "u.onnx", low=0, high=1, order=(3, 0, 1, 2))
    with pytest.raises(TeacherError, match=r"below chance .* output 0 is 3, output 1 is 0, "):
        judged(tmp_path, turned, inputs=("unit",))


def test_both_mistakes_at_once_are_found(tmp_path):
    path = write_network(tmp_path / "t.onnx", low=0, high=255, order=(3, 0, 1, 2))
    with pytest.raises(TeacherError, match=r"with --teacher-input raw and with its classes in"):
        judged(tmp_path, path)


def test_each_member_of_an_ensemble_is_judged_by_its_name(tmp_path):
    good = write_network(tmp_path / "good.onnx", low=0, high=1)
    other = write_network(tmp_path / "other.onnx", low=-1, high=1, order=(0, 1, 3, 2))
    record = judged(tmp_path, good, other, inputs=("unit", "signed"))
    assert [(m.name, m.input) for m in record.members] == [
        ("good.onnx", "unit"), ("other.onnx", "signed"),
    ]  # fmt: skip
    assert accuracy(record.members[0]) > 0.9 > 0.6 > accuracy(record.members[1])
    assert [m.doubt is None for m in record.members] == [True, False]
    assert TeacherRecord.model_validate(json.loads(record.model_dump_json())) == record
    told = io.StringIO()
    SearchDisplay(console=Console(file=told, width=80), tell=silent).on_teacher(record)
    lines = [line.split(maxsplit=1) for line in told.getvalue().splitlines()]
    assert [what for what, _ in lines] == ["teacher", "member", "member", "note"]
    assert "other.onnx, shown signed; validation" in lines[2][1]
    assert lines[3][1].strip() == record.doubts[0]
    report = build_report(make_run()[0].model_copy(update={"teacher": record}), ())
    assert f"{record.doubts[0]}." in report.caveats
    facts = repr([section for section in report.sections if section.key == "data"])
    assert all(text in facts for text in ("good.onnx, shown unit", "other.onnx, shown signed"))
    blind = write_network(tmp_path / "random.onnx", low=0, high=1, seed=3)
    with pytest.raises(TeacherError, match=r"teacher random\.onnx: balanced accuracy .* chance"):
        judged(tmp_path, good, blind, inputs=("unit",))


def test_a_random_network_gets_no_advice_that_would_not_help(tmp_path):
    for seed in range(3):
        blind = write_network(tmp_path / f"{seed}.onnx", low=0, high=1, seed=seed)
        with pytest.raises(TeacherError, match="check its weights") as caught:
            judged(tmp_path, blind, inputs=("unit",))
        assert "but" not in str(caught.value)


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.01, 0.0), (1.0, 500.0)])
def test_answers_on_another_scale_than_the_target_are_said(tmp_path, scale, offset):
    generator = np.random.default_rng(2)
    inputs = generator.normal(size=(400, 1, 6)).astype(np.float32)
    weight = np.array([3, -2, 1, 4, 0.5, -1], dtype=np.float32)[:, None] * 10
    np.savez(tmp_path / "v.npz", x_train=inputs, y_train=inputs[:, 0] @ weight[:, 0] + 100)
    constants = {"w": weight * scale, "b": np.float32([100 * scale + offset])}
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("Gemm", ["flat", "w", "b"], ["y"]),
        ],
        "line",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 1, 1, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    path = tmp_path / "t.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    config = SearchConfig(
        device="cortex-m7",
        task="regression",
        data=str(tmp_path / "v.npz"),
        spaces=("depthwise",),
        teacher=TeacherConfig(sources=(str(path),), inputs=("raw",)),
    )
    prepared = prepare_data(config, progress=silent)
    stage = lambda: prepare_teacher(prepared.config, prepared.transfer, progress=silent)  # noqa: E731
    if (scale, offset) == (1.0, 0.0):
        record = stage().record
        assert record is not None
        assert record.doubts == ()
        return
    factor, added = 1 / scale, -offset / scale
    with pytest.raises(TeacherError, match="on another scale") as caught:
        stage()
    said = str(caught.value)
    found = said.split("on another scale: ")[1].split(", on ")[0].split()
    assert float(found[-3]) == pytest.approx(factor, rel=0.01)
    assert float(found[-1]) == pytest.approx(added, abs=1.0)
    assert "give its answers the unit of the target" in said
