"""Anomalies: what trains, what decides, scores against scikit-learn, and what is refused."""

import re

import numpy as np
import pytest
from scipy.io import wavfile
from sklearn.metrics import average_precision_score, roc_auc_score

from hwkd.core.errors import ConfigError, DataError
from hwkd.core.reading import Reading
from hwkd.tasks.anomaly import AnomalyTask
from hwkd.tasks.reconstruction_head import ReconstructionHead

TASK = AnomalyTask()


def write_table(path, labels, label="label"):
    random = np.random.default_rng(0)
    lines = [f"a,b,{label}"]
    lines += [f"{random.normal():.4f},{random.normal():.4f},{text}" for text in labels]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def scored(seed, count=300):
    """A head, outputs that repeat normal rows better, and targets."""
    random = np.random.default_rng(seed)
    is_anomaly = random.random(count) < 0.15
    inputs = random.normal(size=(count, 4, 1)).astype(np.float32)
    head = ReconstructionHead(names=("a", "b", "c", "d"), false_alarms_ratio=0.05)
    spread = np.where(is_anomaly, 0.6, 0.3)[:, np.newaxis]
    outputs = inputs[:, :, 0] + random.normal(size=(count, 4)) * spread
    return head, outputs.astype(np.float32), head.targets(is_anomaly, inputs), is_anomaly


def test_train_is_normal_alone_and_anomalies_are_shared_by_the_other_splits():
    data = TASK.data(None)
    assert not data.train.labels[:, -1].any()
    anomalies = [int(data.split(name).labels[:, -1].sum()) for name in ("validation", "test")]
    assert anomalies == [106, 106]
    np.testing.assert_array_equal(data.test.labels[:, :-1], data.test.inputs[:, :, 0])
    assert not data.validation_from_train
    assert data.num_outputs == 30
    assert data.head.names[0] == "mean radius"


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn_and_their_error_that_of_average_precision(seed):
    head, outputs, targets, is_anomaly = scored(seed)
    distances = np.square(outputs.astype(np.float64) - targets[:, :-1]).mean(axis=1)
    found = head.scores(outputs, targets)
    precision = average_precision_score(is_anomaly, distances)
    assert found["average precision"] == pytest.approx(precision)
    assert found["AUROC"] == pytest.approx(roc_auc_score(is_anomaly, distances))
    partial = roc_auc_score(is_anomaly, distances, max_fpr=0.1)
    assert found["partial AUROC"] == pytest.approx(partial)
    expected = (1 - precision) / (1 - is_anomaly.mean())
    assert head.errors(outputs, targets).mean() == pytest.approx(expected)


def test_the_threshold_is_the_lowest_that_keeps_the_false_alarms():
    head, outputs, targets, is_anomaly = scored(9)
    decision = head.decide(outputs, targets)
    distances = head.distances(outputs, targets)
    allowed = int(0.05 * (~is_anomaly).sum())
    assert (distances[~is_anomaly] >= decision.threshold).sum() == allowed
    assert decision.reached == pytest.approx(allowed / (~is_anomaly).sum())
    assert decision.on_validation == head.at(decision).falsely(outputs, targets)
    assert decision.on_validation.events == allowed
    lower = distances[~is_anomaly & (distances < decision.threshold)].max()
    assert lower < decision.threshold
    kept = head.at(decision)
    assert kept.scores(outputs, targets)["false alarms"] == pytest.approx(decision.reached)
    normal, abnormal = kept.confusion(outputs, targets)
    assert normal == ((~is_anomaly).sum() - allowed, allowed)
    assert sum(abnormal) == is_anomaly.sum()
    said = kept.answers(outputs, targets[:, :-1, np.newaxis])
    np.testing.assert_array_equal(said == "anomaly", distances >= decision.threshold)


@pytest.mark.parametrize(
    ("labels", "reading"),
    [
        (["0"] * 60 + ["1"] * 6, {}),
        (["1"] * 60 + ["-1"] * 6, {}),
        (["ok"] * 60 + ["worn"] * 3 + ["broken"] * 3, {}),
        (["running"] * 60 + ["stuck"] * 6, {"normal": "running"}),
    ],
)
def test_the_normal_label_is_known_by_its_name_or_said(labels, reading, tmp_path):
    data = TASK.data(write_table(tmp_path / "t.csv", labels), Reading(**reading))
    counts = [int(data.split(n).labels[:, -1].sum()) for n in ("train", "validation", "test")]
    assert counts == [0, 3, 3]


