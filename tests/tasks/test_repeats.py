"""Equal examples are found by their values, whatever type a split is stored in."""

from dataclasses import replace

import numpy as np
import pytest

from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.repeats import content_fingerprint, repeats
from hwkd.tasks.sources import read_source


def numbered(count, *, first=0, classes=3):
    """Inputs that all differ, of two channels and three moments."""
    values = np.arange(first * 6, (first + count) * 6, dtype=np.uint16).reshape(count, 2, 3)
    return RawSplit(inputs=values, labels=np.arange(count) % classes)


def given(train, **others):
    return RawData(source="made", class_names=("0", "1", "2"), train=train, **others)


def test_the_content_is_the_same_in_any_order_and_split_and_other_with_another_value():
    inputs = numbered(9).inputs
    whole = content_fingerprint([inputs])
    assert whole == content_fingerprint([inputs[::-1][:4], inputs[::-1][4:]])
    assert whole != content_fingerprint([inputs[:8]])
    assert whole != content_fingerprint([np.where(inputs == 7, 8, inputs)])


@pytest.mark.parametrize("stored", ["u1", "i8", "f2", "f4", "f8", ">f4", ">u2"])
@pytest.mark.parametrize("first", ["u1", "f4", "f8"])
def test_a_test_split_that_is_the_train_split_in_another_type_is_counted(first, stored):
    train = numbered(9)
    train = replace(train, inputs=train.inputs.astype(first))
    data = given(train, test=replace(train, inputs=train.inputs.astype(stored)))
    assert repeats(data) == ["9 test examples are equal to a train example, value for value"]


def test_what_was_rounded_to_a_coarser_type_is_equal_and_what_differs_is_not():
    values = np.random.default_rng(0).normal(size=(9, 2, 3))
    train = RawSplit(inputs=values, labels=np.arange(9) % 3)
    rounded = RawSplit(inputs=values.astype(np.float32), labels=train.labels)
    assert repeats(given(train, test=rounded))[0].startswith("9 test examples")
    rounded.inputs[2:] = np.nextafter(rounded.inputs[2:], np.float32(9))
    assert repeats(given(train, test=rounded))[0].startswith("2 test examples")


def test_values_that_only_a_coarser_type_confuses_do_not_repeat_within_their_split():
    train = numbered(4, first=9000)
    test = RawSplit(inputs=train.inputs[:1].astype(np.float16), labels=train.labels[:1])
    assert not any("repeat" in note for note in repeats(given(train, test=test)))


def test_zero_equals_minus_zero():
    train = RawSplit(inputs=np.zeros((1, 2, 3), np.float32), labels=np.array([0]))
    test = RawSplit(inputs=-train.inputs, labels=train.labels)
    assert repeats(given(train, test=test))[0].startswith("1 test examples are equal")


def test_equal_examples_of_unequal_classes_in_two_splits_are_counted():
    train, validation = numbered(9), numbered(6, first=20)
    test = numbered(6, first=40)
    validation.inputs[:3], validation.labels[:3] = train.inputs[:3], train.labels[:3]
    validation.labels[1:3] += [1, -1]
    test.inputs[5], test.labels[5] = validation.inputs[4], validation.labels[4] - 1
    assert repeats(given(train, validation=validation, test=test)) == [
        "3 validation examples are equal to a train example, value for value",
        "2 validation examples are equal to one of another class in train",
        "1 test examples are equal to a validation example, value for value",
        "1 test examples are equal to one of another class in validation",
    ]


def test_a_file_with_one_set_in_two_types_says_so(tmp_path):
    train = numbered(30)
    file = tmp_path / "d.npz"
    inputs, labels = train.inputs.astype(np.uint8), train.labels
    np.savez(file, x_train=inputs, y_train=labels, x_test=inputs.astype("f4"), y_test=labels)
    notes = repeats(read_source(file))
    assert notes == ["30 test examples are equal to a train example, value for value"]
