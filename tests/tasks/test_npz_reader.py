import zipfile

import numpy as np
import pytest

from hwkd.core.errors import ConfigError, DataError
from hwkd.signals.steps.normalise import Normalise
from hwkd.tasks.classification import ClassifyTask
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
    data = ClassifyTask().data(path)
    assert data.input_shape == (6, 100)
    (step,) = data.pipeline.steps
    assert isinstance(step, Normalise)
    assert len(step.mean) == 6


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
        (np.array([["a", "b"]] * 24), "expected one name per example"),
        (LABELS * 2, r"consecutive class numbers .*numpy\.unique"),
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
    with pytest.raises(DataError, match=r"needs both x_train and y_train, has a, b; .*savez"):
        read_source(save(tmp_path, a=IMAGES, b=LABELS))


@pytest.mark.parametrize("names", [("X", "y"), ("images", "labels"), ("data", "target")])
def test_one_pair_named_by_what_it_is_is_the_train_split_and_noted(names, tmp_path):
    inputs, labels = names
    data = read_source(save(tmp_path, **{inputs: IMAGES, labels: LABELS}))
    assert len(data.train.inputs) == len(IMAGES)
    assert f"{inputs} and {labels} are taken as the train split" in data.notes


def test_labels_may_be_names_in_the_order_of_the_alphabet_or_of_class_names(tmp_path):
    names = np.array(["b", "ä", "c"])
    numbers = np.arange(len(IMAGES)) % 3
    path = save(tmp_path, x_train=IMAGES, y_train=names[numbers])
    data = read_source(path)
    assert data.class_names == ("b", "c", "ä")
    assert data.train.labels.tolist() == [[0, 2, 1][number] for number in numbers]
    path = save(tmp_path, x_train=IMAGES, y_train=names[numbers][:, None], class_names=names)
    data = read_source(path)
    assert data.class_names == ("b", "ä", "c")
    assert data.train.labels.tolist() == numbers.tolist()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"x_test": IMAGES[:2], "y_test": ["b", "d"]}, "test label 'd' at example 1 is none of"),
        ({"x_test": IMAGES[:2], "y_test": [0, 1]}, "expected one name per example"),
        ({"x_test": IMAGES[:2], "y_test": ["a", ""]}, "test label at example 1 is empty"),
        ({"class_names": ["a", "b", "c"]}, "class names a, b, c but train labels a, b"),
    ],
)
def test_names_that_do_not_fit_are_refused(more, message, tmp_path):
    labels = np.array(["a", "b"])[np.arange(len(IMAGES)) % 2]
    with pytest.raises(DataError, match=message):
        read_source(save(tmp_path, x_train=IMAGES, y_train=labels, **more))


def test_a_cut_file_is_refused(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(DataError, match="not a readable NPZ file"):
        read_source(path)


def test_an_option_of_another_format_is_refused(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS)
    with pytest.raises(ConfigError, match="--input-size does not apply to an NPZ file"):
        read_source(path, input_size=(8, 8))


@pytest.mark.parametrize(
    ("inputs", "labels", "split"),
    [
        ("x_dev", "y_dev", "validation"),
        ("val_images", "val_labels", "validation"),
        ("X_valid", "Y_valid", "validation"),
        ("test_data", "test_targets", "test"),
    ],
)
def test_arrays_of_other_usual_names_are_read_and_said(tmp_path, inputs, labels, split):
    own = {inputs: IMAGES[:6], labels: LABELS[:6]}
    data = read_source(save(tmp_path, x_train=IMAGES, y_train=LABELS, **own))
    np.testing.assert_array_equal(data.given()[split].inputs[:, 0], IMAGES[:6])
    said = f"{inputs} and {labels} are taken as the {split} split" in data.notes
    assert said == (split not in inputs)


def test_two_arrays_of_one_split_are_refused(tmp_path):
    own = {f"{a}_{b}": v for a, v in (("x", IMAGES), ("y", LABELS)) for b in ("val", "valid")}
    with pytest.raises(DataError, match="x_val and x_valid both bring the validation split"):
        read_source(save(tmp_path, x_train=IMAGES, y_train=LABELS, **own))


def test_arrays_that_are_not_used_are_named_and_not_loaded(tmp_path):
    objects = np.array([object()])
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_unlabeled=IMAGES, extra=objects)
    assert "arrays not used: extra, x_unlabeled" in read_source(path).notes


