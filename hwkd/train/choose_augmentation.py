"""Which augmentation a training has: by its data, and by how often it will see them.

What was measured is beside each number, and in docs/methods.md ("How students are trained").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hwkd.core.boxes import CELL_PIXELS
from hwkd.train.augment import Augmentation
from hwkd.train.dataset import LabelledArrays
from hwkd.train.symmetry import Symmetry, symmetry_of

_PIXELS_PER_SHIFT = 14
# Large sets are passed over few times: on 54,000 Fashion-MNIST examples five epochs reach .924
# without shifts and .918 with shifts of one pixel.
_SHIFT_BELOW_EXAMPLES = 20_000
# Small networks have little to overfit with: on 4,000 Fashion-MNIST examples a shift of one pixel
# costs .010 after 10 passes and gains .011 after 40 (net: `benchmarks.accuracy.recipes`).
_SHIFT_FROM_PASSES, _PIXELS_PER_IMAGE_SHIFT = 20, 28
# A detector of nuts and bolts, 900 pictures, mirrored alone and flipped, turned, inverted and lit,
# too: an mAP@50 on validation of .817 and .766 after 30 passes, of .852 and .982 after 120 s of a
# core (127 and 103 passes).
_TURNED_FROM_PASSES = 60
# Of the bins and of the time of a spectrum, what is hidden at most: 8 of 40 bins, 10 of 49 frames.
# A network by hand, 12 passes, one seed, missed .91 of a wake word by voices of validation without,
# .31 with; of ten digits by voices never heard it named .947 and .980.
_MASKED_RATIO = 0.2
# How much smaller or larger voices are, and how differently (standard deviation of the normalised
# levels) they are heard.
_WARP, _SPEECH_TEMPO, _COLOUR = 0.1, 0.15, 0.3
# How differently people wear a sensor, and how much faster, slower or stronger they move.
_TURN_RAD, _TEMPO, _STRENGTH = 0.3, 0.2, 0.2
# Things before clutter, a network by hand, equal passes, accuracy on others: .326 to .373 after 100
# passes (two seeds), .333 to .416 after 200 (one); shapes .713 and .716 after 40 (two).
_LIGHT = 0.2
# Of a text, the share of words that a training does not see.
_DROPPED_RATIO = 0.3


def choose_augmentation(
    data: LabelledArrays,
    *,
    passes: float | None = None,
    symmetry: Callable[[], Symmetry] | None = None,
) -> Augmentation:
    """Choose from the train split: shifts for small sets, and what keeps the class.

    Spectra move in time alone, are never mirrored, and parts of them are hidden. What keeps the
    class of a picture or a signal is measured, see `hwkd.train.symmetry.symmetry_of`.

    Args:
        passes: how often it will be seen; a short training gains nothing from shifts. None is
            often enough.
        symmetry: what `symmetry_of` finds, asked where it matters; None is it.
    """
    spatial = data.inputs.shape[2:]
    is_small = len(data.labels) < _SHIFT_BELOW_EXAMPLES
    if passes is not None:
        is_small = passes >= _SHIFT_FROM_PASSES
    is_image = len(spatial) == 2
    per_shift = _PIXELS_PER_SHIFT if passes is None or not is_image else _PIXELS_PER_IMAGE_SHIFT
    if data.nature in ("scenes", "boxes"):
        return _of_things(data, passes, symmetry)
    if data.nature == "spectra":
        return _of_spectra(data.inputs.shape, is_small=is_small)
    if data.nature == "speech":
        # Of voices never heard, which no number of passes over a set of few makes known.
        spectra = _of_spectra(data.inputs.shape, is_small=True)
        return replace(spectra, masks=(), tempo=_SPEECH_TEMPO, warp=_WARP, colour=_COLOUR)
    if data.nature == "text":
        return Augmentation(dropped_ratio=_DROPPED_RATIO)
    if data.nature == "motion":
        # Of people never seen, which no number of passes over a set of few makes known.
        return Augmentation(
            shift=tuple(round(size / _PIXELS_PER_SHIFT) for size in spatial),
            turn=_TURN_RAD, tempo=_TEMPO, strength=_STRENGTH, signs=data.mirror_signs,
        )  # fmt: skip
    shift = tuple(round(size / per_shift) * is_small for size in spatial)
    found = symmetry_of(data) if symmetry is None else symmetry()
    return Augmentation(
        shift=shift,
        mirror=found.mirror,
        flip=found.flip and is_small,
        directions=found.directions,
        light=_LIGHT if found.light and is_small else 0.0,
        inverted=found.inverted,
    )


def asks_symmetry(data: LabelledArrays, passes: float) -> bool:
    """Tell whether a training of so many passes at most asks what keeps an example of its class."""
    return data.nature not in ("scenes", "boxes") or passes >= _TURNED_FROM_PASSES


def _of_things(
    data: LabelledArrays, passes: float | None, symmetry: Callable[[], Symmetry] | None
) -> Augmentation:
    """Return what may happen to pictures whose masks or boxes move with them.

    So a mirror image is another scene.
    """
    spatial = data.inputs.shape[2:]
    if data.nature == "boxes":
        # By whole cells, so that a teacher's kept answers move with their pictures.
        moves = Augmentation(shift=(CELL_PIXELS,) * len(spatial), mirror=True, cells=CELL_PIXELS)
    else:
        shift = tuple(round(size / _PIXELS_PER_SHIFT) for size in spatial)
        moves = Augmentation(shift=shift, mirror=True)
    if passes is not None and not asks_symmetry(data, passes):
        return moves
    found = symmetry_of(data) if symmetry is None else symmetry()
    return replace(
        moves, flip=found.flip, transposed=found.transposed, inverted=found.inverted,
        light=_LIGHT if found.light else 0.0,
    )  # fmt: skip


def _of_spectra(shape: tuple[int, ...], *, is_small: bool) -> Augmentation:
    """Return what may happen to spectra of shape [n, ..., bins, time].

    Parts are hidden in short trainings, too: what voices share is in no one part.
    """
    bins, time = shape[-2:]
    still = (0,) * (len(shape) - 3)
    return Augmentation(
        shift=(*still, round(time / _PIXELS_PER_SHIFT) * is_small),
        masks=(int(_MASKED_RATIO * bins), int(_MASKED_RATIO * time)),
    )
