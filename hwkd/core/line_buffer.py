"""The lines that the depthwise kernel of hwkd's own C holds, four channels of a row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Channels that the kernel takes at once.
DEPTHWISE_BLOCK = 4
# Lines that it reads ahead at most: more where windows lie in a column, which it then runs as one.
_AHEAD_BYTES, _AHEAD_IN_COLUMN_BYTES = 32, 128


@dataclass(frozen=True, slots=True, kw_only=True)
class LineBuffer:
    """Lines with their padding.

    Attributes:
        is_turned: rows and columns change places: a signal is a column of lines of one pixel.
        span: lines under a window.
        ahead: rows of windows that it holds beyond the first.
        size_bytes: of the buffer.
    """

    is_turned: bool
    span: int
    ahead: int
    size_bytes: int


def line_buffer(sizes: Mapping[str, tuple[int, int]]) -> LineBuffer:
    """Return the lines of a depthwise convolution.

    Args:
        sizes: (height, width) of "in", "out", "kernel", "stride" and "dilation".
    """
    is_turned = sizes["in"][0] == sizes["out"][0] == sizes["kernel"][0] == 1
    rows, columns = (1, 0) if is_turned else (0, 1)

    def under(axis: int) -> int:
        return (sizes["kernel"][axis] - 1) * sizes["dilation"][axis] + 1

    span, out_rows, out_columns = under(rows), sizes["out"][rows], sizes["out"][columns]
    stride = sizes["stride"][rows]
    line_bytes = DEPTHWISE_BLOCK * ((out_columns - 1) * sizes["stride"][columns] + under(columns))
    room = _AHEAD_IN_COLUMN_BYTES if out_columns == 1 else _AHEAD_BYTES
    ahead = min(room // (stride * line_bytes), out_rows - 1)
    size_bytes = (span + ahead * stride) * line_bytes
    return LineBuffer(is_turned=is_turned, span=span, ahead=ahead, size_bytes=size_bytes)
