"""Pictures with masks: what is read, what is refused by name, and what counts."""

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image, ImageColor
from sklearn.metrics import accuracy_score, jaccard_score, log_loss, precision_recall_fscore_support
from support.scenes import NAMES, write_scenes

from hwkd.core.class_colours import class_colours
from hwkd.core.errors import DataError
from hwkd.core.reading import Reading
from hwkd.engine.arms.example_pictures import worst_pictures
from hwkd.tasks.base import Split
from hwkd.tasks.maps_head import MapsHead
from hwkd.tasks.maps_loss import rarer_count_more
from hwkd.tasks.mask_folder import read_mask_folder
from hwkd.tasks.segment import SegmentTask

COLOURS = dict(zip(NAMES, class_colours(len(NAMES), has_ground=True), strict=True))


@pytest.fixture
def scenes(tmp_path):
    return write_scenes(tmp_path / "scenes", examples=6)


def test_splits_lie_above_or_below_pictures_and_masks(tmp_path):
    for order in ("{split}/{part}", "{part}/{split}"):
        root = tmp_path / order[1:5]
        for split, seed in (("train", 1), ("val", 2), ("test", 3)):
            made = write_scenes(tmp_path / f"{seed}{order[1]}", examples=3, seed=seed)
            for part in ("images", "masks"):
                target = root / order.format(split=split, part=part)
                target.parent.mkdir(parents=True, exist_ok=True)
                (made / part).rename(target)
        raw = read_mask_folder(root)
        assert [len(split.labels) for split in raw.given().values()] == [3, 3, 3]
        assert raw.train.inputs.shape == (3, 1, 16, 16)
        assert not np.array_equal(raw.train.labels, raw.test.labels)


def test_masks_keep_numbers_and_are_resized_without_new_ones(scenes):
    raw = read_mask_folder(scenes)
    first = np.asarray(Image.open(scenes / "masks" / "000.png"))
    np.testing.assert_array_equal(raw.train.labels[0], first)
    assert raw.class_names == NAMES
    small = read_mask_folder(scenes, input_size=(9, 7))
    assert small.train.labels.shape == (6, 9, 7)
    assert set(np.unique(small.train.labels)) <= {0, 1, 2}


def test_white_is_the_second_of_two_classes_and_else_no_class(scenes):
    for file in (scenes / "masks").iterdir():
        mask = np.asarray(Image.open(file))
        Image.fromarray(np.where(mask == 2, 255, mask).astype(np.uint8)).save(file)
    labels = read_mask_folder(scenes).train.labels
    assert set(np.unique(labels)) == {-1, 0, 1}
    (scenes / "classes.txt").unlink()
    for file in (scenes / "masks").iterdir():
        mask = np.asarray(Image.open(file))
        Image.fromarray((mask > 0).astype(np.uint8) * 255).save(file)
    raw = read_mask_folder(scenes)
    assert set(np.unique(raw.train.labels)) == {0, 1}
    assert any("black and white" in note for note in raw.notes)


def spoilt_size(folder):
    Image.new("L", (8, 16)).save(folder / "masks" / "003.png")


def spoilt_number(folder):
    Image.fromarray(np.full((16, 16), 9, np.uint8)).save(folder / "masks" / "003.png")


def spoilt_colour(folder):
    Image.new("RGB", (16, 16)).save(folder / "masks" / "003.png")


def spoilt_missing(folder):
    (folder / "masks" / "003.png").unlink()


