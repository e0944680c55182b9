"""Students that go down to coarse maps and back up with what those saw: what their spaces share."""

from __future__ import annotations

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Activation


def either_conv(
    builder: LayersBuilder,
    source: str,
    name: str,
    channels: int,
    *,
    stride: int = 1,
    activation: Activation,
    is_dense: bool,
) -> str:
    """Add a convolution over 3x3 positions, dense or separable; returns its name."""
    if is_dense:
        return builder.conv(source, name, channels, kernel=3, stride=stride, activation=activation)
    apart = builder.depthwise(
        source, f"{name}_apart", kernel=3, stride=stride, activation=activation
    )
    return builder.conv(apart, name, channels, activation=activation)


def joined(
    builder: LayersBuilder,
    coarse: str,
    seen: str,
    level: int,
    channels: int,
    *,
    factor: tuple[int, int],
    activation: Activation,
    is_dense: bool,
) -> str:
    """Add a coarse map to what the level above it saw on the way down, and look at the sum.

    Args:
        level: number of the level of `seen`.
        channels: of `seen`, and of the sum.
        factor: by which `seen` is higher and wider than the coarse map.
    """
    narrow = builder.conv(coarse, f"narrow{level}", channels)
    fine = builder.upsample(narrow, f"up{level}", factor=factor)
    total = builder.add(fine, seen, f"sum{level}", activation=activation)
    return either_conv(
        builder, total, f"join{level}", channels, activation=activation, is_dense=is_dense
    )


def larger(input_shape: tuple[int, ...], factor: int) -> tuple[int, int]:
    """Return how much larger (height, width) become; a signal has no height."""
    return (1 if len(input_shape) == 2 else factor, factor)
