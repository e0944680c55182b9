import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image

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


@pytest.mark.slow
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


def test_unpacked_archives_beside_folders_of_their_names_are_read(tmp_path):
    images, labels = small_set()
    for what, array, axes in (("images", images, 3), ("labels", labels, 1)):
        name = f"train-{what}-idx{axes}-ubyte"
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / name).write_bytes(idx_bytes(array))
    (tmp_path / "set" / "__pycache__").mkdir()
    assert len(read_source(tmp_path / "set").train.labels) == 20
    named = tmp_path / "set" / "train-images-idx3-ubyte" / "train-images-idx3-ubyte"
    assert len(read_source(named).train.labels) == 20


def test_a_second_copy_is_named_and_the_one_beside_the_others_is_read(tmp_path):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels)
    write_set(tmp_path / "set", images=255 - images, labels=labels, compress=True)
    data = read_source(tmp_path / "set")
    np.testing.assert_array_equal(data.train.inputs[:, 0], images)
    assert any("train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz" in n for n in data.notes)


@pytest.mark.parametrize("inside", ["raw", "FashionMNIST/raw"])
def test_a_set_below_the_folder_of_its_name_is_found(tmp_path, inside):
    images, labels = small_set()
    (tmp_path / "set" / inside).mkdir(parents=True)
    write_set(tmp_path / "set" / inside, images=images, labels=labels)
    (tmp_path / "set" / "processed").mkdir()
    (tmp_path / "set" / "processed" / "training.pt").write_bytes(b"x")
    assert len(read_source(tmp_path / "set").train.labels) == 20


def test_sets_in_two_folders_ask_which(tmp_path):
    images, labels = small_set()
    for name in ("MNIST", "KMNIST"):
        (tmp_path / "set" / name).mkdir(parents=True)
        write_set(tmp_path / "set" / name, images=images, labels=labels)
    with pytest.raises(DataError, match=r"KMNIST and .*MNIST hold IDX files; give the one"):
        read_source(tmp_path / "set")


def test_folders_of_pictures_beside_idx_files_are_named(tmp_path):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels)
    (tmp_path / "set" / "samples").mkdir()
    Image.fromarray(images[0]).save(tmp_path / "set" / "samples" / "1.png")
    assert any("beside them are not: samples" in n for n in read_source(tmp_path / "set").notes)


@pytest.mark.parametrize(
    "shape", [(40, 0, 0), (0, 2**32 - 1, 2**32 - 1), (0, 2**31, 2**31, 3), (2**32 - 1,) * 3]
)
def test_headers_that_claim_nothing_or_too_much_are_refused(tmp_path, shape):
    path = tmp_path / "images"
    path.write_bytes(bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape))
    with pytest.raises(DataError, match=r"holds no values|claims .* bytes of values"):
        read_idx_array(path)


def test_a_gzip_made_to_exhaust_memory_is_refused(tmp_path):
    path = tmp_path / "images.gz"
    shape = (300, 1024, 1024)
    with gzip.open(path, "wb", 1) as stream:
        stream.write(bytes([0, 0, 8, 3]) + struct.pack(">3I", *shape))
        stream.write(bytes(2**20))
    with pytest.raises(DataError, match="claims 314,572,800 bytes of values, a file of this size"):
        read_idx_array(path)


@pytest.mark.parametrize("axes", [0, 5, 255])
def test_other_numbers_of_axes_are_refused(tmp_path, axes):
    path = tmp_path / "images"
    path.write_bytes(bytes([0, 0, 8, axes]) + bytes(4 * axes))
    with pytest.raises(DataError, match=f"{axes} axes; images have 3 or 4, labels have 1"):
        read_idx_array(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty, 0 bytes"), (bytes([0, 0, 8, 1]) + struct.pack(">I", 2) + b"abc", "damaged IDX")],
)
def test_an_empty_file_and_one_that_goes_on_are_not_called_truncated(content, message, tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_idx_array(path)


def test_files_beside_a_set_are_named(tmp_path):
    images, labels = small_set()
    write_set(tmp_path / "set", images=images, labels=labels)
    (tmp_path / "set/mapping.txt").write_text("0 65")
    notes = read_source(tmp_path / "set").notes
    assert "files beside the IDX files are not read: mapping.txt" in notes
