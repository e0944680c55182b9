"""A teacher of signals sees samples where its students see features of them."""

import numpy as np
import pytest
import torch
from scipy.io import wavfile
from support.spoken import RATE_HZ, write_spoken, write_wake_word
from support.teachers import WEIGHT, write_onnx

from hwkd.core.errors import DataError, TeacherError
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import load_data
from hwkd.engine.setup.teacher import open_teachers

_SHAPE = (1, RATE_HZ)


def _opened(data, task="keyword", **teacher):
    reading = teacher.pop("reading", {})
    config = SearchConfig(
        device="host", task=task, data=str(data), reading=reading,
        teacher={"sees": "samples", **teacher},
    )  # fmt: skip
    _, ours = load_data(config)
    opened = open_teachers(config, ours, device=torch.device("cpu"), progress=lambda *_: None)
    return opened, ours


def test_it_answers_about_the_samples_of_the_example_whose_features_it_is_asked_about(tmp_path):
    data = write_spoken(tmp_path / "words", clips=12, noise=False)
    file = write_onnx(tmp_path / "t.onnx", shape=_SHAPE)
    teacher, ours = _opened(data, sources=(str(file),), inputs=("raw",))
    found = teacher.logits(ours.train.inputs)
    # A clip of 0.4 s lies in the middle of a second; a deviation has 256 steps, silence is one.
    clips = [wavfile.read(path)[1] for path in sorted(data.glob("*/*.wav"))]
    wide = np.stack([np.pad(clip, (RATE_HZ - len(clip)) // 2) for clip in clips])
    wanted = wide.astype(np.float64) @ np.resize(WEIGHT, (RATE_HZ, 3))
    apart = np.abs(found[:, None] - wanted[None]).max(axis=2)
    assert len(ours.train.inputs.shape) == 3
    assert ours.train.inputs.shape[2] < 100  # students see frames
    assert (apart.min(axis=1) < 0.1 * np.abs(wanted).max()).all()
    assert len(set(apart.argmin(axis=1).tolist())) == len(found)
    assert "sees samples" in teacher.description


def test_windows_of_continuous_audio_are_those_that_students_see(tmp_path):
    data = write_wake_word(tmp_path / "beeps", seconds=40)
    reading = {"window_s": 0.3, "max_false_accepts_per_hour": 1000}
    shape = (1, round(0.3 * RATE_HZ))
    file = write_onnx(tmp_path / "t.onnx", shape=shape, classes=2)
    teacher, ours = _opened(data, "wake-word", reading=reading, sources=(str(file),))
    assert teacher.logits(ours.test.inputs).shape == (len(ours.test.labels), 2)
    assert np.array_equal(teacher.theirs.test.wholes, ours.test.wholes)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sources": ()}, TeacherError, "--teacher-sees samples: needs a teacher of yours"),
        ({"reading": {"features": "raw"}}, DataError, "see no features of a signal"),
    ],
)
def test_without_features_or_a_teacher_there_is_nothing_else_to_see(
    tmp_path, options, error, message
):
    data = write_spoken(tmp_path / "words", clips=12, noise=False)
    given = {"sources": (str(write_onnx(tmp_path / "t.onnx", shape=_SHAPE)),), **options}
    with pytest.raises(error, match=message):
        _opened(data, **given)
