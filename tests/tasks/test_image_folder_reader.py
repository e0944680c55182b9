import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hwkd.core.errors import DataError
from hwkd.tasks.classification import ClassifyTask
from hwkd.tasks.pictures import read_picture_facts
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


def test_sixteen_bit_grey_keeps_its_levels_and_others_are_brought_to_them(tmp_path):
    write_classes(tmp_path / "set")
    pixels = write_image(tmp_path / "set/cat/1.png")
    deep = np.arange(0x8000, 0x8000 + 30, dtype=np.uint16).reshape(6, 5)
    Image.fromarray(deep).save(tmp_path / "set/cat/0.png")
    data = read_source(tmp_path / "set")
    assert data.train.inputs.dtype == np.uint16
    np.testing.assert_array_equal(data.train.inputs[0, 0], deep)
    # 255 of 255 becomes 65,535 of 65,535.
    np.testing.assert_array_equal(data.train.inputs[1, 0], pixels.astype(int) * 257)
    assert "1 images have 16 bits per pixel and keep all levels" in data.notes
    assert any(note.startswith("5 images have 8 bits; their levels") for note in data.notes)


def test_thermal_pictures_that_differ_in_the_low_byte_stay_apart(tmp_path):
    for name, level in (("cold", 29_300), ("hot", 29_380)):
        for number in range(5):
            folder = tmp_path / "set" / name
            folder.mkdir(parents=True, exist_ok=True)
            levels = (level + GENERATOR.integers(0, 60, (4, 4))).astype(np.uint16)
            Image.fromarray(levels).save(folder / f"{number}.png")
    data = ClassifyTask().data(tmp_path / "set")
    cold, hot = (data.train.inputs[data.train.labels == label].mean() for label in (0, 1))
    assert hot - cold > 1.5


def colour_of_sixteen_bits(levels):
    """Write PNG from its specification: Pillow cannot write 16-bit colour."""
    height, width, _ = levels.shape

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_colour_of_sixteen_bits_is_read_at_eight_and_said(tmp_path):
    write_classes(tmp_path / "set", colour=True)
    levels = GENERATOR.integers(0, 65536, (6, 5, 3))
    (tmp_path / "set/cat/0.png").write_bytes(colour_of_sixteen_bits(levels))
    data = read_source(tmp_path / "set")
    np.testing.assert_array_equal(data.train.inputs[0].transpose(1, 2, 0), levels >> 8)
    assert "1 colour images have 16 bits per channel; the upper 8 were read" in data.notes


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_orientation_says(tmp_path, orientation):
    # What the camera saw, and how each orientation stores it (Exif 2.3, table of tag 0x0112:
    # which side of the scene the first row and the first column hold).
    scene = np.arange(24, dtype=np.uint8).reshape(4, 6) * 10
    stored = {
        1: scene, 2: scene[:, ::-1], 3: scene[::-1, ::-1], 4: scene[::-1], 5: scene.T,
        6: scene.T[::-1], 7: scene.T[::-1, ::-1], 8: scene.T[:, ::-1],
    }[orientation]  # fmt: skip
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(3):
            picture = Image.fromarray(np.ascontiguousarray(stored))
            exif = picture.getexif()
            exif[0x0112] = orientation
            picture.save(tmp_path / "set" / name / f"{number}.png", exif=exif)
    data = read_source(tmp_path / "set")
    np.testing.assert_array_equal(data.train.inputs[0, 0], scene)
    said = "6 images were turned as their EXIF orientation says" in data.notes
    assert said == (orientation != 1)
    assert not any("resized" in note for note in data.notes)


def test_a_picture_of_colours_without_its_palette_is_named(tmp_path):
    path = tmp_path / "colours.png"
    Image.new("P", (5, 6), 0).save(path)
    content = path.read_bytes()
    start = content.index(b"PLTE") - 4
    length = int.from_bytes(content[start : start + 4], "big")
    path.write_bytes(content[:start] + content[start + 12 + length :])
    with pytest.raises(DataError, match=r"colours\.png: unreadable image \(.*\); replace"):
        read_picture_facts(str(path))


