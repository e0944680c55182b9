"""Motion as others might have made it: a sensor worn otherwise, a movement slower or stronger.

Features of motion, lengths and crossings among them, do not turn as the motion does, so copies are
made of the samples, before the features.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from hwkd.core.nature import AXES
from hwkd.core.tempo import played_places
from hwkd.tasks.raw import RawSplit

# How differently people wear a sensor, and how much faster, slower or stronger they move.
_TURN_RAD, _TEMPO, _STRENGTH = 0.15, 0.1, 0.1
# Copies beside each window; of a large set fewer, which has enough people of its own.
_COPIES, _MOST_EXAMPLES = 3, 10_000
_CHUNK_EXAMPLES = 256
# Of what nearest neighbours know of windows, what they must know of their mirror images.
_MIRROR_KEEPS_RATIO = 0.9
_PROBE_EXAMPLES, _MOST_SENSORS = 1_200, 3


def with_copies(train: RawSplit, *, seed: int) -> tuple[RawSplit, str]:
    """Return windows of sensors of three axes and varied copies behind them, and a note.

    Args:
        train: int16, shape [n, 3 x sensors, samples], with the recording of each.
    """
    count, copies = len(train.labels), _copies(train)
    if not copies:
        return train, ""
    signs = mirror_that_keeps_class(train)
    varied = _varied_copies(train, signs, copies, np.random.default_rng(seed))
    whole = RawSplit(
        inputs=np.concatenate([train.inputs, varied.inputs]),
        labels=np.concatenate([train.labels, varied.labels]),
        wholes=np.tile(train.wholes, 1 + copies) if train.wholes is not None else None,
    )
    mirrored = "" if signs is None else "half of them as of the other side of the body, "
    note = (
        f"train has {copies} copies of each of its {count:,} windows, {mirrored}turned "
        f"({_TURN_RAD:g} rad), faster or slower (up to {_TEMPO:.0%}) and stronger or weaker "
        f"({_STRENGTH:.0%}), seed {seed}"
    )
    return whole, note


def copies_like(train: RawSplit, other: RawSplit, *, seed: int) -> RawSplit | None:
    """Return copies of another split, varied as those that train has; None where it has none.

    Args:
        train: as `with_copies` takes it.
        other: of the same shape.
    """
    copies = _copies(train)
    if not copies:
        return None
    signs = mirror_that_keeps_class(train)
    return _varied_copies(other, signs, copies, np.random.default_rng([seed, 1]))


def _copies(train: RawSplit) -> int:
    most = _MOST_EXAMPLES // max(1, len(train.labels)) - 1
    return 0 if train.wholes is None else max(0, min(_COPIES, most))


def _varied_copies(
    split: RawSplit,
    signs: NDArray[np.float64] | None,
    copies: int,
    random: np.random.Generator,
) -> RawSplit:
    return RawSplit(
        inputs=np.concatenate([_varied(split.inputs, signs, random) for _ in range(copies)]),
        labels=np.tile(split.labels, copies),
    )


def mirror_that_keeps_class(train: RawSplit) -> NDArray[np.float64] | None:
    """Return the sign of each channel in a mirror image of a body; None if none keeps classes.

    In a mirror the acceleration across it is turned round, and of a rotation the two other axes.
    Which axis lies across a body and which sensor has rotations is measured: nearest neighbours of
    other recordings, by means and products of channels, are asked about mirror images.
    """
    sensors = train.inputs.shape[1] // AXES
    if train.wholes is None or sensors > _MOST_SENSORS:
        return None
    drawn = np.random.default_rng(0).permutation(len(train.labels))[:_PROBE_EXAMPLES]
    inputs, labels, wholes = train.inputs[drawn], train.labels[drawn], train.wholes[drawn]
    centred = inputs - inputs.mean(axis=2, keepdims=True)
    scale = np.sqrt(np.square(inputs.astype(np.float64)).mean(axis=(0, 2))) + 1e-9
    mean = inputs.mean(axis=2) / scale
    together = centred @ centred.transpose(0, 2, 1) / inputs.shape[2] / np.outer(scale, scale)
    same = wholes[:, np.newaxis] == wholes

    def seen(signs: NDArray[np.float64]) -> NDArray[np.float64]:
        products = (together * np.outer(signs, signs)).reshape(len(labels), -1)
        return np.concatenate([signs * mean, products], axis=1)

    plain = seen(np.ones(len(scale)))
    lengths = np.square(plain).sum(axis=1)

    def hits(signs: NDArray[np.float64]) -> tuple[float, float]:
        """Return the share of right names, and how near what names them is."""
        distances = np.where(same, np.inf, lengths - 2 * seen(signs) @ plain.T)
        named = labels[distances.argmin(axis=1)]
        return float((named == labels).mean()), -float(distances.min(axis=1).mean())

    known = hits(np.ones(len(scale)))[0]
    found = max(_mirrors(sensors), key=hits)
    return found if hits(found)[0] >= _MIRROR_KEEPS_RATIO * known > 0 else None


def _mirrors(sensors: int) -> list[NDArray[np.float64]]:
    """Return what mirrors across each axis do to vectors and to rotations."""
    across = [np.where(np.arange(AXES) == axis, -1.0, 1.0) for axis in range(AXES)]
    return [
        np.concatenate([sign * turns for turns in kinds])
        for sign in across
        for kinds in itertools.product((1.0, -1.0), repeat=sensors)
    ]


def _varied(
    inputs: NDArray[np.int16], signs: NDArray[np.float64] | None, random: np.random.Generator
) -> NDArray[np.int16]:
    """Return one varied copy of every window."""
    return np.concatenate(
        [
            _of_chunk(inputs[start : start + _CHUNK_EXAMPLES], signs, random)
            for start in range(0, len(inputs), _CHUNK_EXAMPLES)
        ]
    )


def _of_chunk(
    inputs: NDArray[np.int16], signs: NDArray[np.float64] | None, random: np.random.Generator
) -> NDArray[np.int16]:
    # SciPy's rotations take a tenth of a second to import.
    from scipy.spatial.transform import Rotation

    count, channels, time = inputs.shape
    tempo = np.exp(random.uniform(-_TEMPO, _TEMPO, (count, 1)))
    played = _at_tempo(inputs, tempo)
    if signs is not None:
        is_mirrored = random.random((count, 1, 1)) < 0.5
        played *= np.where(is_mirrored, signs[:, np.newaxis], 1.0)
    turns = Rotation.from_rotvec(_TURN_RAD * random.standard_normal((count, AXES))).as_matrix()
    strength = np.exp(_STRENGTH * random.standard_normal((count, channels // AXES, 1, 1)))
    turned = turns[:, np.newaxis] @ played.reshape(count, -1, AXES, time)
    ends = np.iinfo(np.int16)
    varied = np.clip(np.rint(strength * turned), ends.min, ends.max)
    copy: NDArray[np.int16] = varied.astype(np.int16).reshape(inputs.shape)
    return copy


def _at_tempo(inputs: NDArray[np.int16], tempo: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return windows played at another tempo; see `played_places`."""
    before, after, part = played_places(inputs.shape[2], tempo)
    share = part[:, np.newaxis]

    def at(indices: NDArray[np.int64]) -> NDArray[np.int16]:
        return np.take_along_axis(inputs, indices[:, np.newaxis], axis=2)

    found: NDArray[np.float64] = at(before) * (1 - share) + at(after) * share
    return found
