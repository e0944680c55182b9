"""Padding that a runtime cannot express becomes a Pad operator of its own."""

from __future__ import annotations

from hwkd.core.graph import Op, Tensor


def is_same_padding(op: Op, shape: tuple[int, ...]) -> bool:
    """Tell whether a window's padding is what TensorFlow calls SAME for an input of this shape.

    Args:
        shape: of its input, (1, channels, height, width).

    Source:
        tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
    """
    top, left, bottom, right = op.pads
    for axis, (before, after) in enumerate(((top, bottom), (left, right))):
        size, stride = shape[2 + axis], op.stride[axis]
        reach = (op.kernel[axis] - 1) * op.dilation[axis] + 1
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        if before != total // 2 or after != total - total // 2:
            return False
    return True


def pad_before(op: Op, source: str, shape: tuple[int, ...]) -> tuple[Op, Tensor]:
    """Return the Pad operator that does a window's padding, and the tensor it writes.

    Args:
        shape: of that tensor, (1, channels, height, width).
    """
    top, left, bottom, right = op.pads
    name = f"{op.name}_pad"
    padded = (*shape[:2], shape[2] + top + bottom, shape[3] + left + right)
    pad = Op(name=name, kind="Pad", inputs=(source,), outputs=(name,), pads=op.pads)
    return pad, Tensor(name=name, shape=padded)
