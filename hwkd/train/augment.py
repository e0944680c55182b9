"""Augmented copies of a data set that teacher and student can both see: a seed names each.

Teacher logits of copy k belong to exactly the pixels that the student sees in copy k, so long
training with augmentation still never runs the teacher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from hwkd.train.seeding import derive_seed
from hwkd.train.symmetry import places_of_turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What may happen to an input; the amounts are drawn per example and copy.

    Attributes:
        shift: largest displacement per spatial axis, in pixels or time steps, >= 0; the border
            value fills what moves in.
        mirror: flip half of the examples left to right (images only).
        flip: flip half of the examples upside down (images only).
        transposed: let rows and columns of half of the examples change places (square images only).
        directions: that images are turned to, one as likely as another, evenly around: 2 turns half
            of them upside down, 1 none; more than 2 need a square.
        noise: standard deviation of normal noise on every value, in units of the normalised
            inputs, >= 0.
        light: standard deviation of what is added to all values of an example, in units of the
            normalised inputs, and of the logarithm of what they are then multiplied by.
        masks: most neighbouring bins, and most time steps, of a spectrum that become 0, the mean;
            of the last two axes; none hides nothing (SpecAugment, arXiv:1904.08779).
        turn: standard deviation, in radians, of each component of the rotation by which each
            three channels are turned, as a sensor sits otherwise on another body.
        tempo: natural logarithm of how much faster or slower motion or speech is at most.
        strength: standard deviation of the logarithm of what each three channels are multiplied by.
        warp: natural logarithm of how much higher or lower a voice's spectrum lies at most.
        colour: standard deviation of each part of a smooth curve over the bins that is added to all
            moments, in units of the normalised inputs.
        signs: of each channel in the mirror image that half of the motions become; none is none.
        dropped_ratio: share of the places along the last axis that become 0 in all channels, as
            the words of a text.
        inverted: give half of the examples the opposite sign.
        cells: shifts are whole multiples of it, in pixels; 0 allows any.
    """

    shift: tuple[int, ...] = ()
    mirror: bool = False
    flip: bool = False
    transposed: bool = False
    directions: int = 1
    noise: float = 0.0
    light: float = 0.0
    masks: tuple[int, ...] = ()
    turn: float = 0.0
    dropped_ratio: float = 0.0
    inverted: bool = False
    cells: int = 0
    tempo: float = 0.0
    strength: float = 0.0
    signs: tuple[float, ...] = ()
    warp: float = 0.0
    colour: float = 0.0

    @property
    def is_of_voices(self) -> bool:
        """Whether voices change, which `hwkd.train.voices` does."""
        return max(self.warp, self.colour) > 0.0

    @property
    def is_of_motion(self) -> bool:
        """Whether motion changes, which `hwkd.train.motion` does."""
        changes = max(self.turn, self.tempo, self.strength) > 0.0 or bool(self.signs)
        return changes and not self.is_of_voices

    @property
    def moves_pixels(self) -> bool:
        """Whether what an example shows may be at other places."""
        turns = self.mirror or self.flip or self.transposed or self.directions > 1
        return turns or any(self.shift)

    @property
    def changes_inputs(self) -> bool:
        """Whether anything may happen."""
        return (
            self.moves_pixels
            or self.inverted
            or any(self.masks)
            or self.is_of_motion
            or self.is_of_voices
            or max(self.noise, self.light, self.dropped_ratio) > 0.0
        )

    def describe(self) -> str:
        """Return it in words."""
        parts = ["shift up to " + " x ".join(map(str, self.shift))] if any(self.shift) else []
        parts += ["mirror"] if self.mirror else []
        parts += ["flips upside down"] if self.flip else []
        parts += ["rows for columns"] if self.transposed else []
        if self.directions > 1:
            parts.append(f"turns to {self.directions} directions")
        parts += ["either sign"] if self.inverted else []
        parts += [f"noise of {self.noise:g}"] if self.noise else []
        parts += [f"level and contrast by {self.light:.0%}"] if self.light else []
        if any(self.masks):
            parts.append("masks of up to {} bins and {} time steps".format(*self.masks))
        parts += [f"turns of {self.turn:g} rad"] if self.turn else []
        parts += [f"tempo up to {self.tempo:.0%}"] if self.tempo else []
        parts += [f"strength by {self.strength:.0%}"] if self.strength else []
        parts += ["mirror images of bodies"] if self.signs else []
        parts += [f"voices higher or lower by up to {self.warp:.0%}"] if self.warp else []
        parts += [f"colour by {self.colour:g}"] if self.colour else []
        parts += [f"{self.dropped_ratio:.0%} of the places dropped"] if self.dropped_ratio else []
        return " and ".join(parts) or "none"


NO_AUGMENTATION = Augmentation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """What is drawn for n examples that are varied as a whole (`hwkd.train.variation`).

    Attributes:
        even: from 0 to 1, shape [n, amounts].
        normal: of deviation 1, shape [n, amounts].
    """

    even: NDArray[np.floating]
    normal: NDArray[np.floating]


