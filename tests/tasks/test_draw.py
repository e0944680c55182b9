"""Pairs of pictures: what is read, what is refused by name, how far sets of them are apart."""

import shutil
import subprocess

import numpy as np
import pytest
import scipy.linalg
from PIL import Image
from support.drawn import write_drawn

from hwkd.core.errors import DataError
from hwkd.core.head import OutputForm
from hwkd.core.reading import Reading
from hwkd.deploy.to_c.answer import answer_files
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
    in_rows = targets.reshape(4, -1)
    assert head.scores(in_rows, targets)["mean absolute error"] == 0
    assert head.errors(in_rows, targets).tolist() == [0, 0, 0, 0]
    assert head.answers(targets * 100, targets).max() == 255


def test_a_metric_may_come_first(drawn):
    data = DrawTask().data(drawn, Reading(metric="frechet distance"))
    assert data.head.metrics[0].name == "Frechet distance"


_PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include "model.h"
#include "model_answer.h"

static int8_t drawn[MODEL_OUTPUT_BYTES];

const int8_t *model_output(void) { return drawn; }

int main(void)
{
    while (fread(drawn, 1, sizeof drawn, stdin) == sizeof drawn)
        for (int32_t i = 0; i < MODEL_POSITIONS; i++)
            for (int32_t channel = 0; channel < MODEL_CHANNELS; channel++)
                putchar(model_answer(i, channel));
    return 0;
}
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler")
def test_the_c_gives_the_levels_of_python(tmp_path):
    head = PicturesHead(
        names=("red", "green", "blue"), answer_mean=(100.0, 20.0, 200.0),
        answer_std=(50.0, 70.0, 90.0), grid=(4, 5),
    )  # fmt: skip
    scale, zero = 0.031, -7
    values = np.random.default_rng(0).integers(-128, 128, (20, 3, 4, 5)).astype(np.int8)
    answer = head.kind.answer(
        OutputForm(names=head.names, mean=head.answer_mean, std=head.answer_std)
    )
    texts = answer_files(answer, values.shape[1:]) | {
        "model.h": "#include <stdint.h>\nconst int8_t *model_output(void);\n"
        f"#define MODEL_OUTPUT_SCALE {scale!r}f\n#define MODEL_OUTPUT_ZERO_POINT ({zero})\n"
        f"#define MODEL_OUTPUT_BYTES {values[0].size}\n",
        "main.c": _PROGRAM,
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    flags = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-I."]
    subprocess.run(
        ["cc", *flags, "main.c", "model_answer.c", "-o", "run"], cwd=tmp_path, check=True
    )
    shown = np.ascontiguousarray(values.transpose(0, 2, 3, 1)).tobytes()
    done = subprocess.run([tmp_path / "run"], input=shown, capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.uint8).reshape(20, 4, 5, 3).transpose(0, 3, 1, 2)
    outputs = (np.float32(scale) * (values.astype(np.float32) - zero)).astype(np.float32)
    wanted = head.answers(outputs, outputs)
    # A level half way between two may be rounded to either: Python computes with more digits.
    apart = np.abs(found.astype(int) - wanted.astype(int))
    assert apart.max() <= 1
    assert (apart > 0).mean() < 0.01
    assert len(np.unique(found)) > 100
