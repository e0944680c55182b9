"""Layouts that archives of Kaggle, Roboflow, Keras and torchvision have."""

import os

import numpy as np
import pytest
from PIL import Image

from hwkd.core.errors import DataError
from hwkd.tasks.sources import read_source

GENERATOR = np.random.default_rng(0)
CLASSES = ("cat", "dog")


def make(root, folders, *, files=(), per_folder=3):
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(per_folder):
            pixels = GENERATOR.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / folder / f"{number}.png")
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text("x")
    return root


def splits(*names):
    return [f"{name}/{label}" for name in names for label in CLASSES]


def sizes(data):
    return {name: len(split.labels) for name, split in data.given().items()}


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        (splits("train", "dev", "test"), "train validation test"),
        (splits("train", "valid", "test"), "train validation test"),
        (splits("Training", "Testing"), "train test"),
        (splits("training_set/training_set", "test_set/test_set"), "train test"),
        (splits("seg_train/seg_train", "seg_test/seg_test"), "train test"),
        (splits("archive/photos/train", "archive/photos/val"), "train validation"),
        (splits("TrainImages", "ValImages"), "train validation"),
        (splits("train2017", "val2017"), "train validation"),
        (splits("trainset", "testset"), "train test"),
        (splits("fruits-360_Training", "fruits-360_Test"), "train test"),
        (splits("train", "eval"), "train test"),
        (splits("train", "eval", "test"), "train validation test"),
        (splits("train", "holdout"), "train test"),
        (splits("dataset_train_test/train", "dataset_train_test/test"), "train test"),
        (splits("train"), "train"),
        (["cat/train", "cat/test", "dog/train", "dog/test"], "train test"),
        (["cat/cat_train", "cat/cat_val", "dog/dog_train", "dog/dog_val"], "train validation"),
    ],
)
def test_split_folders_become_splits(tmp_path, folders, found):
    data = read_source(make(tmp_path / "set", folders))
    assert data.class_names == CLASSES
    assert sizes(data) == dict.fromkeys(found.split(), 6)


@pytest.mark.parametrize(
    ("folders", "match"),
    [
        (splits("test"), "found 'test' but no train folder"),
        (splits("test", "val"), "found 'test', 'val' but no train folder"),
        (splits("train", "val", "dev"), "'dev' and 'val' are both validation folders"),
        (["trainA", "trainB", "testA", "testB"], "are both .* folders by their names"),
        (["train", "test1"], "train: 3 pictures without class folders; put the pictures"),
        (["cat", "dog", "test"], "'test' may be a split or a class beside 'cat', 'dog'"),
        (["bus/a", "bus/b", "train/c", "train/d"], "'train' may be a split or a class"),
        (splits("train/train", "train/val", "test"), "splits inside a split"),
        (["cat/train", "cat/test", "dog"], "some class folders hold train and test .*'dog'"),
        (["x/train", "x/test", "x/masks", "y"], "look like splits inside a class"),
        (splits("fold1", "fold2"), "'fold1', 'fold2' hold the same folders 'cat', 'dog'"),
        (splits("train/art", "train/photo", "test"), "'art', 'photo' hold the same folders"),
        (["a/images", "a/masks", "b/images", "b/masks"], "hold the same folders 'images', 'masks'"),
        (["train/images", "valid/images"], "pictures without class folders"),
        (["train/Cat", "train/dog", "test/cat"], r"'cat' is in test but .*\(train has Cat, dog\)"),
        (["."], "3 pictures lie directly in this folder"),
    ],
)
def test_folders_that_can_be_read_in_two_ways_are_refused(tmp_path, folders, match):
    with pytest.raises(DataError, match=match):
        read_source(make(tmp_path / "set", folders))


@pytest.mark.parametrize("name", ["train", "train_station", "test_tube"])
def test_a_class_called_like_a_split_is_said(tmp_path, name):
    data = read_source(make(tmp_path / "set", ["bus", "car", name]))
    assert data.class_names == ("bus", "car", name)
    assert f"{name!r} read as a class, not as a split" in data.notes


