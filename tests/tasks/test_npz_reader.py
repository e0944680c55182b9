import numpy as np
import pytest

from hwkd.core.errors import ConfigError, DataError
from hwkd.tasks.image import ImageTask
from hwkd.tasks.layouts import sniff_layout
from hwkd.tasks.sources import read_source

GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.integers(0, 256, size=(24, 6, 5), dtype=np.uint8)
LABELS = np.arange(24) % 3


def save(tmp_path, **arrays):
    path = tmp_path / "set.npz"
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((9, 28, 28), "nhw"),
        ((9, 40, 98), "nhw"),
        ((9, 6, 100), "nct"),
        ((9, 100, 6), "ntc"),
        ((9, 1, 50), "nct"),
        ((9, 32, 32, 3), "nhwc"),
        ((9, 3, 32, 32), "nchw"),
        ((9, 1, 8, 8), "nchw"),
        ((9, 16, 16, 40), "nhwc"),
        ((9, 40, 16, 16), "nchw"),
    ],
)
def test_the_order_of_axes_is_read_from_the_shape(shape, layout):
    assert sniff_layout(shape, where="x") == layout


def test_an_ambiguous_shape_asks_for_the_layout(tmp_path):
    path = save(tmp_path, x_train=np.zeros((24, 3, 3, 3)), y_train=LABELS)
    with pytest.raises(DataError, match=r"cannot tell the channels .* --layout nhwc"):
        read_source(path)
    assert read_source(path, layout="nhwc").train.inputs.shape == (24, 3, 3, 3)


@pytest.mark.parametrize("channels_last", [True, False])
def test_colour_images_come_out_channels_first(tmp_path, channels_last):
    images = GENERATOR.integers(0, 256, size=(24, 3, 8, 9), dtype=np.uint8)
    stored = images.transpose(0, 2, 3, 1) if channels_last else images
    data = read_source(save(tmp_path, x_train=stored, y_train=LABELS))
    np.testing.assert_array_equal(data.train.inputs, images)


@pytest.mark.parametrize("suffix", ["val", "valid", "validation"])
def test_given_splits_are_kept(tmp_path, suffix):
    path = save(
        tmp_path,
        x_train=IMAGES,
        y_train=LABELS,
        x_test=IMAGES[:6],
        y_test=LABELS[:6],
        **{f"x_{suffix}": IMAGES[6:15], f"y_{suffix}": LABELS[6:15]},
    )
    data = read_source(path)
    assert [len(s.labels) for s in (data.train, data.validation, data.test)] == [24, 9, 6]


def test_signals_work_as_one_dimensional_data(tmp_path):
    path = save(tmp_path, x_train=GENERATOR.normal(size=(60, 6, 100)), y_train=np.arange(60) % 3)
    data = ImageTask().data(path)
    assert data.input_shape == (6, 100)
    assert len(data.normalisation.mean) == 6


def test_class_names_are_taken_from_the_file(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, class_names=["up", "down", "off"])
    assert read_source(path).class_names == ("up", "down", "off")


def test_labels_from_one_are_renumbered_and_keep_their_names(tmp_path):
    data = read_source(save(tmp_path, x_train=IMAGES, y_train=LABELS + 1))
    assert data.class_names == ("1", "2", "3")
    assert data.train.labels.min() == 0


def test_an_object_array_is_refused_and_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the pickle was loaded",))

    objects = np.empty(24, dtype=object)
    objects[:] = [Bomb()] * 24
    path = save(tmp_path, x_train=objects, y_train=LABELS)
    with pytest.raises(
        DataError, match=r"'x_train' cannot be read .holds Python objects, which are never loaded"
    ):
        read_source(path)


def test_nan_pixels_are_counted_and_located(tmp_path):
    images = IMAGES.astype(np.float32)
    images[[5, 7], 0, 0] = [np.nan, np.inf]
    with pytest.raises(DataError, match=r"NaN or infinite values in 2 of 24 examples, first .* 5"):
        read_source(save(tmp_path, x_train=images, y_train=LABELS))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.where(np.arange(24) == 4, 99, LABELS), "out of range: 4 classes .* up to 99"),
        (LABELS - 1, "out of range: 3 classes with labels -1"),
        (LABELS + 0.5, "not whole numbers"),
        (np.eye(3)[LABELS], "undo one-hot coding"),
        (LABELS[:-1], "give one label per input"),
        (np.zeros(24, dtype=int), "one class"),
        (np.array(["a", "b", "c"] * 8), "not whole numbers"),
    ],
)
def test_unusable_labels_are_refused(tmp_path, labels, match):
    with pytest.raises(DataError, match=match):
        read_source(save(tmp_path, x_train=IMAGES, y_train=labels))


def test_a_test_label_that_training_never_saw_is_refused(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:4], y_test=[0, 1, 7, 2])
    with pytest.raises(DataError, match="test labels out of range: 7 at example 2"):
        read_source(path)


def test_splits_of_different_shape_are_refused(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:4, :5], y_test=LABELS[:4])
    with pytest.raises(DataError, match="all splits must have one shape"):
        read_source(path)


def test_a_missing_array_lists_what_is_there(tmp_path):
    with pytest.raises(DataError, match="needs both x_train and y_train, has images, labels"):
        read_source(save(tmp_path, images=IMAGES, labels=LABELS))


def test_a_cut_file_is_refused(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a readable NPZ file"):
        read_source(path)


def test_an_option_of_another_format_is_refused(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS)
    with pytest.raises(ConfigError, match="--input-size does not apply to an NPZ file"):
        read_source(path, input_size=(8, 8))
