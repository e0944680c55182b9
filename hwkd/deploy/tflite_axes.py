"""Order of axes and SAME padding of TensorFlow Lite, whose feature maps lie channels last."""

from __future__ import annotations

from collections.abc import Sequence

CHANNELS_LAST = (0, 2, 3, 1)
CHANNELS_FIRST = (0, 3, 1, 2)


def stored_order(rank: int) -> tuple[int, ...]:
    """Return the ONNX axes in the order in which they are stored."""
    return CHANNELS_LAST if rank == 4 else tuple(range(rank))


def stored_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape of ONNX in the order in which it is stored."""
    return tuple(shape[axis] for axis in stored_order(len(shape)))


def same_pads(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return what TensorFlow's SAME adds before and after one axis."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2