def test_splits_of_an_archive_are_kept_and_validation_gets_anomalies_of_test(tmp_path):
    random = np.random.default_rng(0)
    x, path = random.normal(size=(80, 3)), tmp_path / "a.npz"
    y = np.array([0] * 70 + [1] * 10)
    np.savez(path, x_train=x[:50], y_train=y[:50], x_test=x[50:], y_test=y[50:])
    data = TASK.data(path)
    assert [len(data.split(n)) for n in ("train", "validation", "test")] == [40, 15, 25]
    np.savez(path, x_train=x[::-1][:50], y_train=y[::-1][:50], x_test=x[50:], y_test=y[50:])
    with pytest.raises(DataError, match="10 anomalies in the train split, first at example 0"):
        TASK.data(path)


@pytest.mark.parametrize(
    ("labels", "reading", "message"),
    [
        (["0"] * 80, {}, "every label is '0'; anomalies are needed"),
        (["a"] * 70 + ["b"] * 6, {}, "no label says that it is the normal one; labels are 'a'"),
        (["0"] * 70 + ["ok"] * 6, {}, "several labels says that it is the normal one"),
        (["0"] * 70 + ["1"] * 6, {"normal": "good"}, "no label is called 'good'"),
        (["0"] * 30 + ["1"] * 6, {}, "30 normal examples and 6 anomalies, too few"),
        (["0"] * 70 + ["1"] * 6, {"label": "labl"}, "--label labl: no such column; did you mean"),
    ],
)
def test_what_cannot_be_used_is_refused(labels, reading, message, tmp_path):
    path = write_table(tmp_path / "t.csv", labels)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        TASK.data(path, Reading(**reading))
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_options_that_do_nothing_are_refused(tmp_path):
    path = write_table(tmp_path / "t.csv", ["0"] * 60 + ["1"] * 6)
    with pytest.raises(ConfigError, match="--layout nchw: does not apply to a CSV file"):
        TASK.data(path, Reading(layout="nchw"))


def test_a_rate_that_too_few_examples_tell_is_a_note(tmp_path):
    path = write_table(tmp_path / "t.csv", ["0"] * 60 + ["1"] * 6)
    notes = TASK.data(path, Reading(false_alarms_ratio=0.001)).notes
    assert any("12 normal examples, too few to tell 0.1 % of false alarms" in n for n in notes)


def write_machine(folder, clips=(30, 4), seconds=1.5, rate_hz=16_000):
    """A hum, and beside it clips of one that rattles."""
    random = np.random.default_rng(4)
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    for name, count in zip(("normal", "rattling"), clips, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            hum = 0.2 * np.sin(2 * np.pi * 120 * times + random.uniform(0, 6))
            hum += random.normal(0, 0.01, len(times))
            hum += (name == "rattling") * 0.2 * (random.random(len(times)) < 0.01)
            wavfile.write(folder / name / f"{number}.wav", rate_hz, (hum * 32767).astype(np.int16))
    return folder


def test_windows_of_one_clip_are_in_one_split_and_scaled_by_normal_sounds(tmp_path):
    data = TASK.data(write_machine(tmp_path / "machine"))
    wholes = {
        name: set(data.split(name).wholes.tolist()) for name in ("train", "validation", "test")
    }
    assert len(set.union(*wholes.values())) == sum(map(len, wholes.values())) == 34
    assert not data.train.labels[:, -1].any()
    assert data.input_shape == (20, 8)
    assert data.pipeline.is_signal
    np.testing.assert_allclose(data.train.inputs.mean(axis=(0, 2)), 0, atol=1e-2)
    # What rattles is far from the mean in every bin.
    is_anomaly = data.test.labels[:, -1] == 1
    distance = np.square(data.test.inputs).mean(axis=(1, 2))
    assert distance[is_anomaly].min() > distance[~is_anomaly].max()
    found = TASK.labelled(tmp_path / "machine", raw_shape=data.pipeline.raw_shape)
    assert found.labels.sum() == 4 * 9
    assert found.inputs.shape[1:] == data.pipeline.raw_shape


@pytest.mark.parametrize(
    ("clips", "reading", "expected"),
    [
        ((30, 0), Reading(), "machine: 1 folders with WAV files; expected a folder of folders"),
        ((3, 4), Reading(), "machine: 3 normal clips and 4 anomalies, too few for three splits"),
        ((30, 4), Reading(window_s=2.0), "1.5 s, shorter than a window of 2 s; drop it or say"),
        ((30, 4), Reading(normal="quiet"), "no label is called 'quiet'; labels are 'normal'"),
        ((30, 4), Reading(label="x"), "--label does not apply to anomaly; leave it out"),
    ],
)
def test_sounds_that_cannot_be_used_are_refused_in_one_line(tmp_path, clips, reading, expected):
    folder = write_machine(tmp_path / "machine", clips)
    with pytest.raises((DataError, ConfigError), match=re.escape(expected)):
        TASK.data(folder, reading)
