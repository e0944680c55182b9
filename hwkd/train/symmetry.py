"""What examples may have done to them without becoming others: measured on the train split.

A flipped picture keeps its class where what names classes names it nearly as well. A turned one is
asked for more: whether it can be told from a picture at all. Where pictures have no upright
position (parts on a belt, cells, textures from above), nobody can tell, and every direction is as
likely in use; where they have one, turning makes pictures that never come. Signals are asked the
same of their sign.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwkd.core.likeliest import likeliest
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.train.dataset import LabelledArrays

if TYPE_CHECKING:
    from torch import Tensor

# Of fewer in each class, no answer about light is sure enough.
_FEWEST_LIT, _MOST_LIT, _DARK = 50, 500, 1e-3
# Of what guessing leaves, light names .01 of things before clutter and .07 of shapes, both of which
# gain from varied light; .16 of digits and .22 of Fashion-MNIST, which are left as they are.
_LIGHT_TELLS_RATIO = 0.1
# Of things that are found by their boxes, so much of what names them must be left. Nuts and bolts
# on a belt keep .96 to 1.0 of it upside down, with rows for columns, and lighter than their ground
# where they were darker; animals, food and vehicles .56, .43 and .69, and .98 of it mirrored.
_THINGS_KEEP_RATIO = 0.85


class Symmetry(StrictModel):
    """What keeps an example one of its class.

    Attributes:
        mirror: left and right changed.
        flip: up and down changed.
        transposed: rows and columns changed, of things in square pictures.
        light: more or less of it, and more or less contrast.
        inverted: signals, or things in pictures, of the opposite sign.
        directions: ways to lie that cannot be told apart, evenly around: 1 has an upright position,
            2 may be upside down, 4 may be turned by any quarter, 32 by any angle.
    """

    mirror: bool = False
    flip: bool = False
    transposed: bool = False
    directions: StoredInt = 1
    light: bool = False
    inverted: bool = False


def symmetry_of(data: LabelledArrays) -> Symmetry:
    """Measure it on the train split; spectra, words and what has no classes have none."""
    if data.nature in ("boxes", "scenes"):
        return _of_things(data)
    if data.nature != "values" or data.labels.ndim != 1 or data.inputs.ndim < 3:
        return Symmetry()
    from hwkd.train.directions import directions_of, may_be_inverted  # torch: needed here alone
    from hwkd.train.kept_class import KeptClass

    if data.inputs.ndim == 3:
        return Symmetry(light=light_says_little(data), inverted=may_be_inverted(data))
    kept = KeptClass(data)
    return Symmetry(
        mirror=kept.by(lambda pictures: pictures.flip(3)) is not False,
        flip=kept.by(lambda pictures: pictures.flip(2)) is True,
        directions=directions_of(data, kept),
        light=light_says_little(data),
    )


def _of_things(data: LabelledArrays) -> Symmetry:
    """Measure it on things cut out of their pictures; mirror images are always taken for scenes."""
    from hwkd.train.cut_things import CutThings
    from hwkd.train.kept_class import KeptClass

    if data.labels.ndim > 3:  # whole pictures, which show more than their things
        return Symmetry(mirror=True)
    cut = CutThings.of if data.nature == "boxes" else CutThings.of_masks
    things = cut(data.inputs, data.labels)
    if not len(things.labels):
        return Symmetry(mirror=True)
    kept = KeptClass(things)

    def keeps(change: Callable[[Tensor], Tensor]) -> bool:
        return kept.by(change, least_ratio=_THINGS_KEEP_RATIO) is True

    is_square = data.inputs.shape[2] == data.inputs.shape[3]
    return Symmetry(
        mirror=True,
        flip=keeps(lambda shown: shown.flip(2)),
        transposed=is_square and keeps(lambda shown: shown.transpose(2, 3)),
        light=light_says_little(things),
        inverted=keeps(lambda shown: -shown),
    )


@cache
def places_of_turns(height: int, width: int, *, directions: int) -> NDArray[np.int64]:
    """Return where each pixel of a turned picture comes from, shape [directions, height * width].

    Pixels are counted row after row; what is nearest to a place is taken, at the border too.
    """
    rows, columns = np.mgrid[:height, :width]
    down, right = rows - (height - 1) / 2, columns - (width - 1) / 2
    places = []
    for angle in 2 * math.pi * np.arange(directions) / directions:
        cosine, sine = math.cos(angle), math.sin(angle)
        row = np.rint((height - 1) / 2 + cosine * down + sine * right).clip(0, height - 1)
        column = np.rint((width - 1) / 2 + cosine * right - sine * down).clip(0, width - 1)
        places.append((row * width + column).ravel())
    return np.array(places, dtype=np.int64)


def light_says_little(data: LabelledArrays) -> bool:
    """Tell whether how light and how rich in contrast examples are hardly names their classes.

    Means and contrasts of the channels, and their squares, name the classes by least squares, on
    one half of a sample with as many of each class; the other half is asked.
    """
    classes, counts = np.unique(data.labels, return_counts=True)
    each = min(int(counts.min()), _MOST_LIT) // 2 * 2
    if each < _FEWEST_LIT or len(classes) < 2:
        return False
    random = np.random.default_rng(0)
    drawn = [random.permutation(np.flatnonzero(data.labels == name))[:each] for name in classes]
    examples, places = data.inputs[np.concatenate(drawn)], tuple(range(2, data.inputs.ndim))
    contrast = np.log(examples.std(axis=places) + _DARK)
    seen = np.concatenate([examples.mean(axis=places), contrast], axis=1).astype(np.float64)
    seen = (seen - seen.mean(axis=0)) / (seen.std(axis=0) + _DARK)
    seen = np.concatenate([seen, np.square(seen), np.ones((len(seen), 1))], axis=1)
    labels = np.repeat(np.arange(len(classes)), each)
    weights = np.linalg.lstsq(seen[::2], np.eye(len(classes))[labels[::2]], rcond=None)[0]
    named = float(np.mean(likeliest(seen[1::2] @ weights) == labels[1::2]))
    guessed = 1.0 / len(classes)
    return named - guessed <= _LIGHT_TELLS_RATIO * (1.0 - guessed)
