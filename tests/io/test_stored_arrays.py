"""Arrays of a program become one file, named by what they hold."""

import numpy as np
import pytest

from hwkd.core.errors import DataError
from hwkd.io.stored_arrays import named_arrays, path_of_data
from hwkd.tasks.sources import read_source


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HWKD_CACHE_DIR", str(tmp_path / "cache"))


INPUTS = np.arange(48, dtype=np.float32).reshape(12, 4)
LABELS = np.arange(12) % 3


def test_a_pair_is_read_back_as_the_train_split():
    raw = read_source(path_of_data((INPUTS, LABELS)))
    assert np.array_equal(raw.train.inputs[:, :, 0], INPUTS)
    assert np.array_equal(raw.train.labels, LABELS)


def test_names_say_which_split_is_which():
    given = {"x_train": INPUTS, "y_train": LABELS, "x_test": INPUTS[:6], "y_test": LABELS[:6]}
    raw = read_source(path_of_data(given))
    assert len(raw.test.labels) == 6


def test_equal_content_is_one_file_and_other_content_another():
    first = path_of_data((INPUTS, LABELS))
    assert path_of_data((INPUTS.copy(), LABELS.tolist())) == first
    assert path_of_data((INPUTS + 1, LABELS)) != first
    assert path_of_data((INPUTS, np.roll(LABELS, 1))) != first
    assert path_of_data((INPUTS.astype(np.float64), LABELS)) != first


def test_texts_of_a_frame_name_classes():
    names = np.array(["cat", "dog", "owl"], dtype=object)[LABELS]
    assert read_source(path_of_data((INPUTS, names))).class_names == ("cat", "dog", "owl")


@pytest.mark.parametrize("given", ["data.npz", None])
def test_what_is_no_array_stays_as_it_is(given):
    assert path_of_data(given) == given


@pytest.mark.parametrize(
    "labels",
    [[object()] * 12, ["a", None] * 6, np.zeros(12, complex)],
    ids=["objects", "gaps", "complex"],
)
def test_what_numpy_would_pickle_is_refused(labels):
    with pytest.raises(DataError, match=r"^data: y_train has type \w+; expected numbers, or texts"):
        named_arrays((INPUTS, np.array(labels)))


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(DataError, match="data: x_train is no array"):
        named_arrays(([[1, 2], [3]], [0, 1]))