def spoilt_names(folder):
    (folder / "classes.txt").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoilt_size, "003.png: a mask of 16x8 for a picture of 16x16"),
        (spoilt_number, "003.png: holds the number 9, but classes.txt names 3 classes"),
        (spoilt_colour, "003.png: PNG of mode RGB, expected a PNG of grey levels"),
        (spoilt_missing, r"003.png: has no mask of its name \(1 of 6 in train\)"),
        (spoilt_names, "classes.txt: not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_mask_is_said_with_its_name(spoil, says, scenes):
    spoil(scenes)
    with pytest.raises(DataError, match=says):
        SegmentTask().data(scenes)


def test_scores_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, (5, 4, 6)).astype(np.int16)
    outputs = random.normal(size=(5, 3, 4, 6)).astype(np.float32)
    head = MapsHead(names=NAMES, grid=(4, 6))
    given, named = targets.reshape(-1), outputs.argmax(axis=1).reshape(-1)
    scores = head.scores(outputs, targets)
    assert scores["mean IoU"] == pytest.approx(jaccard_score(given, named, average="macro"))
    assert scores["pixel accuracy"] == pytest.approx(accuracy_score(given, named))
    assert head.errors(outputs, targets).mean() == pytest.approx(1 - scores["mean IoU"])
    by_class = head.by_class(outputs, targets)
    assert [one.name for one in by_class] == list(NAMES)
    assert [one.given for one in by_class] == np.bincount(given).tolist()
    precision, recall, _, _ = precision_recall_fscore_support(given, named)
    for name, of in (
        ("IoU", jaccard_score(given, named, average=None)),
        ("precision", precision),
        ("recall", recall),
    ):
        assert [one.scores[name] for one in by_class] == pytest.approx(of.tolist())
    hidden = np.where(random.random(targets.shape) < 0.5, -1, targets).astype(np.int16)
    known = hidden.reshape(-1) >= 0
    assert head.scores(outputs, hidden)["mean IoU"] == pytest.approx(
        jaccard_score(given[known], named[known], average="macro")
    )


