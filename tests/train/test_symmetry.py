"""Which pictures may be mirrored and turned is found in the pictures themselves."""

from __future__ import annotations

import numpy as np
import pytest

from hwkd.tasks.base import Split
from hwkd.tasks.classification import ClassifyTask
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


def lit(*, by_class, count=800, contrast=0.0):
    """Pictures of noise, the second class lighter and of more contrast by so much."""
    labels = np.arange(count) % 2
    pictures = RANDOM.normal(size=(count, 3, 16, 16)) * (1 + contrast * labels)[:, None, None, None]
    pictures += RANDOM.normal(size=(count, 1, 1, 1)) + by_class * labels[:, None, None, None]
    return Split(inputs=pictures.astype(np.float32), labels=labels)


@pytest.mark.parametrize(
    ("split", "light"),
    [
        pytest.param(lit(by_class=0.0), True, id="lit anyhow"),
        pytest.param(lit(by_class=2.0), False, id="one class is lighter"),
        pytest.param(lit(by_class=0.0, contrast=0.2), False, id="one class has more contrast"),
        pytest.param(lit(by_class=0.0, count=60), False, id="too few to tell"),
    ],
)
def test_light_is_varied_where_it_hardly_names_the_class(split, light):
    assert symmetry_of(split).light == light


def test_what_is_not_square_is_turned_upside_down_at_most():
    noise = RANDOM.normal(size=(600, 3, 20, 24)).astype(np.float32)
    assert symmetry_of(Split(inputs=noise, labels=np.arange(600) % 2)).directions == 2


def test_digits_are_neither_mirrored_nor_turned():
    assert symmetry_of(ClassifyTask().data(None).train) == Symmetry()


def test_signals_spectra_and_values_have_no_symmetry():
    signals = Split(inputs=np.zeros((300, 3, 64), np.float32), labels=np.arange(300) % 2)
    pictures = np.zeros((300, 1, 16, 16), np.float32)
    spectra = Split(inputs=pictures, labels=np.arange(300) % 2, nature="spectra")
    values = Split(inputs=pictures, labels=np.zeros((300, 2), np.float32))
    assert {symmetry_of(each) for each in (signals, spectra, values)} == {Symmetry()}


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
