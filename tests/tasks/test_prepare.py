from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from hwkd.api.subject import Subject
from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.core.reading import Reading
from hwkd.io.discovery import discover
from hwkd.tasks.base import describe
from hwkd.tasks.checks import checked_raw
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.classification import ClassifyTask
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sources import read_digits
from hwkd.tasks.splits import with_all_splits


def raw(count=300, *, classes=3, dtype=np.uint8, seed=0, offset=0.0, **splits):
    generator = np.random.default_rng(seed)
    inputs = generator.integers(0, 256, size=(count, 2, 4, 3)).astype(dtype)
    inputs += np.asarray(offset, dtype=dtype)
    return RawData(
        source="made",
        class_names=tuple(str(c) for c in range(classes)),
        train=RawSplit(inputs=inputs, labels=np.arange(count) % classes),
        **splits,
    )


def prepared_of(source, seed=0):
    return prepare(source, ClassesHead(names=source.class_names), task="t", split_seed=seed)


def test_missing_splits_are_stratified_disjoint_and_complete():
    data = with_all_splits(raw(300), split_seed=0)
    for split, size in ((data.train, 180), (data.validation, 60), (data.test, 60)):
        assert np.bincount(split.labels).tolist() == [size // 3] * 3
    rows = np.concatenate([s.inputs for s in (data.train, data.validation, data.test)])
    assert sorted(map(bytes, rows)) == sorted(map(bytes, raw(300).train.inputs))


def test_splits_depend_on_the_seed_alone():
    first, again, other = (prepared_of(raw(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test.inputs, again.test.inputs)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert not np.array_equal(first.test.inputs, other.test.inputs)


def test_a_given_test_split_is_left_alone():
    given = raw(30, seed=5).train
    data = with_all_splits(raw(300, test=given), split_seed=0)
    assert data.test is given
    assert len(data.train.labels) + len(data.validation.labels) == 300


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_too_small_to_split_is_named(rare):
    data = raw(20, classes=2)
    lonely = RawSplit(inputs=data.train.inputs, labels=(np.arange(20) < rare).astype(np.int64))
    with pytest.raises(
        DataError, match=rf"class '1' has {rare} train examples, .* needs 3 of each"
    ):
        with_all_splits(RawData(source="made", class_names=("0", "1"), train=lonely), split_seed=0)


@pytest.mark.parametrize("rare", [3, 4, 5, 9])
@pytest.mark.parametrize("count", [30, 1000])
@pytest.mark.parametrize("seed", [0, 1, 7])
def test_every_made_split_has_every_class_however_rare(rare, count, seed):
    source = raw(count, classes=2)
    labels = (np.arange(count) >= count - rare).astype(np.int64)
    source = RawData(
        source="made",
        class_names=("0", "1"),
        train=RawSplit(inputs=source.train.inputs, labels=labels),
    )
    data = with_all_splits(source, split_seed=seed)
    counts = [np.bincount(split.labels, minlength=2) for split in data.given().values()]
    assert np.min(counts) >= 1
    assert np.sum(counts, axis=0).tolist() == [count - rare, rare]
    assert len(data.test.labels) == len(data.validation.labels) == round(count * 0.2)


def test_three_examples_of_each_of_many_classes_give_one_to_each_split():
    data = with_all_splits(raw(60, classes=20), split_seed=3)
    for split in data.given().values():
        assert np.bincount(split.labels).tolist() == [1] * 20


@pytest.mark.parametrize(
    ("offset", "step", "kind"),
    [(1_000_000_000, 1, np.int32), (48.1234567, 1e-7, np.float64), (30_000, 1, np.uint16)],
)
def test_a_small_signal_on_a_large_offset_is_kept(offset, step, kind):
    counts = np.random.default_rng(0).integers(-20, 21, (120, 2, 64))
    inputs = (offset + counts * step).astype(kind)
    source = RawData(
        source="made",
        class_names=("0", "1"),
        train=RawSplit(inputs=inputs, labels=np.arange(120) % 2),
    )
    data = prepared_of(source)
    assert len(np.unique(np.round(data.train.inputs[:, 0], 3))) == 41
    assert float(data.train.inputs.std()) == pytest.approx(1.0, abs=1e-3)


def test_a_channel_of_one_value_with_many_digits_is_constant():
    source = raw(300, dtype=np.float64)
    source.train.inputs[:, 1] = 48.1234567
    prepared = prepared_of(source)
    assert prepared.pipeline.steps[0].std[1] == 1.0
    assert np.abs(prepared.train.inputs[:, 1]).max() < 1e-6


def test_equal_inputs_of_unequal_classes_are_counted():
    source = raw(300)
    source.train.inputs[1] = source.train.inputs[0]
    validation, test = (raw(9, seed=seed).train for seed in (3, 4))
    data = prepared_of(raw(300, validation=validation, test=test))
    assert not any("another class" in note for note in data.notes)
    disputed = RawData(
        source="made",
        class_names=source.class_names,
        train=source.train,
        validation=validation,
        test=test,
    )
    notes = prepared_of(disputed).notes
    assert "1 train examples are equal to one of another class" in notes


def test_equal_inputs_of_one_class_are_counted_in_train_and_between_splits():
    source = raw(300)
    source.train.inputs[[3, 6]] = source.train.inputs[0]
    assert len(set(source.train.labels[[0, 3, 6]])) == 1
    validation, test = (raw(9, seed=seed).train for seed in (3, 4))
    test.inputs[0] = source.train.inputs[0]
    test.labels[0] = source.train.labels[0]
    notes = prepared_of(replace(source, validation=validation, test=test)).notes
    assert [note for note in notes if "examples" in note] == [
        "2 train examples repeat an earlier train example, value for value",
        "1 test examples are equal to a train example, value for value",
    ]


def test_class_names_are_shown_with_their_labels_and_many_are_shortened():
    few = dict(describe(prepared_of(raw())))
    assert few["classes"] == "0 0, 1 1, 2 2"
    many = dict(describe(prepared_of(raw(600, classes=100))))
    assert many["classes"].endswith("18 18, ..., 99 99")


@pytest.mark.parametrize("offset", [0.0, 1e5])
def test_normalisation_comes_from_train_alone_and_undoes_to_the_raw_values(offset):
    source = raw(3000, dtype=np.float32, offset=offset)
    data = prepared_of(source)
    scale = data.pipeline.steps[0]
    kept = with_all_splits(source, split_seed=0)
    expected = kept.train.inputs.astype(np.float64)
    np.testing.assert_allclose(scale.mean, expected.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(scale.std, expected.std(axis=(0, 2, 3)), rtol=1e-9)
    channel = (1, 2, 1, 1)
    undone = data.test.inputs * np.reshape(scale.std, channel) + np.reshape(scale.mean, channel)
    np.testing.assert_allclose(undone, kept.test.inputs, rtol=1e-6, atol=0.02)
    assert data.train.inputs.dtype == np.float32
    assert data.train.inputs.flags.c_contiguous


def test_eight_bit_images_record_the_range_of_their_type():
    scale = prepared_of(raw()).pipeline
    assert (scale.raw_low, scale.raw_high, scale.raw_dtype) == (0.0, 255.0, "uint8")


def test_a_constant_channel_is_noted_and_a_constant_set_refused():
    data = raw()
    data.train.inputs[:, 1] = 9
    prepared = prepared_of(data)
    assert prepared.pipeline.steps[0].std[1] == 1.0
    assert any("channels [1] are constant" in note for note in prepared.notes)
    data.train.inputs[:] = 9
    with pytest.raises(DataError, match="every train input has the same values"):
        prepared_of(data)


def test_a_signal_that_float64_loses_beside_its_offset_is_refused_for_that():
    values = np.random.default_rng(0).integers(-9, 9, (60, 1, 3, 8)) + 2**60
    source = RawData(
        source="wide", class_names=("a", "b"),
        train=RawSplit(inputs=values, labels=np.arange(60) % 2),
    )  # fmt: skip
    with pytest.raises(
        DataError, match=r"less than float64 resolves beside their size, 1\.15e\+18"
    ):
        prepared_of(source)


def test_examples_shared_by_train_and_test_are_counted():
    source = raw(300)
    shared = RawSplit(inputs=source.train.inputs[:4].copy(), labels=source.train.labels[:4])
    validation = raw(9, seed=3).train
    data = prepared_of(raw(300, test=shared, validation=validation))
    assert any(note.startswith("4 test examples are equal") for note in data.notes)


@pytest.mark.parametrize("change", ["pixel", "label", "names"])
def test_any_change_changes_the_fingerprint(change):
    splits = {"validation": raw(9, seed=1).train, "test": raw(9, seed=2).train}
    before = prepared_of(raw(**splits)).fingerprint
    changed = raw(**splits)
    if change == "pixel":
        changed.test.inputs[0, 0, 0, 0] ^= 1
    if change == "label":
        changed.validation.labels[:2] = changed.validation.labels[1::-1]
    if change == "names":
        changed = RawData(source="made", class_names=("a", "b", "c"), train=changed.train, **splits)
    assert prepared_of(changed).fingerprint != before


def test_one_class_is_refused():
    with pytest.raises(DataError, match="one class"):
        checked_raw(raw(classes=1))


def test_digits_are_the_default_data():
    discover("hwkd.tasks")
    data = TASKS.get("classify").data(None)
    assert sum(map(sum, data.class_counts.values())) == 1797
    assert data.input_shape == (1, 8, 8)
    assert abs(float(data.train.inputs.mean())) < 1e-4
    rows = dict(describe(data))
    assert rows["test split"].startswith("359 examples; 35 to 37 of a class")
    assert "raw uint8 in [0, 16]" in rows["preprocessing"]


FASHION = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.slow
@pytest.mark.skipif(not FASHION.is_dir(), reason="needs the package dataset-fashion-mnist")
def test_fashion_mnist_of_debian_loads_with_its_own_test_split():
    data = TASKS.get("classify").data(FASHION)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [54_000, 6_000, 10_000]
    # Mean and deviation of the 60,000 images as published with the data set: 0.2860, 0.3530.
    assert data.pipeline.steps[0].mean[0] / 255 == pytest.approx(0.2860, abs=0.001)
    assert data.pipeline.steps[0].std[0] / 255 == pytest.approx(0.3530, abs=0.001)


@pytest.mark.parametrize("seed", range(20))
def test_made_splits_are_those_of_scikit_learn(seed):
    """Runs of older versions were made with them, and go on with the same examples."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.repeat(np.arange(6), random.integers(4, 40, size=6)))
    inputs = np.arange(len(labels)).reshape(-1, 1, 1, 1).astype(np.float32)
    names = tuple("abcdef")
    for given, stratify in ((names, labels), ((), None)):
        data = RawData(
            source="made", class_names=given, train=RawSplit(inputs=inputs, labels=labels)
        )
        data = with_all_splits(data, split_seed=seed)
        _, taken = train_test_split(
            np.arange(len(labels)),
            test_size=max(round(len(labels) * 0.2), 5),
            random_state=seed,
            stratify=stratify,
        )
        assert sorted(data.test.inputs.ravel()) == sorted(taken)


def test_the_digits_are_those_of_scikit_learn():
    ours, theirs = read_digits().train, load_digits()
    np.testing.assert_array_equal(ours.inputs[:, 0], theirs.images)
    np.testing.assert_array_equal(ours.labels, theirs.target)
    assert ours.inputs.dtype == np.uint8


def test_data_of_another_scale_or_form_is_refused_for_a_network_that_has_learned(tmp_path):
    levels = np.random.default_rng(0).integers(0, 255, (60, 8, 8)).astype(np.uint8)
    labels = np.arange(60) % 3
    np.savez(tmp_path / "first.npz", x_train=levels, y_train=labels)
    learned = ClassifyTask().data(tmp_path / "first.npz").pipeline
    as_then = Reading(scaling=learned.record().steps[-1])
    np.savez(tmp_path / "like.npz", x_train=levels[::-1] // 2, y_train=labels)
    assert ClassifyTask().data(tmp_path / "like.npz", as_then).pipeline.steps == learned.steps
    np.savez(tmp_path / "small.npz", x_train=levels / 255.0, y_train=labels)
    with pytest.raises(DataError, match=r"another scale .* a deviation of 0\.28.*, 73\.\d there"):
        ClassifyTask().data(tmp_path / "small.npz", as_then)
    np.savez(tmp_path / "colour.npz", x_train=np.stack([levels] * 3, -1), y_train=labels)
    with pytest.raises(DataError, match="3 channels, where the data of the student's training has"):
        ClassifyTask().data(tmp_path / "colour.npz", as_then)
    subject = Subject(
        name="s", path=tmp_path, model=b"", task=None, reading=as_then, record=learned.record()
    )
    subject.require_like_training(levels[:, np.newaxis], where="more.npz")
    with pytest.raises(DataError, match=r"more\.npz: another scale than the train inputs"):
        subject.require_like_training(levels[:, np.newaxis] / 255.0, where="more.npz")
