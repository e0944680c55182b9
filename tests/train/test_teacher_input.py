"""What a teacher expects: read from text, and shown to it whatever the data looks like."""

from typing import Any

import numpy as np
import pytest
import torch
from support.teachers import CPU, WEIGHT, write_onnx
from torch import nn

from hwkd.core.errors import ConfigError, TeacherError
from hwkd.core.pipeline_record import PipelineRecord, StepRecord
from hwkd.core.teacher_input import TEACHER_INPUTS, TeacherInput
from hwkd.tasks.base import TaskData
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.train.teacher_input import seen_input, usual_inputs
from hwkd.train.teacher_module import ModuleTeacher
from hwkd.train.teacher_open import open_teacher

_IMAGENET_TEXT = "unit,mean=0.485,0.456,0.406,std=0.229,0.224,0.225"


def pictures(
    channels: int = 3, dtype: str = "uint8", high: int = 255
) -> tuple[TaskData, np.ndarray]:
    """Return prepared data and the raw pictures of its train split."""
    generator = np.random.default_rng(1)
    raw = generator.integers(0, high + 1, size=(60, channels, 4, 5)).astype(dtype)
    raw.flat[0], raw.flat[1] = 0, high
    labels = np.arange(60) % 3
    split = RawSplit(inputs=raw, labels=labels)
    source = RawData(
        source="made", class_names=("a", "b", "c"), train=split, validation=split, test=split
    )
    return prepare(source, ClassesHead(names=("a", "b", "c")), task="made", split_seed=0), raw


@pytest.mark.parametrize(
    ("text", "by_hand"),
    [
        ("normalised", lambda raw: (raw - mean_of(raw)) / std_of(raw)),
        ("raw", lambda raw: raw),
        ("bytes", lambda raw: raw),
        ("unit", lambda raw: raw / 255),
        ("signed", lambda raw: raw / 127.5 - 1),
        ("mean=10,std=4", lambda raw: (raw - 10) / 4),
        ("signed,mean=0.5,std=0.5", lambda raw: (raw / 127.5 - 1.5) / 0.5),
        (_IMAGENET_TEXT, lambda raw: imagenet_of(raw)),
        ("imagenet", lambda raw: imagenet_of(raw)),
    ],
)
def test_a_teacher_is_shown_what_it_expects(text, by_hand):
    data, raw = pictures()
    seen = seen_input(TeacherInput.parse(text), data.pipeline.record())
    expected = by_hand(raw.astype(np.float64))
    np.testing.assert_allclose(seen.of_array(data.train.inputs), expected, atol=2e-4)
    tensor = torch.from_numpy(data.train.inputs)
    np.testing.assert_allclose(seen.of_tensor(tensor).numpy(), expected, atol=2e-4)
    last = seen.with_channels(last=True)
    shown = last.of_array(data.train.inputs)
    np.testing.assert_allclose(shown, np.moveaxis(expected, 1, -1), atol=2e-4)
    assert last.shape_of((3, 4, 5)) == shown.shape[1:] == (4, 5, 3)


def mean_of(raw):
    return raw.mean(axis=(0, 2, 3), keepdims=True)


def std_of(raw):
    return raw.std(axis=(0, 2, 3), keepdims=True)


def imagenet_of(raw):
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return (raw / 255 - np.reshape(mean, (1, 3, 1, 1))) / np.reshape(std, (1, 3, 1, 1))


def test_sound_in_fixed_point_is_signed_over_its_full_scale():
    data, raw = pictures(channels=1, dtype="int16", high=8000)
    seen = seen_input(TeacherInput.parse("signed"), data.pipeline.record())
    np.testing.assert_allclose(seen.of_array(data.train.inputs), raw / 32768, atol=1e-5)