@pytest.mark.parametrize(
    ("folders", "files", "note"),
    [
        ([*CLASSES, "unlabeled"], (), "folder 'unlabeled' (3 pictures): its pictures have"),
        ([*splits("train"), "unlabeled"], (), "folder 'unlabeled' (3 pictures): its pictures have"),
        ([*splits("train"), "seg_pred/seg_pred"], (), "folder 'seg_pred' (3 pictures)"),
        (
            [*splits("train"), "test1"],
            (),
            "folder 'test1' (3 pictures): they lie in no class folder",
        ),
        (splits("train", "test", "extra"), (), "folder set/extra (6 pictures): no split or class"),
        ([*CLASSES, "."], (), "3 pictures directly in set: they lie in no class folder"),
        (splits("train"), ("labels.csv", "README"), "set/README, labels.csv: no PNG or JPEG"),
        (CLASSES, ("labels/1.txt",), "folder set/labels (no picture)"),
        (splits("set/images"), ("set/meta/a.txt",), "folder set/set/meta (no picture)"),
    ],
)
def test_what_is_left_out_is_named(tmp_path, folders, files, note):
    data = read_source(make(tmp_path / "set", folders, files=files))
    assert data.class_names == CLASSES
    assert any(line.startswith(f"left out: {note}") for line in data.notes), data.notes


@pytest.mark.parametrize(("kind", "other"), [("bmp", ".bmp"), ("wav", ".wav"), ("webp", ".webp")])
def test_a_class_of_an_unread_format_is_refused_by_name(tmp_path, kind, other):
    make(tmp_path / "set", CLASSES, files=[f"bird/{i}.{kind}" for i in range(4)])
    with pytest.raises(DataError, match=rf"bird: no PNG or JPEG image .*4 {other} instead"):
        read_source(tmp_path / "set")


def test_a_class_mostly_of_an_unread_format_is_refused_by_name(tmp_path):
    make(tmp_path / "set", CLASSES, files=[f"dog/{i}.bmp" for i in range(4)])
    with pytest.raises(
        DataError, match=r"dog: 4 of 7 pictures .* neither PNG nor JPEG \(4 \.bmp\)"
    ):
        read_source(tmp_path / "set")


def test_files_left_out_are_counted_by_class(tmp_path):
    make(tmp_path / "set", CLASSES, files=["cat/a.bmp", "dog/a.txt", "dog/b.txt"])
    note = "3 files that are not PNG or JPEG were left out: 2 of 'dog', 1 of 'cat' (2 .txt, 1 .bmp)"
    assert note in read_source(tmp_path / "set").notes


@pytest.mark.parametrize("folder", ["__MACOSX", ".ipynb_checkpoints", "__pycache__", "@eaDir"])
def test_folders_of_systems_are_no_classes(tmp_path, folder):
    assert read_source(make(tmp_path / "set", [*CLASSES, folder])).class_names == CLASSES


def test_pictures_below_a_class_folder_count_to_it_and_are_said(tmp_path):
    data = read_source(make(tmp_path / "set", ["cat/monday", "cat", "dog"]))
    assert np.bincount(data.train.labels).tolist() == [6, 3]
    assert any("below a class folder count to that class (cat)" in note for note in data.notes)


def test_a_linked_folder_is_read_once(tmp_path):
    make(tmp_path / "set", CLASSES)
    make(tmp_path, ["store"])
    for name in ("more", "again"):
        (tmp_path / "set/cat" / name).symlink_to(tmp_path / "store")
    assert np.bincount(read_source(tmp_path / "set").train.labels).tolist() == [6, 3]


def test_a_link_to_a_folder_above_is_refused(tmp_path):
    make(tmp_path / "set", CLASSES)
    (tmp_path / "set/cat/loop").symlink_to(tmp_path / "set")
    with pytest.raises(DataError, match="cat/loop: this link leads back"):
        read_source(tmp_path / "set")