def test_a_guess_is_called_a_guess_and_a_wish_is_not(tmp_path):
    path = save(tmp_path, x_train=np.zeros((24, 40, 6)), y_train=LABELS)
    guessed, asked = (read_source(path, layout=layout).notes[0] for layout in ("auto", "ntc"))
    assert "a guess from the shape; --layout nct or ntc reads them otherwise" in guessed
    assert asked == "axes taken as signals (n, time, channels), as asked"


def test_labels_along_another_axis_are_located(tmp_path):
    path = save(tmp_path, x_train=np.moveaxis(IMAGES, 0, 2), y_train=LABELS)
    with pytest.raises(DataError, match="axis 2 has that length, move it to the front"):
        read_source(path)


def test_class_names_of_bytes_are_text_and_two_alike_are_refused(tmp_path):
    names = np.array([b"a", "é".encode(), b"c"])
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, class_names=names)
    assert read_source(path).class_names == ("a", "é", "c")
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, class_names=["a", "a", "c"])
    with pytest.raises(DataError, match="two classes have one name"):
        read_source(path)


@pytest.mark.slow
def test_an_archive_made_to_exhaust_memory_is_refused(tmp_path):
    path = tmp_path / "set.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in ("x_train", "y_train"):
            with archive.open(f"{key}.npy", "w") as member:
                for _ in range(140):
                    member.write(bytes(2**20))
    with pytest.raises(DataError, match=r"claim to unpack to 293,601,280, more than 200 times"):
        read_source(path)


def test_an_archive_of_other_files_is_called_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat/1.png", b"x")
    with pytest.raises(DataError, match="a ZIP archive without arrays of NumPy; unpack it"):
        read_source(tmp_path / "photos.zip")


@pytest.mark.parametrize(
    ("factor", "kind", "match"),
    [
        (1 / 255, np.float32, r"test inputs have another scale .*float32 in test, uint8 in train"),
        (0, np.uint8, "test inputs have another scale"),
        (1, np.float32, None),
    ],
)
def test_a_split_of_another_scale_is_refused_and_of_another_type_noted(
    tmp_path, factor, kind, match
):
    test = (IMAGES[:6] * factor).astype(kind)
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=test, y_test=LABELS[:6])
    if match is not None:
        with pytest.raises(DataError, match=match):
            read_source(path)
        return
    note = next(note for note in read_source(path).notes if "differ in type" in note)
    assert note.startswith("splits differ in type: float32 in test, uint8 in train; values ")


def test_a_shifted_split_is_noted_with_numbers(tmp_path):
    images = GENERATOR.normal(size=(24, 3, 50))
    test = images[:12] + np.array([0, 4, 0])[:, np.newaxis]
    path = save(tmp_path, x_train=images, y_train=LABELS, x_test=test, y_test=LABELS[:12])
    note = next(note for note in read_source(path).notes if "differ in scale" in note)
    assert "deviation of channel 1 are 3.9" in note


def test_a_class_that_a_given_split_lacks_is_named(tmp_path):
    path = save(tmp_path, x_train=IMAGES, y_train=LABELS, x_test=IMAGES[:2], y_test=LABELS[:2])
    assert any("test split has no example of class '2'" in n for n in read_source(path).notes)


@pytest.mark.parametrize(("value", "match"), [(1e300, "too large for float32"), (np.nan, "NaN")])
def test_values_that_no_network_takes_are_refused(tmp_path, value, match):
    images = IMAGES.astype(np.float64)
    images[3, 2, 1] = value
    with pytest.raises(DataError, match=match):
        read_source(save(tmp_path, x_train=images, y_train=LABELS))


@pytest.mark.parametrize("labels", [LABELS * 1e300, LABELS * np.nan, LABELS.astype("u8") + 2**63])
def test_labels_beyond_whole_numbers_are_refused(tmp_path, labels):
    with pytest.raises(DataError, match=r"not whole numbers|out of range"):
        read_source(save(tmp_path, x_train=IMAGES, y_train=labels))