@pytest.mark.parametrize(
    "text", [*TEACHER_INPUTS, "mean=1,std=2", _IMAGENET_TEXT, "unit,channels-last", "channels-last"]
)
def test_what_is_expected_survives_being_written(text):
    wanted = TeacherInput.parse(text)
    assert TeacherInput.parse(wanted.text) == wanted


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("half", "'half' is none of normalised, raw, bytes"),
        ("", "'' is none of"),
        ("unit,raw", "unit and raw exclude each other"),
        ("mean=1", "1 means and 0 deviations"),
        ("mean=1,2,std=1", "2 means and 1 deviations"),
        ("mean=1,std=0", "a deviation is more than 0"),
        ("mean=x,std=1", "'x' is no number"),
        ("mean=nan,std=1", "'nan' is no number"),
        ("mean=1,mean=2,std=1", "'mean=2' is no number"),
    ],
)
def test_what_is_no_input_is_refused(text, match):
    with pytest.raises(ConfigError, match=match) as caught:
        TeacherInput.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("channels", "text", "match"),
    [
        (1, "imagenet", "is of three channels.*the data has 1"),
        (3, "imagenet,mean=1,std=1", "without a mean of your own"),
        (3, "mean=1,2,std=1,2", "has 2 means; the data has 3 channels"),
    ],
)
def test_an_input_of_other_channels_is_refused(channels, text, match):
    data, _ = pictures(channels=channels)
    with pytest.raises(TeacherError, match=match):
        seen_input(TeacherInput.parse(text), data.pipeline.record())


def test_raw_values_cannot_be_had_back_after_other_preprocessing():
    step = StepRecord(kind="mfcc", formula="cepstrum", values={"mean": (0.0,), "std": (1.0,)})
    pipeline = PipelineRecord(
        steps=(step,), raw_shape=(1, 16000), raw_dtype="int16", raw_low=-9.0, raw_high=9.0
    )
    with pytest.raises(TeacherError, match=r"cannot be had back after .* \(mfcc\)"):
        seen_input(TeacherInput.parse("raw"), pipeline)
    assert [seen.text for seen in usual_inputs(pipeline)] == ["normalised"]


def test_usual_inputs_of_bytes_and_of_floats_are_each_there_once():
    names = [seen.text for seen in usual_inputs(pictures()[0].pipeline.record())]
    assert names == ["normalised", "raw", "unit", "signed", "imagenet"]
    data, _ = pictures(channels=1, dtype="float32", high=1)
    names = [seen.text for seen in usual_inputs(data.pipeline.record())]
    assert names[:3] == ["normalised", "raw", "bytes"]
    assert "unit" not in names
    assert "imagenet" not in names


def test_what_a_teacher_is_shown_is_part_of_its_identity(tmp_path):
    data, _ = pictures()
    path = str(write_onnx(tmp_path / "t.onnx", shape=(3, 4, 5)))
    pipeline = data.pipeline.record()

    def opened(text: str):
        seen = seen_input(TeacherInput.parse(text), pipeline)
        return open_teacher(path, data, seen=seen, device=CPU)

    plain, unit, again = opened("normalised"), opened("unit"), opened("unit")
    assert plain.identity != unit.identity == again.identity
    assert not np.allclose(plain.logits(data.train.inputs), unit.logits(data.train.inputs))


def test_a_module_is_shown_what_it_expects():
    data, raw = pictures()
    pipeline = data.pipeline.record()

    def opened(text: str) -> ModuleTeacher:
        return ModuleTeacher(
            kind="factory",
            name="mean",
            content="0" * 64,
            description="",
            head=data.head,
            module=nn.Sequential(nn.AvgPool2d((4, 5)), nn.Flatten()),
            device=CPU,
            seen=seen_input(TeacherInput.parse(text), pipeline),
        )

    teacher = opened("raw")
    expected = raw.astype(np.float64).mean(axis=(2, 3))
    np.testing.assert_allclose(teacher.logits(data.train.inputs), expected, rtol=1e-4)
    assert teacher.identity not in {opened("unit").identity, opened("normalised").identity}
    assert opened("normalised").identity == "0" * 64


def test_a_file_whose_shape_has_its_channels_last_is_shown_them_last(tmp_path):
    data, _ = pictures()
    first: Any = open_teacher(
        str(write_onnx(tmp_path / "a.onnx", shape=(3, 4, 5))), data, device=CPU
    )
    last: Any = open_teacher(
        str(write_onnx(tmp_path / "b.onnx", shape=(4, 5, 3))), data, device=CPU
    )
    assert (first.seen.text, last.seen.text) == ("normalised", "normalised,channels-last")
    inputs = data.train.inputs
    moved = np.moveaxis(inputs, 1, -1)
    weight = np.resize(WEIGHT, (60, 3))
    np.testing.assert_allclose(last.logits(inputs), moved.reshape(-1, 60) @ weight, atol=1e-3)
