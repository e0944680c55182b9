"""What a user may ask for as features, and what he is told otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from support.signals import made_pipeline

from hwkd.core.errors import ConfigError, DataError, RunFolderError, UnknownNameError
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.reading import Reading
from hwkd.signals.features import features_named, settings_of
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.tried import tried_signals
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit

RATE = 16000.0


def steps_of(text, shape=(1, 16000), rate_hz=RATE):
    return features_named(text).steps(shape, rate_hz)


def raw_data(inputs, rate_hz=RATE):
    labels = np.arange(len(inputs)) % 2
    return RawData(
        source="clips", class_names=("a", "b"), train=RawSplit(inputs=inputs, labels=labels),
        sample_rate_hz=rate_hz,
    )  # fmt: skip


def prepared(features, inputs, rate_hz=RATE):
    head = ClassesHead(names=("a", "b"))
    reading = Reading(features=features)
    return prepare(raw_data(inputs, rate_hz), head, reading, task="classify", split_seed=0)


def test_settings_are_read_with_their_units():
    frames = next(s for s in steps_of("log-mel:window=25ms,stride=10ms") if s.kind == "frames")
    assert (frames.length, frames.stride) == (400, 160)
    assert [s.kind for s in steps_of("raw")] == []
    assert steps_of("log-mel:picture=yes,rate=16kHz", rate_hz=None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("log-mel:binz=40", "'binz=40' is no setting of log-mel.*did you mean bins"),
        ("log-mel:bins=many", "bins='many'; expected a whole number"),
        ("log-mel:window=30", "has no unit"),
        ("log-mel:picture=maybe", "expected yes or no"),
        ("log-mel:shape=square", "shape=square; expected hann, hamming, none"),
        ("log-mel:bins=200", "holds none of the frequencies.*fewer bins"),
        ("log-mel:low=9kHz", "lowest frequency below the highest"),
        ("log-mel:window=0.5s,stride=0.5s", "8,000 samples; at most 4,096"),
        ("log-mel:window=10ms", "no gaps"),
        ("log-mel:rate=8kHz", "recorded at 16000 Hz"),
        ("log-mel:decimate=99", "expected 1 to 16"),
        ("mfcc:coefficients=41", "expected 1 to 40"),
        ("imu:low=9kHz", "no band within 0 to 8000 Hz"),
        ("imu:window=9s,stride=1s", "a window has 144,000 samples, the signals 16,000"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(text, says):
    with pytest.raises(ConfigError, match=says):
        steps_of(text)


def test_unknown_features_are_refused_with_the_nearest_name():
    with pytest.raises(UnknownNameError, match="log-mel"):
        features_named("logmel")


def test_features_need_signals_with_a_rate():
    with pytest.raises(ConfigError, match="inputs have shape 1 x 8 x 8"):
        steps_of("log-mel", shape=(1, 8, 8))
    with pytest.raises(
        ConfigError,
        match="sampling rate; add the samples per second, as rate=16kHz",
    ):
        steps_of("log-mel", rate_hz=None)
    with pytest.raises(DataError, match="holds float32; features are computed from int16"):
        prepared("log-mel", np.zeros((30, 1, 16000), np.float32))


def test_data_of_a_task_are_standardised_features():
    clips = tried_signals(60, 1, 8000)
    data = prepared("log-mel:bins=12", clips)
    assert data.input_shape == (12, 24)
    assert data.train.inputs.dtype == np.float32
    assert np.abs(data.train.inputs.mean(axis=(0, 2))).max() < 0.05
    assert np.abs(data.train.inputs.std(axis=(0, 2)) - 1).max() < 0.05
    again = data.pipeline.apply(clips)
    assert {row.tobytes() for row in data.test.inputs} <= {row.tobytes() for row in again}
    assert prepared("log-mel:bins=12,picture=yes", clips).input_shape == (1, 12, 24)
    assert prepared("log-mel:bins=13", clips).fingerprint != data.fingerprint


def test_raw_samples_of_a_known_rate_stay_whole_numbers():
    data = prepared(None, tried_signals(60, 2, 100), 50.0)
    assert [step.kind for step in data.pipeline.steps] == ["standardise"]
    assert data.input_shape == (2, 100)


def _cut(record):
    return {**record, "steps": [step for step in record["steps"] if step["kind"] != "window"]}


def _stepped(kind, **values):
    def change(record):
        steps = [
            {**step, "values": {**step["values"], **values}} if step["kind"] == kind else step
            for step in record["steps"]
        ]
        return {**record, "steps": steps}

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_stepped("frames", stride=0), "step frames: stride: .*greater than or equal to 1"),
        (_stepped("window", name="square"), "512 samples in 512, window .square."),
        (_stepped("rfft", size=100), "size 100 is no power of two"),
        (_stepped("mel", size=64), "frequencies, expected 33"),
        (_stepped("pcen", smoothing=99), "step pcen: smoothing: "),
        (_stepped("standardise", factors=(1,)), "1 channels, expected 20"),
        (_stepped("picture", planes=3), "3 planes of 20 rows"),
        (_cut, "step rfft takes no samples"),
        (lambda record: {**record, "raw_shape": (1, 2**40)}, "shape .* before step frames"),
        (lambda record: {**record, "raw_shape": (4800,)}, "damaged"),
        (lambda record: {**record, "raw_dtype": "object"}, "no numbers in a range"),
        (lambda record: {**record, "raw_dtype": "thing"}, "not understood"),
        (lambda record: {**record, "steps": record["steps"][:3]}, "by one step standardise"),
    ],
)
def test_stored_steps_that_do_not_fit_one_another_are_refused_in_one_line(change, says):
    signals = np.random.default_rng(0).integers(-999, 999, (3, 1, 4800)).astype(np.int16)
    text = "log-mel:bins=20,window=32ms,stride=16ms,pcen=yes,picture=yes"
    record = made_pipeline(text, signals, RATE).record()
    assert Pipeline.of(record).record() == record
    damaged = PipelineRecord.model_validate(change(record.model_dump()))
    with pytest.raises(RunFolderError, match=says) as caught:
        Pipeline.of(damaged)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("log-mel", 6), ("mfcc:bins=32,window=32ms,low=50Hz", 6), ("imu", 6), ("words", 4),
        ("imu:statistics=no", 2), ("raw", 1),
    ],
)  # fmt: skip
def test_settings_that_a_search_may_choose_begin_with_the_given_one_and_can_be_typed(text, count):
    found = settings_of(text)
    assert found[0] == text
    assert len(found) == len(set(map(features_named, found))) == count


def test_an_offered_setting_keeps_what_was_asked_for():
    twice = settings_of("mfcc:bins=32,window=32ms,low=50Hz")[-1]
    assert features_named(twice) == features_named("mfcc:bins=16,window=64ms,stride=40ms,low=50Hz")
