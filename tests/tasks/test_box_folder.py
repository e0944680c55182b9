"""Boxes in three formats: what is read of each, and what is refused with file and row."""

import json

import numpy as np
import pytest
from PIL import Image
from support.boxed import NAMES, SIZE, boxed_scene, write_coco, write_voc, write_yolo

from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.io.discovery import discover
from hwkd.tasks.box_folder import read_box_folder

discover("hwkd.tasks")


def expected(examples, seed=0):
    random = np.random.default_rng(seed)
    return [boxed_scene(random)[1] for _ in range(examples)]


def found(labels):
    return [
        [(int(row[0]), row[1:].round(3).tolist()) for row in picture if row[0] >= 0]
        for picture in labels
    ]


def test_the_same_boxes_are_read_from_every_format(tmp_path):
    wanted = expected(8, seed=2)
    assert any(not boxes for boxes in wanted), "an empty picture is among them"
    coco = read_box_folder(write_coco(tmp_path / "coco", examples=8, seed=2))
    yolo = read_box_folder(write_yolo(tmp_path / "yolo", examples=8, seed=2))
    voc = read_box_folder(write_voc(tmp_path / "voc", examples=8, seed=2))
    assert found(coco.train.labels) == found(yolo.train.labels) == wanted
    assert found(voc.train.labels) == wanted[:-1]
    assert found(voc.test.labels) == wanted[-1:]
    for raw in (coco, yolo, voc):
        assert raw.class_names == NAMES
        assert raw.train.inputs.shape[1:] == (1, SIZE, SIZE)
        assert any("no box" in note for note in raw.notes)


def test_splits_come_from_names_of_lists_and_folders(tmp_path):
    for split, seed in (("train", 0), ("val", 1), ("test", 2)):
        write_coco(tmp_path / "coco", examples=3, seed=seed, split=split)
    raw = read_box_folder(tmp_path / "coco")
    assert found(raw.validation.labels) == expected(3, seed=1)
    assert found(raw.test.labels) == expected(3, seed=2)
    alone = read_box_folder(tmp_path / "coco" / "train.json")
    assert list(alone.given()) == ["train"]


def test_boxes_are_resized_with_their_pictures(tmp_path):
    folder = write_coco(tmp_path / "coco", examples=3)
    small = read_box_folder(folder, input_size=(16, 64))
    whole = read_box_folder(folder).train.labels
    scaled = small.train.labels[:, :, 1:] / np.array([2.0, 0.5, 2.0, 0.5])
    np.testing.assert_allclose(scaled, whole[:, :, 1:], atol=1e-5)


def coco_with(change):
    def spoil(folder):
        write_coco(folder, examples=3)
        content = json.loads((folder / "train.json").read_text())
        change(content)
        (folder / "train.json").write_text(json.dumps(content))

    return spoil


def yolo_with(line):
    def spoil(folder):
        write_yolo(folder, examples=3)
        (folder / "labels" / "train" / "001.txt").write_text(f"0 .5 .5 .2 .2\n{line}\n")

    return spoil


def voc_with(text):
    def spoil(folder):
        write_voc(folder, examples=3)
        (folder / "Annotations" / "000.xml").write_text(text)

    return spoil


def without_pictures(folder):
    write_coco(folder, examples=3)
    (folder / "train" / "train001.png").unlink()


THING = (
    "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax>"
    "</bndbox></object>"
)
BOMB = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>'


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            coco_with(lambda c: c["annotations"][1].update(bbox=[20, 5, 20, 5])),
            r"train.json: annotations\[1\]: a box from 20, 5 to 40, 10 .* 8 pixels outside its",
        ),
        (
            coco_with(lambda c: c["annotations"][1].update(bbox=[20, 5, 0, 5])),
            r"annotations\[1\]: .* which has no size",
        ),
        (
            coco_with(lambda c: c["annotations"][0].update(category_id=3)),
            r"annotations\[0\]: category_id 3 is none of its categories \(7, 8\)",
        ),
        (
            coco_with(lambda c: c["annotations"][0].update(image_id=99)),
            r"annotations\[0\]: image_id is of none",
        ),
        (
            coco_with(lambda c: c["annotations"][0].update(bbox=[1, 2, "3", 4])),
            r"annotations\[0\]: bbox is no list of four numbers",
        ),
        (coco_with(lambda c: c.pop("images")), "train.json: no COCO file, it has no list images"),
        (without_pictures, r"train.json: images\[1\]: no picture of this name, 'train001.png'"),
        (yolo_with("7 .5 .5 .1 .1"), "001.txt: line 2: class 7 is unknown, there are 2"),
        (yolo_with("1 .9 .5 .6 .1"), r"001.txt: line 2: .* 6.4 pixels outside"),
        (yolo_with("1 .9 .5 0 .1"), "001.txt: line 2: .* no size"),
        (yolo_with("1 30 5 8 9"), "001.txt: line 2: 30 is no share of the picture"),
        (yolo_with("1 .5"), "001.txt: line 2: '1 .5', expected a class number"),
        (voc_with(BOMB), "000.xml: has a DOCTYPE"),
        (voc_with("<a>" * 30), "000.xml: nested more than 20 deep"),
        (voc_with("<annotation>"), "000.xml: no XML"),
        (voc_with(f"<a>{THING.format('disc', 'x')}</a>"), "object 1: an edge .* no number"),
        (voc_with(f"<a>{THING.format('disc', '10')}</a>"), "000.xml: object 1: .* no size"),
        (
            coco_with(lambda c: c["images"][1].update(width=64, height=32)),
            r"images\[1\]: says that .* is 64x32 \(width x height\), but train001.png is 32x32",
        ),
        (
            voc_with("<a><size><width>32</width><height>99</height></size></a>"),
            r"000.xml: says that the picture is 32x99 .* but 000.png is 32x32",
        ),
        (voc_with("<a><size><width>x</width></size></a>"), "000.xml: its size is no whole number"),
    ],
)
def test_what_is_wrong_with_a_box_is_said_with_file_and_row(spoil, says, tmp_path):
    spoil(tmp_path / "data")
    with pytest.raises(DataError, match=says) as raised:
        read_box_folder(tmp_path / "data")
    assert "\n" not in str(raised.value)


