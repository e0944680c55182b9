import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from hwkd.core.errors import DataError
from hwkd.tasks.idx import read_idx_array, read_idx_folder
from hwkd.tasks.sources import read_source

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    """Write the format from its description, independently of the reader."""
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_set(folder, *, images, labels, split="train", compress=False):
    folder.mkdir(exist_ok=True)
    for what, array, axes in (("images", images, 3), ("labels", labels, 1)):
        content = idx_bytes(array)
        name = f"{split}-{what}-idx{axes}-ubyte"
        if compress:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def small_set(count=20, classes=2):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, size=(count, 5, 4), dtype=np.uint8)
    return images, np.arange(count, dtype=np.uint8) % classes


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(CODES)).flatmap(
        lambda code: st_numpy.arrays(np.dtype(code), st_numpy.array_shapes(max_dims=3, max_side=4))
    )
)
def test_what_is_written_is_read_back(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("idx") / "any"
    path.write_bytes(idx_bytes(array))
    read = read_idx_array(path)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("compress", [False, True])
def test_a_folder_brings_train_and_test_with_a_channel_axis(tmp_path, compress):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels, compress=compress)
    write_set(
        tmp_path / "set", images=images[:6], labels=labels[:6], split="t10k", compress=compress
    )
    data = read_source(tmp_path / "set")
    np.testing.assert_array_equal(data.train.inputs, images[:, np.newaxis])
    np.testing.assert_array_equal(data.test.labels, labels[:6])
    assert data.validation is None
    assert data.class_names == ("0", "1")


def test_one_file_of_a_set_names_the_set(tmp_path):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels)
    data = read_source(tmp_path / "set" / "train-images-idx3-ubyte")
    assert len(data.train.labels) == 20


def test_two_sets_in_a_folder_ask_which(tmp_path):
    images, labels = small_set()
    for name in ("emnist-letters-train", "emnist-digits-train"):
        write_set(tmp_path / "set", images=images, labels=labels, split=name)
    with pytest.raises(DataError, match=r"2 IDX data sets .*give one of the files"):
        read_source(tmp_path / "set")
    one = tmp_path / "set" / "emnist-letters-train-labels-idx1-ubyte"
    assert len(read_source(one).train.labels) == 20


@pytest.mark.parametrize("kept", [3, 10, 50])
def test_a_truncated_file_is_named(tmp_path, kept):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels)
    path = tmp_path / "set" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: (truncated|not an) IDX file"):
        read_idx_folder(tmp_path / "set")


def test_a_truncated_gzip_is_named(tmp_path):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels, compress=True)
    path = tmp_path / "set" / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: truncated IDX file: gzip"):
        read_source(tmp_path / "set")


def test_lengths_that_differ_are_refused(tmp_path):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels[:-1])
    with pytest.raises(DataError, match="20 inputs but 19 labels"):
        read_source(tmp_path / "set")


def test_missing_labels_are_named(tmp_path):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels)
    (tmp_path / "set" / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"no IDX file of train labels; expected a name such as"):
        read_source(tmp_path / "set")