def test_damaged_orientation_leaves_the_picture_as_stored(tmp_path):
    write_classes(tmp_path / "set")
    picture = Image.fromarray(np.zeros((6, 5), dtype=np.uint8))
    picture.save(tmp_path / "set/cat/0.jpg", exif=b"Exif\0\0II*\0nonsense")
    assert len(read_source(tmp_path / "set").train.labels) == 7


@pytest.mark.parametrize(
    ("padding", "message"),
    [
        (0, r"it claims 12000 x 12000 pixels, more than its bytes can hold"),
        (20_000, "12000 x 12000 pixels, more than 89,478,485"),
    ],
)
def test_a_small_file_that_claims_a_huge_picture_is_refused(tmp_path, padding, message):
    write_classes(tmp_path / "set")
    content = bytearray((tmp_path / "set/cat/0.png").read_bytes())
    content[16:24] = struct.pack(">II", 12_000, 12_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "set/cat/0.png").write_bytes(content + bytes(padding))
    with pytest.raises(DataError, match=rf"cat/0\.png: .*{message}"):
        read_source(tmp_path / "set")


def test_names_that_are_no_utf8_are_read_and_shown(tmp_path):
    folder = os.fsencode(tmp_path) + b"/set/"
    picture = Image.fromarray(np.zeros((4, 4), dtype=np.uint8))
    for name in (b"caf\xe9", b"tea\n"):
        path = Path(os.fsdecode(folder + name))
        path.mkdir(parents=True)
        picture.save(path / os.fsdecode(b"\xe9.png"))
    assert read_source(tmp_path / "set").class_names == ("caf\\xe9", "tea\\n")


def test_large_pictures_come_with_the_option_that_makes_them_smaller(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.new("RGB", (300, 400), "blue" if name == "cat" else "red").save(
            tmp_path / "set" / name / "1.png"
        )
    notes = read_source(tmp_path / "set").notes
    assert "RGB images of 400x300 (height x width); --input-size resizes them" in notes


def test_grey_pictures_among_colour_ones_are_counted(tmp_path):
    write_classes(tmp_path / "set", colour=True)
    Image.new("L", (5, 6), 7).save(tmp_path / "set" / "cat" / "grey.png")
    notes = read_source(tmp_path / "set").notes
    assert "1 of the images are grey; all are read as RGB" in notes


def test_splits_of_grey_and_of_colour_pictures_are_counted(tmp_path):
    write_classes(tmp_path / "set" / "train", colour=True)
    write_classes(tmp_path / "set" / "test")
    notes = read_source(tmp_path / "set").notes
    grey = "6 of the images are grey: 0 of 6 in train, 6 of 6 in test; all are read as RGB"
    assert grey in notes


def test_transparent_pixels_become_white(tmp_path):
    write_classes(tmp_path / "set")
    Image.new("RGBA", (5, 6), (0, 0, 0, 0)).save(tmp_path / "set/cat/0.png")
    Image.new("LA", (5, 6), (0, 0)).save(tmp_path / "set/cat/1.png")
    palette = Image.new("P", (5, 6), 0)
    palette.save(tmp_path / "set/cat/2.png", transparency=0)
    data = read_source(tmp_path / "set")
    assert data.train.inputs[:3].min() == 255
    assert [note for note in data.notes if "transparen" in note] == [
        "3 images have an alpha channel or a transparent colour; they were laid on white, and "
        "transparency is no input"
    ]


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
    assert any(
        note == "1 files that are not PNG or JPEG were left out: 1 of 'cat' (1 .txt)"
        for note in data.notes
    )


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


def test_an_animation_is_read_by_its_first_frame_and_named(tmp_path):
    write_classes(tmp_path / "set")
    frames = [Image.new("L", (5, 6), level) for level in (0, 200)]
    frames[0].save(tmp_path / "set" / "cat" / "9.png", save_all=True, append_images=frames[1:])
    notes = read_source(tmp_path / "set").notes
    assert "1 images are animations; their first frame was read" in notes


def test_classes_that_differ_in_capitals_alone_are_named(tmp_path):
    write_classes(tmp_path / "set")
    (tmp_path / "set" / "dog").rename(tmp_path / "set" / "Cat")
    notes = read_source(tmp_path / "set").notes
    assert any(note.startswith("'Cat' and 'cat' are different classes") for note in notes)