def test_masks_of_the_worst_pictures_have_the_colours_that_are_told(scenes):
    data = SegmentTask().data(write_scenes(scenes.parent / "more", examples=30))
    outputs = np.random.default_rng(0).normal(size=(len(data.test), 3, 16, 16)).astype(np.float32)
    shown = worst_pictures(data, data.head, outputs)
    assert len(shown) == min(6, len(data.test))
    for one in shown:
        picture = Image.open(io.BytesIO(base64.b64decode(one.png))).convert("RGB")
        given = np.asarray(picture)[:, picture.width // 3 + 2 :]
        told = {ImageColor.getrgb(colour) for colour in one.colours.values()}
        seen = set(map(tuple, given.reshape(-1, 3).tolist()))
        assert seen - {(255, 255, 255)} <= told  # white is between the pictures
        assert all(one.colours[name] == COLOURS[name] for name in one.colours)


def test_colours_of_classes_differ_however_many_there_are():
    for count in (2, 8, 16, 60, 255):
        for has_ground in (False, True):
            colours = class_colours(count, has_ground=has_ground)
            assert len(colours) == len(set(colours)) == count
            assert colours[:2] == class_colours(2, has_ground=has_ground)


def test_rare_classes_count_more_in_the_loss_as_scikit_learn_weighs_samples():
    random = np.random.default_rng(1)
    targets = random.choice(3, p=(0.8, 0.15, 0.05), size=(6, 20, 20)).astype(np.int16)
    targets[0] = -1
    weights = np.array(rarer_count_more(targets, 4))
    given = targets[targets >= 0]
    assert weights[given].mean() == pytest.approx(1.0)
    assert weights[2] / weights[0] == pytest.approx(
        np.sqrt((given == 0).sum() / (given == 2).sum())
    )
    assert weights[3] == 0  # no position has it
    outputs = random.normal(size=(6, 4, 20, 20)).astype(np.float32)
    head = MapsHead(names=(*NAMES, "absent"), grid=(20, 20), weights=tuple(weights))
    odds = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    flat = odds.transpose(0, 2, 3, 1)[targets >= 0]
    wanted = log_loss(given, flat, sample_weight=weights[given], labels=range(4))
    found = head.loss(torch.from_numpy(outputs), torch.from_numpy(targets))
    assert found.item() == pytest.approx(wanted, rel=1e-5)
    smoothed = 0.9 * np.eye(4)[given] + 0.1 / 4
    wanted = (weights[given] * -(smoothed * np.log(flat)).sum(axis=1)).mean()
    found = head.loss(torch.from_numpy(outputs), torch.from_numpy(targets), smoothing=0.1)
    assert found.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("grid", [(6, 3), (12, 3), (4, 12)])
def test_a_coarse_output_loses_what_it_would_repeated(grid, smoothing):
    random = np.random.default_rng(3)
    targets = torch.from_numpy(random.integers(-1, 3, size=(5, 12, 12)).astype(np.int16))
    coarse = torch.from_numpy(random.normal(size=(5, 3, *grid)))
    down, right = 12 // grid[0], 12 // grid[1]
    repeated = coarse.repeat_interleave(down, dim=2).repeat_interleave(right, dim=3)
    for weights in ((), (0.5, 1.0, 2.0)):
        head = MapsHead(names=NAMES, grid=(12, 12), weights=weights)
        for some_unlabelled in (False, True):
            ways = {"smoothing": smoothing, "some_unlabelled": some_unlabelled}
            wanted = head.loss(repeated, targets, **ways).item()
            assert head.loss(coarse, targets, **ways).item() == pytest.approx(wanted, rel=1e-9)


def test_a_class_of_one_position_counts_ten_times_at_most():
    targets = np.zeros((1, 100, 100), np.int16)
    targets[0, 0, 0] = 1
    assert rarer_count_more(targets, 2)[1] == 10


def test_pixel_accuracy_may_come_first(scenes):
    write_scenes(scenes.parent / "more", examples=30, seed=1)
    data = SegmentTask().data(scenes.parent / "more", Reading(metric="pixel_accuracy"))
    labels = data.test.labels
    outputs = np.zeros((len(labels), 3, 16, 16), np.float32)
    outputs[:, 0] = 1.0
    errors = data.head.errors(outputs, labels)
    np.testing.assert_allclose(errors, (labels != 0).mean(axis=(1, 2)))


def test_a_mask_without_its_picture_and_a_class_of_one_split_are_noted(tmp_path):
    for split, examples, seed in (("train", 12, 0), ("test", 3, 1)):
        write_scenes(tmp_path / split, examples=examples, seed=seed)
    (tmp_path / "train" / "images" / "004.png").unlink()
    (tmp_path / "train" / "classes.txt").rename(tmp_path / "classes.txt")
    (tmp_path / "classes.txt").write_text("ground\ndisc\nsquare\nring\n")
    file = tmp_path / "test" / "masks" / "001.png"
    numbers = np.array(Image.open(file))
    numbers[0, 0] = 3
    Image.fromarray(numbers).save(file)
    notes = read_mask_folder(tmp_path).notes
    assert "left out: masks without their picture: 1, such as masks/004.png" in notes
    assert "no mask of train is of ring, which test has: never learned" in notes


def test_a_split_of_the_ground_alone_is_refused(tmp_path):
    for split in ("train", "val"):
        write_scenes(tmp_path / split, examples=12)
    (tmp_path / "train" / "classes.txt").rename(tmp_path / "classes.txt")
    for file in (tmp_path / "val" / "masks").glob("*.png"):
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(file)
    with pytest.raises(
        DataError, match=r"in the validation split, .* masks hold no class but ground"
    ):
        SegmentTask().data(tmp_path)


def test_large_pictures_fit_into_the_record_too():
    random = np.random.default_rng(0)
    inputs = random.random((1, 3, 900, 1200), dtype=np.float32)
    outputs = random.random((1, 3, 900, 1200), dtype=np.float32)
    labels = random.integers(0, 3, (1, 900, 1200)).astype(np.int16)
    test = Split(inputs=inputs, labels=labels)
    data = SimpleNamespace(test=test, input_shape=(3, 900, 1200))
    head = MapsHead(names=("a", "b", "c"), grid=(900, 1200))
    (shown,) = worst_pictures(data, head, outputs)
    assert Image.open(io.BytesIO(base64.b64decode(shown.png))).size == (3 * 480 + 2 * 4, 360)
