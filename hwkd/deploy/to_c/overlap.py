"""How far below its input an output may begin, so that no value is lost that is still to be read.

The kernels of windows go through the output pixel by pixel and read nothing of the input above
what the current pixel and later ones need: the output may follow them. The depthwise kernel takes
what it reads into a line buffer, four channels after the other: its output lies exactly over its
input, pixel over pixel, or apart.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hwkd.core.line_buffer import LineBuffer, line_buffer

_BY_AXIS = ("in", "out", "kernel", "stride", "dilation")


def lag_bytes(geometry: Mapping[str, int], unread_pixels: int) -> int:
    """Return the least distance from the first byte of the output to that of the input.

    Args:
        geometry: sizes, strides and padding of a window over an image, named as in `hwkd_conv`.
        unread_pixels: output pixels that the kernel writes while it reads their windows; 0 where
            it gathers them first.
    """
    corners = []
    for axis, pad in (("height", "pad_top"), ("width", "pad_left")):
        first = np.arange(geometry[f"out_{axis}"]) * geometry[f"stride_{axis}"] - geometry[pad]
        corners.append(np.clip(first, 0, geometry[f"in_{axis}"]))
    pixels = (corners[0][:, None] * geometry["in_width"] + corners[1]).reshape(-1)
    # What this pixel or a later one reads first; with padding later ones may start further back.
    needed = np.minimum.accumulate(pixels[::-1])[::-1] * geometry["in_channels"]
    written = np.minimum(np.arange(pixels.size) + unread_pixels, pixels.size)
    return max(int((written * geometry["out_channels"] - needed).max()), 0)


def lines_of(geometry: Mapping[str, int]) -> tuple[LineBuffer, dict[str, int]]:
    """Return the lines of a depthwise convolution, and its geometry turned as they ask for."""
    sizes = {name: (geometry[f"{name}_height"], geometry[f"{name}_width"]) for name in _BY_AXIS}
    lines = line_buffer(sizes)
    turned = dict(geometry)
    if lines.is_turned:
        turned |= {"pad_top": geometry["pad_left"], "pad_left": geometry["pad_top"]}
        for name in _BY_AXIS:
            turned |= {f"{name}_height": sizes[name][1], f"{name}_width": sizes[name][0]}
    return lines, turned


def runs_in_place(geometry: Mapping[str, int], lines: LineBuffer) -> bool:
    """Say whether every row of outputs is written after the inputs in its place were read."""
    rows = np.arange(geometry["out_height"])
    read = rows * geometry["stride_height"] - geometry["pad_top"] + lines.span
    read = np.clip(read, 0, geometry["in_height"]) * geometry["in_width"]
    written = (rows + 1) * geometry["out_width"]
    return bool((np.minimum(written, geometry["in_height"] * geometry["in_width"]) <= read).all())
