"""Which pictures may be mirrored and turned, and signals inverted, is found in the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwkd.tasks.base import Split
from hwkd.tasks.classification import ClassifyTask
from hwkd.train.augment import Augmentation
from hwkd.train.choose_augmentation import asks_symmetry, choose_augmentation
from hwkd.train.symmetry import Symmetry, symmetry_of

RANDOM = np.random.default_rng(0)


def arrows(quarters, labels, side=(16, 16)):
    """Pictures of noise and an arrow each, which points up and is turned by so many quarters."""
    pictures = 0.3 * RANDOM.normal(size=(len(quarters), 1, *side))
    arrow = np.zeros((16, 16))
    arrow[2:14, 7:9] = arrow[2:5, 5:11] = 1
    for picture, quarter in zip(pictures, quarters, strict=True):
        picture[0, :16, :16] += np.rot90(arrow, quarter)
    return Split(inputs=pictures.astype(np.float32), labels=np.asarray(labels))


def discs(count):
    """Pictures of noise and a soft disc at the same distance from the middle, at any angle."""
    angles = RANDOM.uniform(0, 2 * np.pi, count)[:, None, None]
    down, right = np.mgrid[-7.5:8, -7.5:8]
    squares = (down - 4 * np.sin(angles)) ** 2 + (right - 4 * np.cos(angles)) ** 2
    pictures = 2 * np.exp(-squares / 6) + 0.3 * RANDOM.normal(size=(count, 16, 16))
    return Split(inputs=pictures[:, None].astype(np.float32), labels=np.arange(count) % 2)


ANY = RANDOM.integers(0, 4, 1200)


@pytest.mark.parametrize(
    ("split", "directions"),
    [
        pytest.param(arrows(ANY, RANDOM.integers(0, 2, 1200)), 4, id="any way up"),
        pytest.param(discs(1200), 32, id="at any angle"),
        pytest.param(arrows(0 * ANY, RANDOM.integers(0, 2, 1200)), 1, id="upright"),
        pytest.param(arrows(2 * (ANY % 2), RANDOM.integers(0, 2, 1200)), 2, id="or upside down"),
        # As many of each direction as in the first set, but the direction is the class.
        pytest.param(arrows(ANY, ANY), 1, id="the direction is the class"),
        pytest.param(arrows(ANY[:100], ANY[:100] % 2), 1, id="too few to tell"),
    ],
)
def test_pictures_are_turned_where_nobody_can_tell(split, directions):
    assert symmetry_of(split).directions == directions


def lit(*, by_class, count=800, contrast=0.0, side=(16, 16)):
    """Noise, of the second class higher and of more contrast by so much."""
    labels = np.arange(count) % 2
    of_class = labels.reshape(-1, 1, *[1] * len(side))
    examples = RANDOM.normal(size=(count, 3, *side)) * (1 + contrast * of_class)
    examples += RANDOM.normal(size=(count, 1, *[1] * len(side))) + by_class * of_class
    return Split(inputs=examples.astype(np.float32), labels=labels)


@pytest.mark.parametrize(
    ("split", "light"),
    [
        pytest.param(lit(by_class=0.0), True, id="lit anyhow"),
        pytest.param(lit(by_class=2.0), False, id="one class is lighter"),
        pytest.param(lit(by_class=0.0, contrast=0.2), False, id="one class has more contrast"),
        pytest.param(lit(by_class=0.0, count=60), False, id="too few to tell"),
        pytest.param(lit(by_class=0.0, side=(64,)), True, id="signals of any strength"),
        pytest.param(lit(by_class=0.0, contrast=0.5, side=(64,)), False, id="one kind is stronger"),
    ],
)
def test_light_is_varied_where_it_hardly_names_the_class(split, light):
    assert symmetry_of(split).light == light


def test_what_is_not_square_is_turned_upside_down_at_most():
    noise = RANDOM.normal(size=(600, 3, 20, 24)).astype(np.float32)
    assert symmetry_of(Split(inputs=noise, labels=np.arange(600) % 2)).directions == 2


def test_digits_are_neither_mirrored_nor_turned():
    assert symmetry_of(ClassifyTask().data(None).train) == Symmetry()


def waves(*, offset=0.0, peaks_in=(), count=800):
    """Signals of noise and a tone each, whose class is its pitch; some classes peak upwards."""
    labels = np.arange(count) % 2
    times = np.arange(64) + RANDOM.uniform(0, 64, count)[:, None]
    tones = np.sin(times * (0.4 + 0.4 * labels)[:, None])
    tones[np.isin(labels, peaks_in)] **= 4
    signals = tones[:, None] + 0.2 * RANDOM.normal(size=(count, 2, 64)) + offset
    return Split(inputs=signals.astype(np.float32), labels=labels)


@pytest.mark.parametrize(
    ("split", "inverted"),
    [
        pytest.param(waves(), True, id="nobody can tell the sign"),
        pytest.param(waves(offset=0.5), False, id="above zero"),
        pytest.param(waves(peaks_in=(1,)), False, id="one class peaks upwards"),
        pytest.param(waves(count=100), False, id="too few to tell"),
    ],
)
def test_signals_are_inverted_where_nobody_can_tell(split, inverted):
    assert symmetry_of(split).inverted == inverted


def test_spectra_words_and_values_have_no_symmetry():
    pictures = np.zeros((300, 1, 16, 16), np.float32)
    spectra = Split(inputs=pictures, labels=np.arange(300) % 2, nature="spectra")
    words = Split(inputs=pictures[:, 0], labels=np.arange(300) % 2, nature="text")
    values = Split(inputs=pictures, labels=np.zeros((300, 2), np.float32))
    assert {symmetry_of(each) for each in (words, spectra, values)} == {Symmetry()}


@pytest.mark.parametrize(
    ("quarters", "mirror", "flip"),
    [((0, 2), True, False), ((1, 3), False, True)],
    ids=["up or down", "left or right"],
)
def test_a_flip_is_chosen_where_it_keeps_the_class(quarters, mirror, flip):
    labels = np.arange(1200) % 2
    found = symmetry_of(arrows(np.array(quarters)[labels], labels))
    assert (found.mirror, found.flip, found.directions) == (mirror, flip, 1)


def scenes(*, upright):
    """Pictures with a cross or a T in each, at any place, the T any way up or upright."""
    random = np.random.default_rng(0)
    labels = np.arange(600) % 2
    pictures = 0.2 * random.normal(size=(600, 1, 48, 48)).astype(np.float32)
    boxes = np.full((600, 2, 5), -1, np.float32)
    cross, letter = np.zeros((2, 16, 16), np.float32)
    cross[6:10] = cross[:, 6:10] = letter[:4] = letter[:, 6:10] = 1
    for picture, own, label in zip(pictures, boxes, labels, strict=True):
        x, y = random.integers(0, 32, 2)
        # The cross is told from an upside-down T by nothing but where the bar is.
        shown = np.roll(cross, 2, axis=0) if upright else cross
        if label:
            shown = letter if upright else np.rot90(letter, int(random.integers(4)))
        sign = 1 if upright else random.choice([-1, 1])
        picture[0, y : y + 16, x : x + 16] += 2 * sign * shown
        own[0] = label, x, y, x + 16, y + 16
    return Split(inputs=pictures, labels=boxes, nature="boxes")


def masked(data):
    """The same scenes with a mask in place of each box, and a speck of the other class."""
    masks = np.zeros((len(data.inputs), *data.inputs.shape[2:]), np.int16)
    for mask, (label, x0, y0, x1, y1) in zip(masks, data.labels[:, 0].astype(int), strict=True):
        mask[y0:y1, x0:x1] = 1 + label
        mask[0, (x1 + 3) % mask.shape[1]] = 2 - label
    return Split(inputs=data.inputs, labels=masks, nature="scenes")


def test_masks_are_turned_where_what_they_show_keeps_its_name():
    data = masked(scenes(upright=False))
    chosen = choose_augmentation(data)
    assert (chosen.flip, chosen.transposed, chosen.inverted) == (True, True, True)
    assert choose_augmentation(data, passes=5) == Augmentation(shift=(3, 3), mirror=True)


def test_masks_are_not_turned_where_one_thing_is_the_other_upside_down():
    data = masked(scenes(upright=True))
    half = len(data.inputs) // 2
    letters = data.inputs[1::2]
    inputs = np.concatenate([letters, letters[:, :, ::-1]])
    masks = np.concatenate([data.labels[1::2], (data.labels[1::2, ::-1] > 0).astype(np.int16)])
    assert len(inputs) == 2 * half
    chosen = choose_augmentation(Split(inputs=inputs, labels=masks, nature="scenes"))
    assert (chosen.mirror, chosen.flip) == (True, False)


def test_pictures_that_are_drawn_from_pictures_are_mirrored_alone():
    data = scenes(upright=False)
    drawn = Split(inputs=data.inputs, labels=data.inputs, nature="scenes")
    assert choose_augmentation(drawn) == Augmentation(shift=(3, 3), mirror=True)


@pytest.mark.parametrize("upright", [True, False])
def test_scenes_are_turned_where_their_things_keep_their_names(upright):
    found = symmetry_of(scenes(upright=upright))
    any_way = not upright
    assert (found.mirror, found.flip, found.transposed, found.inverted) == (True, *[any_way] * 3)
    chosen = choose_augmentation(scenes(upright=upright))
    assert (chosen.flip, chosen.transposed, chosen.inverted) == (any_way,) * 3
    assert (chosen.shift, chosen.cells) == ((8, 8), 8)
    brief = choose_augmentation(scenes(upright=upright), passes=5)
    assert brief == Augmentation(shift=(8, 8), cells=8, mirror=True)


def test_how_things_may_be_turned_is_asked_where_a_training_is_long_enough_to_use_it():
    asked = []

    def found():
        asked.append(1)
        return Symmetry(mirror=True, flip=True)

    data = scenes(upright=False)
    for passes, times in ((5, 0), (59, 0), (60, 1)):
        chosen = choose_augmentation(data, passes=passes, symmetry=found)
        assert (chosen.flip, len(asked)) == (bool(times), times)
        assert asks_symmetry(data, passes) == bool(times)


def test_things_of_one_class_and_oblong_scenes_say_little():
    data = scenes(upright=False)
    boxes = np.where(data.labels[..., :1] >= 0, [0, 1, 1, 1, 1], 1) * data.labels
    assert symmetry_of(replace(data, labels=boxes.astype(np.float32))) == Symmetry(mirror=True)
    wide = np.pad(data.inputs, ((0, 0), (0, 0), (0, 0), (0, 8)))
    assert not symmetry_of(replace(data, inputs=wide)).transposed
    nothing = np.full_like(data.labels, -1)
    assert symmetry_of(replace(data, labels=nothing)) == Symmetry(mirror=True)


@pytest.mark.parametrize("is_symmetric", [True, False])
def test_mirroring_is_chosen_where_it_keeps_the_class(is_symmetric):
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 2
    inputs = generator.normal(size=(200, 1, 6, 8)).astype(np.float32)
    if is_symmetric:
        inputs[labels == 1, :, :3] += 3
    else:
        inputs[labels == 1, ..., :4] += 3
        inputs[labels == 0, ..., 4:] += 3
    assert symmetry_of(Split(inputs=inputs, labels=labels)).mirror == is_symmetric
