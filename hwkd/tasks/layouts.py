"""Which axis is which: reads the order of an array's axes from its shape."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from hwkd.core.choices import Layout
from hwkd.core.errors import ConfigError, DataError
from hwkd.tasks.raw import RawArray

_AXES: Mapping[Layout, int] = MappingProxyType(
    {"nf": 2, "nhw": 3, "nct": 3, "ntc": 3, "nhwc": 4, "nchw": 4}
)
_MEANING = MappingProxyType(
    {
        "nf": "vectors (n, features)",
        "nhw": "grey images (n, height, width)",
        "nhwc": "images (n, height, width, channels)",
        "nchw": "images (n, channels, height, width)",
        "nct": "signals (n, channels, time)",
        "ntc": "signals (n, time, channels)",
    }
)
# Pictures are rarely longer than this times their width; signals are much longer than they have
# channels. 9 x 128 (inertial windows) is a signal, 40 x 98 (a spectrogram) is a picture.
_LONGEST_PICTURE_RATIO = 8
_MOST_COLOURS = 4


def sniff_layout(shape: tuple[int, ...], *, where: str) -> Layout:
    """Guess the order of the axes of inputs with `shape` (batch first).

    Raises:
        DataError: if the shape fits several orders or none.
    """
    if len(shape) == 2:
        return "nf"
    if len(shape) == 3:
        _, first, second = shape
        if second > _LONGEST_PICTURE_RATIO * first:
            return "nct"
        return "ntc" if first > _LONGEST_PICTURE_RATIO * second else "nhw"
    if len(shape) != 4:
        raise DataError(
            f"{where}: inputs have shape {shape}; expected (n, features), (n, height, width), "
            "(n, height, width, channels), (n, channels, height, width) or (n, channels, time)"
        )
    first_is_few, last_is_few = shape[1] <= _MOST_COLOURS, shape[3] <= _MOST_COLOURS
    if first_is_few == last_is_few:
        # More channels than colours: feature maps have two equal spatial axes.
        first_is_few, last_is_few = shape[2] == shape[3], shape[1] == shape[2]
    if first_is_few == last_is_few:
        raise DataError(
            f"{where}: cannot tell the channels of inputs with shape {shape}; "
            "say the order with --layout nhwc or --layout nchw"
        )
    return "nchw" if first_is_few else "nhwc"


def order_of_axes(shape: tuple[int, ...], layout: Layout, *, where: str) -> tuple[Layout, str]:
    """Return the order of the axes and a note that tells a guess from what was asked for.

    Args:
        shape: of inputs, batch first.
        layout: what the user asked for; "auto" guesses from the shape.
        where: opens the error message.

    Raises:
        ConfigError: if `layout` has another number of axes.
        DataError: if `layout` is "auto" and the shape is ambiguous.
    """
    if layout != "auto":
        if len(shape) != _AXES[layout]:
            raise ConfigError(
                f"--layout {layout}: needs {_AXES[layout]} axes, {where} has shape {shape}"
            )
        return layout, f"axes taken as {_MEANING[layout]}, as asked"
    guess = sniff_layout(shape, where=where)
    others = " or ".join(name for name in _AXES if _AXES[name] == len(shape) and name != guess)
    taken = f"axes of shape {shape} taken as {_MEANING[guess]}"
    if not others:
        return guess, taken
    return guess, f"{taken}: a guess from the shape; --layout {others} reads them otherwise"


def channels_first(inputs: RawArray, layout: Layout, *, where: str) -> RawArray:
    """Reorder to (n, channels, height, width) or (n, channels, time).

    A vector is a signal of one moment: every feature is a channel, with a mean and deviation of
    its own.

    Args:
        layout: not "auto".
        where: opens the error message.

    Raises:
        DataError: if `inputs` has another number of axes.
    """
    if inputs.ndim != _AXES[layout]:
        raise DataError(
            f"{where} has shape {inputs.shape}, expected {_AXES[layout]} axes as the train inputs "
            f"have: {_MEANING[layout]}"
        )
    if layout == "nf":
        return inputs[:, :, np.newaxis]
    if layout == "nhw":
        return inputs[:, np.newaxis]
    if layout == "nhwc":
        return np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    if layout == "ntc":
        return np.ascontiguousarray(inputs.transpose(0, 2, 1))
    return inputs


def reordered(inputs: RawArray, shape: tuple[int, ...]) -> RawArray:
    """Return inputs with the axes in the order that a network was trained with.

    Args:
        inputs: batch first, in any order that data may have.

    Raises:
        DataError: if no order of the axes gives that shape.
    """
    fitting = _fitting(inputs, shape)
    if not fitting and _fitting(inputs[np.newaxis], shape):
        raise DataError(
            f"inputs have the shape {inputs.shape} of one example; a batch axis is missing in "
            f"front: give inputs[numpy.newaxis], of shape {(1, *inputs.shape)}"
        )
    if not fitting:
        raise DataError(
            f"inputs have shape {inputs.shape}; expected examples like those of the training, of "
            f"shape {shape} with the channels first"
        )
    if len(fitting) > 1:  # all axes are equal: as it would be read for training
        guess = sniff_layout(inputs.shape, where="inputs")
        fitting.sort(key=lambda order: order != guess)
    return channels_first(inputs, fitting[0], where="inputs")


def _fitting(inputs: RawArray, shape: tuple[int, ...]) -> list[Layout]:
    """Return the orders of axes in which examples have a shape."""
    orders = [name for name in _AXES if _AXES[name] == inputs.ndim]
    return [o for o in orders if channels_first(inputs[:1], o, where="").shape[1:] == shape]