def augment(
    inputs: NDArray[np.float32], copy_seed: int | None, augmentation: Augmentation
) -> NDArray[np.float32]:
    """Return one copy of the inputs; the same seed gives the same copy on every machine.

    Args:
        inputs: shape [n, channels, height, width] or [n, channels, time].
        copy_seed: names the copy; None returns the inputs themselves.
    """
    if copy_seed is None or not augmentation.changes_inputs:
        return inputs
    generator = np.random.default_rng(derive_seed(copy_seed, "augment"))
    if augmentation.is_of_motion or augmentation.is_of_voices:
        copy = _varied(inputs, augmentation, generator)
    else:
        copy = _shifted(inputs, augmentation.shift, generator)
    for is_wanted, axis in ((augmentation.mirror, -1), (augmentation.flip, -2)):
        if is_wanted:
            chosen = generator.random(len(inputs)) < 0.5
            copy = inputs.copy() if copy is inputs else copy
            copy[chosen] = np.flip(copy[chosen], axis)
    if augmentation.transposed:
        chosen = generator.random(len(inputs)) < 0.5
        copy = np.where(chosen[:, None, None, None], copy.swapaxes(-1, -2), copy)
    if augmentation.directions > 1:
        turns = generator.integers(0, augmentation.directions, size=len(inputs))
        places = places_of_turns(*copy.shape[2:], directions=augmentation.directions)[turns]
        flat = copy.reshape(*copy.shape[:2], -1)
        copy = np.take_along_axis(flat, places[:, np.newaxis], axis=2).reshape(copy.shape)
    if augmentation.inverted:
        copy = copy * either_sign(generator.random(len(copy)), copy.ndim)
    if augmentation.noise:
        drawn = generator.standard_normal(copy.shape, dtype=np.float32)
        copy = copy + np.float32(augmentation.noise) * drawn
    if augmentation.light:
        drawn = generator.standard_normal((2, len(copy)), dtype=np.float32)
        added, factor = relighting(drawn, augmentation.light, copy.ndim)
        copy = (copy + added) * factor
    for axis, most in zip((-2, -1), augmentation.masks, strict=False):
        draws = (generator.random(len(inputs)), generator.random(len(inputs)))
        kept = kept_by_mask(*draws, size=copy.shape[axis], most=most)
        copy = copy * beside(kept, axis, copy.ndim)
    if augmentation.dropped_ratio:
        drawn = generator.random((len(copy), copy.shape[-1]), dtype=np.float32)
        copy = copy * beside(
            (drawn >= augmentation.dropped_ratio).astype(np.float32), -1, copy.ndim
        )
    return copy


def _varied(
    inputs: NDArray[np.float32], augmentation: Augmentation, generator: np.random.Generator
) -> NDArray[np.float32]:
    import torch

    from hwkd.train.variation import variation_of

    variation = variation_of(augmentation, inputs.shape[1])
    assert variation is not None  # who calls has asked
    draws = Draws(
        even=generator.random((len(inputs), variation.even_draws)),
        normal=generator.standard_normal((len(inputs), variation.normal_draws)),
    )
    batch = torch.from_numpy(np.ascontiguousarray(inputs))
    varied: NDArray[np.float32] = variation.vary(batch, augmentation, draws).numpy()
    return varied


def kept_by_mask(
    widths: NDArray[np.floating[Any]],
    places: NDArray[np.floating[Any]],
    *,
    size: int,
    most: int,
) -> NDArray[np.float32]:
    """Return 0 where a mask lies and 1 elsewhere, shape [n, size].

    Args:
        widths: drawn evenly from 0 to 1, shape [n]: from no position to `most`.
        places: likewise: from the first position to the last at which the mask fits.
    """
    wide = np.floor(widths * (most + 1))
    start = np.floor(places * (size - wide + 1))[:, np.newaxis]
    at = np.arange(size)
    hidden = (at >= start) & (at < start + wide[:, np.newaxis])
    kept: NDArray[np.float32] = (~hidden).astype(np.float32)
    return kept


def either_sign(drawn: NDArray[np.floating[Any]], ndim: int) -> NDArray[np.float32]:
    """Return what n signals are multiplied by, 1 or -1.

    Args:
        drawn: evenly from 0 to 1, shape [n].
    """
    return np.where(drawn < 0.5, np.float32(-1), np.float32(1)).reshape(-1, *[1] * (ndim - 1))


def relighting(
    drawn: NDArray[np.float32], light: float, ndim: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what is added to each of n pictures, and what they are then multiplied by.

    Args:
        drawn: from the normal distribution, shape [2, n].
    """
    added, factor = (each.reshape(-1, *[1] * (ndim - 1)) for each in drawn)
    return np.float32(light) * added, np.exp(np.float32(light) * factor)


def turned(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the matrices, shape [n, 3, 3], of rotations about vectors by their length in radians.

    Source:
        Rodrigues' formula.
    """
    wide = vectors.astype(np.float64)
    angle = np.maximum(np.linalg.norm(wide, axis=1), 1e-9)[:, np.newaxis, np.newaxis]
    x, y, z = wide.T
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    ahead = np.sin(angle) / angle * cross
    aside = (1 - np.cos(angle)) / np.square(angle) * (cross @ cross)
    matrices: NDArray[np.float32] = (np.eye(3) + ahead + aside).astype(np.float32)
    return matrices


def beside(kept: NDArray[np.float32], axis: int, ndim: int) -> NDArray[np.float32]:
    """Return a mask of shape [n, size] so that it broadcasts along one axis of n examples."""
    shape = [len(kept), *[1] * (ndim - 1)]
    shape[axis] = kept.shape[1]
    return kept.reshape(shape)


def _shifted(
    inputs: NDArray[np.float32], shift: tuple[int, ...], generator: np.random.Generator
) -> NDArray[np.float32]:
    if not any(shift):
        return inputs
    spatial = inputs.shape[2:]
    if len(shift) != len(spatial):
        raise ValueError(f"shift {shift} does not fit inputs with spatial axes {spatial}")
    padded = np.pad(inputs, ((0, 0), (0, 0), *((size, size) for size in shift)), mode="edge")
    windows = sliding_window_view(padded, spatial, axis=tuple(range(2, inputs.ndim)))
    starts = [generator.integers(0, 2 * size + 1, size=len(inputs)) for size in shift]
    where: tuple[Any, ...] = (np.arange(len(inputs)), slice(None), *starts)
    picked: NDArray[np.float32] = windows[where]
    return picked
