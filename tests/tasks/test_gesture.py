"""Recordings become windows of which no two splits share anything; what is refused, in one line."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from support.recordings import RATE_HZ, recording_rows, write_recordings

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.reading import Reading
from hwkd.engine.run.run_record import data_record
from hwkd.signals.steps.normalise import Normalise
from hwkd.tasks.base import describe
from hwkd.tasks.classes_head import VOTED_METRICS, ClassesHead
from hwkd.tasks.gesture import GestureTask
from hwkd.tasks.motion import copies_like, mirror_that_keeps_class, with_copies
from hwkd.tasks.raw import RawSplit
from hwkd.tasks.recordings import read_recordings
from hwkd.tasks.windows import cut_windows

TASK = GestureTask()
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_recordings(tmp_path_factory.mktemp("recordings") / "all.csv")


def test_windows_have_the_asked_length_and_stride_in_seconds(table):
    found = read_recordings(table, Reading())
    assert found.rate_hz == RATE_HZ
    assert found.channels == ("ax", "ay")
    windows, names, _ = cut_windows(found, window_s=1.5, stride_s=0.5)
    assert names == ("shake", "tilt", "turn")
    assert windows.values.shape == (len(found.parts) * 18, 2, 30)
    np.testing.assert_array_equal(windows.values[1], found.parts[0].values[:, 10:40])


@pytest.mark.parametrize(("name", "is_left_out"), [("id", True), ("sample_no", False)])
def test_a_column_that_numbers_the_rows_is_said(table, tmp_path, name, is_left_out):
    heading, *rows = table.read_text().splitlines()
    numbered = [f"{name},{heading}", *(f"{number},{row}" for number, row in enumerate(rows))]
    (tmp_path / "numbered.csv").write_text("\n".join(numbered) + "\n")
    found = read_recordings(tmp_path / "numbered.csv", Reading())
    assert found.channels == (("ax", "ay") if is_left_out else (name, "ax", "ay"))
    note = next(note for note in found.notes if "numbers the rows" in note)
    assert repr(name) in note
    assert ("is left out" in note) == is_left_out


def test_no_recording_is_in_two_splits(table):
    data = TASK.data(table, Reading(window_s=1.0))
    held = [set(data.split(name).wholes.tolist()) for name in SPLITS]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    assert sum(map(len, held)) == 30


def test_decimals_have_a_rate_too_and_features_of_them_say_what_is_missing(table):
    data = TASK.data(table, Reading(window_s=1.0))
    assert data.sample_rate_hz == RATE_HZ
    assert isinstance(data.pipeline.steps[0], Normalise)  # nothing of whole numbers
    with pytest.raises(DataError, match="holds float32; features are computed from int16"):
        TASK.data(table, Reading(window_s=1.0, features="imu"))


def test_no_person_is_in_two_splits(table):
    reading = Reading(split="group:subject")
    data = TASK.data(table, reading)
    of = {part.number: part.group for part in read_recordings(table, reading).parts}
    people = [{of[number] for number in data.split(name).wholes.tolist()} for name in SPLITS]
    assert not (people[0] & people[1] or people[0] & people[2] or people[1] & people[2])
    assert [len(each) for each in people] == [6, 2, 2]
    assert any("no subject is in two splits" in note for note in data.notes)


def test_people_of_every_split_are_named_and_a_test_of_few_is_doubted(table):
    data = TASK.data(table, Reading(window_s=1.0, split="group:subject"))
    record = data_record(data)
    named = [split.groups for split in record.splits]
    assert sorted(name for names in named for name in names) == [f"p{at}" for at in range(10)]
    assert record.test is not None
    assert record.test.wholes == 3 * len(record.test.groups)
    assert len(record.test.groups) < 5
    who = ", ".join(record.test.groups)
    assert record.few_groups is not None
    assert record.few_groups.startswith(f"The test is of {len(record.test.groups)} subject ({who})")
    shown = dict(describe(data))
    assert shown["test is of"] == f"{len(record.test.groups)} subject: {who}"
    of_many = record.test.model_copy(update={"groups": tuple("abcde")})
    assert record.model_copy(update={"splits": (of_many,)}).few_groups is None
    assert data_record(TASK.data(table, Reading(window_s=1.0))).few_groups is None


def test_windows_that_reach_over_a_cut_in_time_are_in_no_split(tmp_path):
    rows = [
        [f"{at / 10:.1f}", f"{at + offset}.25", label]
        for label, offset in (("a", 0), ("b", 1000))
        for at in range(300)
    ]
    path = write_recordings(tmp_path / "long.csv", rows, heading="time,x,label")
    data = TASK.data(path, Reading(split="time", window_s=1.0, stride_s=0.1))
    (step,) = data.pipeline.steps
    assert isinstance(step, Normalise)
    seen = [data.split(name).inputs * step.std[0] + step.mean[0] for name in SPLITS]
    samples = [set(np.round(values - 0.25).ravel().astype(int).tolist()) for values in seen]
    assert not (samples[0] & samples[1] or samples[0] & samples[2] or samples[1] & samples[2])
    assert max(v for v in samples[0] if v < 900) < min(samples[1])


def test_an_archive_of_recordings_reads_as_the_table_does(table, tmp_path):
    rows = recording_rows()
    path = tmp_path / "all.npz"
    recordings = np.array([row[5] for row in rows])
    firsts = np.unique(recordings, return_index=True)[1]
    np.savez(
        path, x=np.array([row[1:3] for row in rows], float), recording=recordings, rate=RATE_HZ,
        y=np.array([rows[at][3] for at in firsts]), subject=np.array([row[4] for row in rows]),
    )  # fmt: skip
    reading = Reading(split="group:subject")
    ours, other = TASK.data(path, reading), TASK.data(table, reading)
    for name in SPLITS:
        np.testing.assert_allclose(ours.split(name).inputs, other.split(name).inputs, atol=1e-6)
        np.testing.assert_array_equal(ours.split(name).labels, other.split(name).labels)


def test_no_window_reaches_over_a_gap_in_time(tmp_path):
    rows = [[f"{at / 10 + (at >= 15) * 9:.1f}", at, lab] for lab in "ab" for at in range(30)]
    found = read_recordings(write_recordings(tmp_path / "g.csv", rows, "t,x,label"), Reading())
    windows, _, _ = cut_windows(found, window_s=1.0, stride_s=0.1)
    assert not any({14.0, 15.0} <= set(values[0].tolist()) for values in windows.values)
    assert len(windows.values) == 4 * 6


def test_a_recording_is_what_its_windows_find_likeliest_on_average():
    head = ClassesHead(names=("a", "b"), metrics=VOTED_METRICS)
    outputs = np.array([[3, 0], [3, 0], [0, 9], [0, 1], [1, 0]], np.float32)
    labels, wholes = np.array([0, 0, 0, 1, 1]), np.array([7, 7, 7, 4, 4])
    # The second recording is a tie of probabilities, which the first class takes.
    found = head.scores(outputs, labels, wholes)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["recording accuracy"] == pytest.approx(1 / 2)
    outputs[3, 1] = 2.0  # the surer of two windows decides
    assert head.scores(outputs, labels, wholes)["recording accuracy"] == 1.0
    outputs[:2, 0] = 0.1  # one sure window against two in doubt
    assert head.scores(outputs, labels, wholes)["recording accuracy"] == 1 / 2
    assert list(found) == [metric.name for metric in VOTED_METRICS]


def changed(at, column, value):
    rows = recording_rows(people=3, seconds=3.0)
    rows[at][column] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "reading", "message"),
    [
        (changed(7, 1, ""), {}, "row 9, column 'ax': '' is no finite number"),
        (changed(7, 2, "high"), {}, "row 9, column 'ay': 'high' is no finite number"),
        (changed(7, 0, "0.1"), {}, "row 9: time goes from 0.3 s to 0.1 s; sort the rows"),
        (changed(7, 3, ""), {}, "row 9, column 'label': no label"),
        (recording_rows(people=1), {"split": "group:subject"}, "1 subject; three splits that"),
        (recording_rows(people=3), {"label": "lable"}, "--label lable: no such column; did you"),
        (recording_rows(people=3), {"split": "group:subjekt"}, "did you mean subject"),
        (
            [row for row in recording_rows(people=3) if row[3] == "tilt"], {},
            "every sample is labelled 'tilt'; two classes",
        ),
        (
            [[float(row[0]) * 3 if row[4] == "p1" else row[0], *row[1:]]
             for row in recording_rows(people=3)], {},
            "recordings have several rates (20 Hz from row 2 and 6.67 Hz from row 602)",
        ),
        (recording_rows(people=3, seconds=1.0), {}, "is as long as a window of 2 s"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_file_and_row(rows, reading, message, tmp_path):
    path = write_recordings(tmp_path / "made.csv", rows)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        TASK.data(path, Reading(**reading))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "units", "note"),
    [
        ("Time (s)", 1.0, None),
        ("time[ms]", 1e3, None),
        ("seconds_elapsed", 1.0, None),
        ("timestamp", 1e3, "timestamp is taken as milliseconds, from its steps of 50"),
        ("timestamp", 1e6, "timestamp is taken as microseconds, from its steps of 50000"),
        ("timestamp", 1e9, "timestamp is taken as nanoseconds, from its steps of 5e+07"),
    ],
)
def test_time_is_no_sensor_whatever_it_is_called_and_its_unit_is_said(name, units, note, tmp_path):
    rows = [[round(float(row[0]) * units, 3), *row[1:]] for row in recording_rows(people=1)]
    heading = f"{name},ax,ay,split,label,subject,recording"
    rows = [[*row[:3], 1, *row[3:]] for row in rows]
    found = read_recordings(write_recordings(tmp_path / "a.csv", rows, heading), Reading())
    assert found.rate_hz == RATE_HZ
    assert found.channels == ("ax", "ay")
    assert "left out: split: no sensor" in found.notes
    assert note is None or note in found.notes
    np.savez(
        tmp_path / "a.npz", x=np.array([row[1:3] for row in rows], float),
        y=[row[4] for row in rows], x_test=np.zeros(3), **{name: [row[0] for row in rows]},
    )  # fmt: skip
    stored = read_recordings(tmp_path / "a.npz", Reading())
    assert stored.rate_hz == RATE_HZ
    assert "left out: x_test" in stored.notes


def test_what_nothing_says_is_asked_for(tmp_path):
    rows = [[1, 2, "a"], [2, 3, "b"]]
    path = write_recordings(tmp_path / "a.csv", rows, heading="ax,ay,label")
    with pytest.raises(ConfigError, match="say the samples per second, as --rate 50Hz"):
        TASK.data(path)
    with pytest.raises(ConfigError, match="--split people: expected random, time or group:COLUMN"):
        TASK.data(path, Reading(split="people"))
    with pytest.raises(ConfigError, match="--task gesture needs --data: a CSV file"):
        TASK.data(None)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        ({"rate": np.zeros(0)}, "the rate is 0 values of type float64; expected 1 finite number"),
        ({"rate": np.array("fast")}, "the rate is 1 values of type <U4"),
        ({"time": np.arange(7)}, "the time is 7 values of type int64; expected 60 finite numbers"),
        ({"recording": np.arange(7)}, "7 numbers of recordings for 60 samples"),
        ({"x": np.full((60, 2), 1e300)}, "holds values that float32 does not"),
    ],
)
def test_arrays_that_do_not_fit_the_samples_are_refused_in_one_line(tmp_path, array, says):
    whole = {"x": np.zeros((60, 2)), "y": np.arange(60) // 30}
    np.savez(tmp_path / "r.npz", **{**whole, **array})
    with pytest.raises(DataError, match=says):
        read_recordings(tmp_path / "r.npz", Reading())


def motion(people=6, seconds=6.0, seed=0):
    """Windows of a sensor of acceleration and one of rotation, worn left and right of a body."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * 50)) / 50
    inputs, labels, wholes = [], [], list[int]()
    poses = np.array([[900, -300, 100], [100, -300, 900], [-900, -600, 200]])
    for _person, label, side in itertools.product(range(people), range(3), (1, -1)):
        swing = np.sin(2 * np.pi * (0.8 + 0.3 * label) * time + random.uniform(0, 6))
        level = np.concatenate([poses[label], [500, 700, 300]])
        wave = level[:, np.newaxis] * (0.7 + 0.4 * swing)
        wave *= np.array([1, side, 1, side, 1, side])[:, np.newaxis]
        inputs.append(wave + random.normal(0, 20, wave.shape))
        labels.append(label)
        wholes.append(len(wholes))
    return RawSplit(
        inputs=np.rint(np.stack(inputs)).astype(np.int16),
        labels=np.array(labels),
        wholes=np.array(wholes),
    )


