"""Pairs of pictures: what is read, what is refused by name, how far sets of them are apart."""

import shutil

import numpy as np
import pytest
import scipy.linalg
from PIL import Image
from support.drawn import write_drawn

from hwkd.core.errors import DataError
from hwkd.core.reading import Reading
from hwkd.tasks.draw import DrawTask
from hwkd.tasks.frechet import frechet_distance, picture_features
from hwkd.tasks.picture_pairs import read_picture_pairs
from hwkd.tasks.pictures_head import PicturesHead


@pytest.fixture
def drawn(tmp_path):
    return write_drawn(tmp_path / "drawn", examples=20)


def test_levels_are_read_as_they_are_and_learned_in_deviations(drawn):
    raw = read_picture_pairs(drawn)
    first = np.asarray(Image.open(drawn / "targets" / "000.png"))
    np.testing.assert_array_equal(raw.train.labels[0, 0], first)
    assert raw.class_names == ("grey",)
    small = read_picture_pairs(drawn, input_size=(9, 7))
    assert small.train.labels.shape == (20, 1, 9, 7)
    data = DrawTask().data(drawn)
    assert data.train.labels.mean() == pytest.approx(0, abs=0.2)
    levels = data.head.answers(data.train.labels, data.train.inputs)
    assert {row.tobytes() for row in levels} <= {row.tobytes() for row in raw.train.labels}


def test_colours_of_targets_are_kept_beside_grey_pictures(drawn):
    for file in (drawn / "targets").iterdir():
        grey = np.asarray(Image.open(file))
        Image.fromarray(np.stack([grey, 255 - grey, grey // 2], axis=-1)).save(file)
    data = DrawTask().data(drawn)
    assert data.head.names == ("red", "green", "blue")
    assert data.input_shape == (1, 16, 16)
    assert data.train.labels.shape[1:] == (3, 16, 16)


def spoilt_size(folder):
    Image.new("L", (8, 16)).save(folder / "targets" / "003.png")


def spoilt_missing(folder):
    (folder / "targets" / "003.png").unlink()


def spoilt_folder(folder):
    shutil.rmtree(folder / "targets")


def spoilt_levels(folder):
    for file in (folder / "targets").iterdir():
        Image.new("L", (16, 16), 7).save(file)


def spoilt_file(folder):
    (folder / "targets" / "003.png").write_bytes(b"GIF89a")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoilt_size, "003.png: 16x8 for a picture of 16x16"),
        (spoilt_missing, r"003.png: has no target of its name \(1 of 20 in train\)"),
        (spoilt_folder, "no folder of targets; --data takes a folder with pictures in images/"),
        (spoilt_levels, "every target has one and the same level"),
        (spoilt_file, "003.png: unreadable image"),
    ],
)
def test_what_is_wrong_with_a_pair_is_said_with_its_name(spoil, says, drawn):
    spoil(drawn)
    with pytest.raises(DataError, match=says):
        DrawTask().data(drawn)


def test_the_distance_of_sets_is_that_of_scipys_matrix_root():
    random = np.random.default_rng(0)
    made = random.normal(size=(50, 6)) @ random.normal(size=(6, 6))
    real = random.normal(1.0, 2.0, size=(70, 6))
    first, second = np.cov(made, rowvar=False), np.cov(real, rowvar=False)
    root = scipy.linalg.sqrtm(first @ second)
    expected = np.square(made.mean(axis=0) - real.mean(axis=0)).sum()
    expected += np.trace(first + second - 2 * np.real(root))
    assert frechet_distance(made, real) == pytest.approx(expected)
    assert frechet_distance(real, real[::-1]) == pytest.approx(0, abs=1e-9)


def test_blur_and_noise_are_far_and_other_pictures_near():
    random = np.random.default_rng(0)
    blocks = np.kron(random.normal(size=(800, 1, 8, 8)), np.ones((2, 2))).astype(np.float32)
    real, other = blocks[:400], blocks[400:]
    noisy = other + random.normal(0, 0.5, other.shape).astype(np.float32)
    flat = (other + np.roll(other, 2, axis=-1) + np.roll(other, 2, axis=-2)) / 3
    near, *far = (
        frechet_distance(picture_features(pictures), picture_features(real))
        for pictures in (other, noisy, flat)
    )
    assert all(distance > 1.5 * near for distance in far)


def test_scores_are_in_levels():
    head = PicturesHead(names=("grey",), answer_mean=(100.0,), answer_std=(50.0,), grid=(16, 16))
    random = np.random.default_rng(0)
    targets = head.standardised(random.integers(50, 150, (4, 1, 16, 16)))
    scores = head.scores(targets + np.float32(0.1), targets)
    assert scores["mean absolute error"] == pytest.approx(5.0, rel=1e-5)
    assert head.errors(targets, targets).tolist() == [0, 0, 0, 0]
    assert head.answers(targets * 100, targets).max() == 255


def test_a_metric_may_come_first(drawn):
    data = DrawTask().data(drawn, Reading(metric="frechet distance"))
    assert data.head.metrics[0].name == "Frechet distance"
