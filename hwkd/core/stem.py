"""The first convolution of a student: what all search spaces choose of it, and how it is built."""

from __future__ import annotations

from hwkd.core.layers_builder import OVERLAPPING, LayersBuilder, stem_stride
from hwkd.core.room import Room
from hwkd.core.space import Params, activation_of, choose_width
from hwkd.core.student import Chooser, StudentSpec

# What needs no kernel of its own comes first.
_ACTIVATIONS = ("relu", "relu6", "hard_swish")


def choose_activation(chooser: Chooser, room: Room) -> Params:
    """Choose `activation`, of the stem and of all that follows."""
    affordable = room.affordable(_ACTIVATIONS, lean=2)
    return {"activation": chooser.categorical("activation", affordable)}


def choose_stem(
    chooser: Chooser,
    room: Room,
    input_shape: tuple[int, ...],
    widths: tuple[int, int],
    *,
    step: int = 4,
) -> Params:
    """Choose `stem_channels` and `stem_stride`.

    Args:
        input_shape: (channels, height, width) or (channels, time).
        widths: (fewest, most) channels in the whole space.
    """
    return {
        **choose_width(chooser, room, "stem_channels", widths, step=step),
        "stem_stride": chooser.categorical(
            "stem_stride", room.stem_strides(stem_stride(input_shape))
        ),
    }


def choose_stem_window(chooser: Chooser, room: Room) -> Params:
    """Choose `stem_window` where a room has more than the window that overlaps; else nothing."""
    windows = room.stem_windows()
    if windows == (OVERLAPPING,):
        return {}
    return {"stem_window": chooser.categorical("stem_window", windows)}


def append_stem(builder: LayersBuilder, spec: StudentSpec, *, kernel: int = 3) -> str:
    """Append the stem that a spec describes; see `LayersBuilder.stem`."""
    p = spec.params
    return builder.stem(
        int(p["stem_channels"]),
        stride=int(p["stem_stride"]),
        window=str(p.get("stem_window", OVERLAPPING)),
        kernel=kernel,
        activation=activation_of(spec),
    )