def test_the_mirror_of_a_body_is_found_and_copies_are_turned_and_stay_near():
    train = motion()
    signs = mirror_that_keeps_class(train)
    assert signs.tolist() == [1, -1, 1, -1, 1, -1]
    whole, note = with_copies(train, seed=1)
    count = len(train.labels)
    assert "3 copies of each of its 36 windows, half of them as of the other side" in note
    np.testing.assert_array_equal(whole.inputs[:count], train.inputs)
    np.testing.assert_array_equal(whole.labels.reshape(4, count), np.tile(train.labels, (4, 1)))
    copies = whole.inputs[count:].astype(float).reshape(3, count, 2, 3, -1)
    lengths = np.linalg.norm(copies, axis=3).mean(axis=-1)
    plain = np.linalg.norm(train.inputs.astype(float).reshape(count, 2, 3, -1), axis=2).mean(-1)
    # Turns and mirrors keep lengths; strength, by a tenth, does not.
    assert 0.05 < np.log(lengths / plain).std() < 0.2
    is_mirrored = np.sign((copies * signs.reshape(2, 3, 1)).mean(-1)) == np.sign(
        train.inputs.reshape(count, 2, 3, -1).mean(-1)
    )
    assert 0.2 < is_mirrored[..., 1, 0].mean() < 0.8
    again, _ = with_copies(train, seed=1)
    np.testing.assert_array_equal(again.inputs, whole.inputs)


def test_validation_gets_as_many_copies_as_train_for_who_learns_from_it_in_the_end():
    train = motion()
    others = replace(train, inputs=train.inputs[:5], labels=train.labels[:5])
    copies = copies_like(train, others, seed=1)
    np.testing.assert_array_equal(copies.labels, np.tile(train.labels[:5], 3))
    near = np.abs(copies.inputs).mean() / np.abs(others.inputs).mean()
    assert 0.7 < near < 1.4
    assert not np.array_equal(copies.inputs[:5], copies.inputs[5:10])
    assert copies_like(replace(train, wholes=None), others, seed=1) is None
