import os

import numpy as np
import pytest
from PIL import Image

from hwkd.core.errors import DataError
from hwkd.tasks.sources import read_source

GENERATOR = np.random.default_rng(0)


def write_image(path, *, size=(6, 5), colour=False, value=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if colour else size
    pixels = GENERATOR.integers(0, 256, size=shape, dtype=np.uint8)
    if value is not None:
        pixels[:] = value
    Image.fromarray(pixels).save(path)
    return pixels


def write_classes(folder, *, per_class=3, **options):
    for name in ("cat", "dog"):
        for number in range(per_class):
            write_image(folder / name / f"{number}.png", **options)


def test_pixels_and_labels_follow_the_folders(tmp_path):
    pixels = write_image(tmp_path / "set" / "cat" / "1.png")
    write_image(tmp_path / "set" / "dog" / "1.png")
    data = read_source(tmp_path / "set")
    assert data.class_names == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(data.train.inputs[0, 0], pixels)


def test_grey_stored_as_rgb_counts_as_grey_and_colour_stays_colour(tmp_path):
    write_classes(tmp_path / "grey", colour=True, value=7)
    write_classes(tmp_path / "colour", colour=True)
    assert read_source(tmp_path / "grey").train.inputs.shape == (6, 1, 6, 5)
    assert read_source(tmp_path / "colour").train.inputs.shape == (6, 3, 6, 5)


def test_other_sizes_are_resized_to_the_most_common_and_noted(tmp_path):
    write_classes(tmp_path / "set")
    write_image(tmp_path / "set" / "cat" / "large.jpg", size=(20, 30), value=200)
    data = read_source(tmp_path / "set")
    assert data.train.inputs.shape[2:] == (6, 5)
    assert "1 images of other sizes were resized to 6x5" in data.notes
    assert read_source(tmp_path / "set", input_size=(8, 9)).train.inputs.shape[2:] == (8, 9)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    write_classes(tmp_path / "set")
    Image.fromarray(np.full((6, 5), 0x8000, dtype=np.uint16)).save(tmp_path / "set/cat/0.png")
    data = read_source(tmp_path / "set")
    assert data.train.inputs[0].max() == 0x80


def test_transparent_pixels_become_white(tmp_path):
    write_classes(tmp_path / "set")
    Image.new("RGBA", (5, 6), (0, 0, 0, 0)).save(tmp_path / "set/cat/0.png")
    assert read_source(tmp_path / "set").train.inputs[0].min() == 255


def test_split_folders_are_kept_as_splits(tmp_path):
    for split, count in (("train", 4), ("val", 2), ("test", 1)):
        write_classes(tmp_path / "set" / split, per_class=count)
    data = read_source(tmp_path / "set")
    assert [len(s.labels) for s in (data.train, data.validation, data.test)] == [8, 4, 2]
    assert data.test.labels.tolist() == [0, 1]


def test_a_second_read_decodes_nothing_and_an_edited_image_is_decoded_again(tmp_path):
    write_classes(tmp_path / "set")
    heard = []

    def progress(stage, done, total, note=""):
        heard.append(stage)

    first = read_source(tmp_path / "set", progress=progress)
    assert "decode images" in heard
    heard.clear()
    second = read_source(tmp_path / "set", progress=progress)
    assert heard == []
    np.testing.assert_array_equal(first.train.inputs, second.train.inputs)
    assert isinstance(second.train.inputs, np.memmap)
    pixels = write_image(tmp_path / "set" / "cat" / "0.png")
    os.utime(tmp_path / "set" / "cat" / "0.png", ns=(1, 1))
    third = read_source(tmp_path / "set", progress=progress)
    np.testing.assert_array_equal(third.train.inputs[0, 0], pixels)


def test_files_that_are_no_images_are_left_out_and_counted(tmp_path):
    write_classes(tmp_path / "set")
    (tmp_path / "set" / "cat" / "notes.txt").write_text("x")
    (tmp_path / "set" / "cat" / ".DS_Store").write_text("x")
    data = read_source(tmp_path / "set")
    assert len(data.train.labels) == 6
    assert "1 files that are not PNG or JPEG were left out" in data.notes


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_an_unreadable_image_is_named(tmp_path, content):
    write_classes(tmp_path / "set")
    broken = tmp_path / "set" / "dog" / "1.png"
    broken.write_bytes(broken.read_bytes()[:60] if content is None else content)
    with pytest.raises(DataError, match=r"dog/1\.png: unreadable image .*replace or remove"):
        read_source(tmp_path / "set")
    assert not list((tmp_path / "cache").glob("images/*"))


def test_an_empty_folder_and_an_empty_class_are_refused(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="empty folder; --data takes a folder of class folders"):
        read_source(tmp_path / "set")
    write_classes(tmp_path / "set")
    (tmp_path / "set" / "bird").mkdir()
    with pytest.raises(DataError, match="bird: no PNG or JPEG image in this class folder"):
        read_source(tmp_path / "set")


def test_one_class_is_refused(tmp_path):
    write_image(tmp_path / "set" / "cat" / "1.png")
    with pytest.raises(DataError, match=r"one class \('cat'\)"):
        read_source(tmp_path / "set")


def test_a_class_that_train_lacks_is_refused(tmp_path):
    write_classes(tmp_path / "set" / "train")
    write_classes(tmp_path / "set" / "test")
    write_image(tmp_path / "set" / "test" / "bird" / "1.png")
    with pytest.raises(DataError, match="class 'bird' is in test but not in train"):
        read_source(tmp_path / "set")


def test_unknown_formats_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        read_source(tmp_path / "nowhere")
    (tmp_path / "table.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="unknown format of this file; --data takes"):
        read_source(tmp_path / "table.parquet")
