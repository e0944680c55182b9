"""Shapes that layers give, without batch: of windows that slide, of tensors side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

# Of height and width, or of each.
Sides: TypeAlias = int | tuple[int, int]


class Window(NamedTuple):
    """A window that fits a map.

    Attributes:
        pads: zeros above, left, below and right.
        sizes: height and width behind it.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    sizes: tuple[int, int]
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)


def conv_window(
    name: str,
    height: int,
    width: int,
    kernel: Sides,
    stride: Sides,
    dilation: Sides,
    padded: bool | tuple[bool, bool],
) -> Window:
    """Return a convolution's window, with zeros on each side that keep the centre, or without any.

    It shrinks on axes that are too short for it: its outermost taps would only ever read padding,
    and would still cost weights.

    Raises:
        ValueError: naming the layer, if a window with zeros around it has no centre.
    """
    kernel_h, kernel_w = (kernel, kernel) if isinstance(kernel, int) else kernel
    stride_h, stride_w = (stride, stride) if isinstance(stride, int) else stride
    apart_h, apart_w = (dilation, dilation) if isinstance(dilation, int) else dilation
    padded_h, padded_w = (padded, padded) if isinstance(padded, bool) else padded
    if (padded_h and kernel_h % 2 == 0) or (padded_w and kernel_w % 2 == 0):
        raise ValueError(f"{name}: a window of {kernel} has no centre; choose an odd one")
    # Written out, not min(): this runs tens of thousands of times a second in a screening.
    widest_h = (height - 1) // apart_h * 2 + 1 if padded_h else (height - 1) // apart_h + 1
    widest_w = (width - 1) // apart_w * 2 + 1 if padded_w else (width - 1) // apart_w + 1
    kernel_h = kernel_h if kernel_h < widest_h else widest_h
    kernel_w = kernel_w if kernel_w < widest_w else widest_w
    stride_h = stride_h if stride_h < height else height
    stride_w = stride_w if stride_w < width else width
    apart_h, apart_w = apart_h if kernel_h > 1 else 1, apart_w if kernel_w > 1 else 1
    pad_h = kernel_h // 2 * apart_h if padded_h else 0
    pad_w = kernel_w // 2 * apart_w if padded_w else 0
    sizes = (
        (height + 2 * pad_h - (kernel_h - 1) * apart_h - 1) // stride_h + 1,
        (width + 2 * pad_w - (kernel_w - 1) * apart_w - 1) // stride_w + 1,
    )
    pads = (pad_h, pad_w, pad_h, pad_w)
    return Window((kernel_h, kernel_w), (stride_h, stride_w), sizes, pads, (apart_h, apart_w))


def pool_window(height: int, width: int, kernel: Sides, stride: Sides) -> Window:
    """Return a pooling's window, without zeros around the map."""
    kernel_h, kernel_w = (kernel, kernel) if isinstance(kernel, int) else kernel
    stride_h, stride_w = (stride, stride) if isinstance(stride, int) else stride
    windows = (min(kernel_h, height), min(kernel_w, width))
    strides = (min(stride_h, height), min(stride_w, width))
    sizes = ((height - windows[0]) // strides[0] + 1, (width - windows[1]) // strides[1] + 1)
    return Window(windows, strides, sizes)


def transposed_window(name: str, height: int, width: int, kernel: int, stride: int) -> Window:
    """Return a transposed convolution's window, which makes the map `stride` times as large.

    It is as wide as the stride or an even number wider, of which half is cut off on each side.

    Raises:
        ValueError: naming the layer, if it is not.
    """
    over = kernel - stride
    if over < 0 or over % 2:
        raise ValueError(f"{name}: a window of {kernel} at a stride of {stride}")
    cut = over // 2
    sizes = (height * stride, width * stride)
    return Window((kernel, kernel), (stride, stride), sizes, (cut, cut, cut, cut))


def joined_shape(shapes: Sequence[tuple[int, ...]], axis: int) -> tuple[int, ...] | None:
    """Return the shape of tensors side by side along an axis; None if they do not fit."""
    sizes = [shape[axis : axis + 1] for shape in shapes]
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(shapes) < 2 or len(others) != 1 or len({len(shape) for shape in shapes}) != 1:
        return None
    return (*shapes[0][:axis], sum(sum(size) for size in sizes), *shapes[0][axis + 1 :])


def broadcast_shape(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of two tensors element by element; None if they do not fit."""
    if a == b:
        return a
    if len(a) != len(b) or any(m != n and 1 not in (m, n) for m, n in zip(a, b, strict=True)):
        return None
    return tuple(map(max, a, b))
