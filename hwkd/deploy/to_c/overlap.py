"""How far below its input an output may begin, so that no value is lost that is still to be read.

The kernels of windows go through the output pixel by pixel and read nothing of the input above
what the current pixel and later ones need: the output may follow them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

# Output pixels that a kernel computes at once at most.
_PIXELS_AT_ONCE = 4


def lag_bytes(geometry: Mapping[str, int]) -> int:
    """Return the least distance from the first byte of the output to that of the input.

    Args:
        geometry: sizes, strides and padding of a window over an image, named as in `hwkd_conv`.
    """
    corners = []
    for axis, pad in (("height", "pad_top"), ("width", "pad_left")):
        first = np.arange(geometry[f"out_{axis}"]) * geometry[f"stride_{axis}"] - geometry[pad]
        corners.append(np.clip(first, 0, geometry[f"in_{axis}"]))
    pixels = (corners[0][:, None] * geometry["in_width"] + corners[1]).reshape(-1)
    # What this pixel or a later one reads first; with padding later ones may start further back.
    needed = np.minimum.accumulate(pixels[::-1])[::-1] * geometry["in_channels"]
    written = np.minimum(np.arange(pixels.size) + _PIXELS_AT_ONCE, pixels.size)
    return max(int((written * geometry["out_channels"] - needed).max()), 0)