def test_links_that_multiply_are_listed_in_one_pass(tmp_path):
    below = make(tmp_path / "set", CLASSES) / "cat"
    for depth in range(28):
        folder = tmp_path / f"level{depth}"
        folder.mkdir()
        for name in "ab":
            (below / name).symlink_to(folder)
        below = folder
    make(below, ["."])
    assert np.bincount(read_source(tmp_path / "set").train.labels).tolist() == [6, 3]


def test_one_folder_linked_into_two_classes_is_refused(tmp_path):
    make(tmp_path / "set", CLASSES)
    (tmp_path / "set/bird").symlink_to(tmp_path / "set/cat")
    with pytest.raises(DataError, match="linked into two classes, 'bird' and 'cat'"):
        read_source(tmp_path / "set")


def test_a_test_split_linked_as_validation_is_said(tmp_path):
    make(tmp_path / "set", splits("train", "test"))
    (tmp_path / "set/val").symlink_to(tmp_path / "set/test")
    notes = read_source(tmp_path / "set").notes
    assert "the test and validation splits share the linked folder set/test/cat" in notes


def test_a_link_that_leads_nowhere_is_counted(tmp_path):
    make(tmp_path / "set", CLASSES)
    (tmp_path / "set/cat/gone.png").symlink_to(tmp_path / "nowhere.png")
    assert any(
        "1 of 'cat' (1 .png link that leads nowhere)" in note
        for note in read_source(tmp_path / "set").notes
    )


def test_names_composed_differently_are_one_class(tmp_path):
    # macOS writes accents as letters of their own.
    make(tmp_path / "set", ["train/caf\u00e9", "train/tea", "test/cafe\u0301", "test/tea"])
    data = read_source(tmp_path / "set")
    assert data.class_names == ("caf\u00e9", "tea")
    assert sizes(data) == {"train": 6, "test": 6}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path):
    make(tmp_path / "set", CLASSES)
    (tmp_path / "set/cat").chmod(0)
    with pytest.raises(DataError, match="cat: not readable; change its permissions"):
        read_source(tmp_path / "set")
    (tmp_path / "set/cat").chmod(0o700)


@pytest.mark.parametrize(
    ("name", "advice"), [("a.webp", "convert them to PNG"), ("a.wav", "--task keyword")]
)
def test_a_folder_without_pictures_that_are_read_says_what_to_do_with_the_others(
    name, advice, tmp_path
):
    make(tmp_path / "set", (), files=("cat/" + name, "dog/" + name))
    with pytest.raises(DataError, match=advice):
        read_source(tmp_path / "set")


def test_a_class_spelt_otherwise_than_in_train_is_refused_with_its_name_there(tmp_path):
    make(tmp_path / "set", ("train/cat", "train/dog", "test/Cat", "test/dog"))
    with pytest.raises(
        DataError, match=r"class 'Cat' is in test .*rename it if it is train's 'cat'"
    ):
        read_source(tmp_path / "set")


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty, 0 bytes"), (b"<html></html>", "neither PNG nor JPEG")]
)
def test_what_only_has_the_name_of_a_picture_is_refused_with_what_it_is(content, why, tmp_path):
    make(tmp_path / "set", CLASSES)
    (tmp_path / "set/cat/odd.png").write_bytes(content)
    with pytest.raises(DataError, match=rf"odd\.png: unreadable image \({why}") as caught:
        read_source(tmp_path / "set")
    assert str(caught.value).count("odd.png") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.npz", b"", "an empty file of 0 bytes"),
        ("x.npy", b"\x93NUMPY", r"one array without labels; .*numpy\.savez"),
        ("x.parquet", b"PAR1", "unknown format of this file; .*a CSV file"),
    ],
)
def test_a_file_that_is_not_read_is_refused_with_what_it_is(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_source(tmp_path / name)