def test_a_class_of_voc_that_training_does_not_know_is_refused(tmp_path):
    folder = write_voc(tmp_path / "voc", examples=3)
    (folder / "Annotations" / "002.xml").write_text(f"<a>{THING.format('cat', 2)}</a>")
    with pytest.raises(DataError, match=r"002.xml: object 1: class 'cat' is none of disc, square"):
        read_box_folder(folder)


def test_pictures_alone_are_told_what_is_expected(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="1 pictures and no list of boxes; --data takes"):
        read_box_folder(tmp_path)


def test_voc_boxes_that_begin_at_0_are_read_as_they_stand(tmp_path):
    folder = write_voc(tmp_path / "voc", examples=3)
    other = THING.format("square", 2)
    for xmin, edges in ((2, [1.0, 0.0, 9.0, 9.0]), (0, [0.0, 1.0, 9.0, 9.0])):
        (folder / "Annotations" / "000.xml").write_text(f"<a>{THING.format('disc', xmin)}</a>")
        raw = read_box_folder(folder)
        assert found(raw.train.labels)[0] == [(0, edges)]
        assert any("counted from 0" in note for note in raw.notes) == (xmin == 0)
    (folder / "Annotations" / "001.xml").write_text(f"<a>{other}</a>")
    assert found(read_box_folder(folder).train.labels)[1] == [(1, [2.0, 1.0, 9.0, 9.0])]


def yolo_without_a_picture(folder):
    write_yolo(folder, examples=6)
    (folder / "images" / "train" / "001.png").unlink()
    (folder / "labels" / "train" / "001.txt").write_text("0 .5 .5 .2 .2\n")
    (folder / "README.txt").write_text("no box\n")


def voc_without_a_file(folder):
    write_voc(folder, examples=6)
    (folder / "Annotations" / "001.xml").unlink()


def coco_without_a_row(folder):
    write_coco(folder, examples=6)
    Image.new("L", (SIZE, SIZE)).save(folder / "train" / "more.png")


def boxes_twice(folder):
    write_yolo(folder, examples=6)
    (folder / "labels" / "train" / "001.txt").write_text("0 .5 .5 .2 .2\n" * 3)


def a_class_of_validation_alone(folder):
    write_yolo(folder, examples=6)
    write_yolo(folder.parent / "val", examples=2, split="val")
    for part in ("images", "labels"):
        (folder.parent / "val" / part / "val").rename(folder / part / "val")
    (folder / "data.yaml").write_text("names: [disc, square, ring]\n")
    (folder / "labels" / "val" / "000.txt").write_text("2 .5 .5 .2 .2\n")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            yolo_without_a_picture,
            "left out: text files of boxes without their picture: 1, such as train/001.txt",
        ),
        (
            voc_without_a_file,
            "left out: pictures without an XML file: 1, such as JPEGImages/001.png",
        ),
        (
            coco_without_a_row,
            "left out: pictures that COCO does not list: 1, such as train/more.png",
        ),
        (boxes_twice, "left out: boxes that stand in a list twice: 2, such as of 001.png"),
        (
            a_class_of_validation_alone,
            "no box of train is of ring, which validation has: never learned",
        ),
    ],
)
def test_what_is_lost_is_noted(spoil, says, tmp_path):
    spoil(tmp_path / "data")
    assert says in read_box_folder(tmp_path / "data").notes


def test_copies_of_boxes_are_dropped_and_no_others(tmp_path):
    write_yolo(tmp_path / "data", examples=3)
    lines = ["0 .5 .5 .2 .2", "1 .5 .5 .2 .2", "0 .5 .5 .2 .2", "0 .5 .5 .2 .3"]
    (tmp_path / "data" / "labels" / "train" / "001.txt").write_text("\n".join(lines))
    labels = read_box_folder(tmp_path / "data").train.labels[1]
    assert labels[labels[:, 0] >= 0, 0].tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("task", ["detect", "count"])
def test_a_split_without_a_box_is_refused(task, split, tmp_path):
    folder = write_yolo(tmp_path / "data", examples=12)
    write_yolo(tmp_path / "more", examples=2, split=split)
    for part in ("images", "labels"):
        (tmp_path / "more" / part / split).rename(folder / part / split)
    for file in (folder / "labels" / split).glob("*.txt"):
        file.write_text("")
    name = "validation" if split == "val" else split
    says = (
        f"in the {name} split, .* no picture has a box; .* remove the split: train then gives one"
    )
    with pytest.raises(DataError, match=says):
        TASKS.get(task).data(folder)
    if split == "test":
        with pytest.raises(DataError, match=r"in the test split, .* no picture has a box"):
            TASKS.get(task).labelled(folder, raw_shape=(1, SIZE, SIZE))
