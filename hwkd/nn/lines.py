"""Maps drawn larger by straight lines, to the last bit as ONNX Runtime draws them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hwkd.core.lines import LineAxis, line_taps


def drawn_larger(maps: Tensor, factors: tuple[int, int], mode: str) -> Tensor:
    """Return maps of so many times the height and width; see `hwkd.core.lines`.

    Args:
        maps: shape [batch, channels, height, width].
    """
    (top, bottom, above, below), (left, right, before, behind) = (
        (torch.from_numpy(part).to(maps.device) for part in line_taps(axis, mode))
        for axis in (
            LineAxis(before=size, after=size * factor, scale=np.float32(factor))
            for size, factor in zip(maps.shape[2:], factors, strict=True)
        )
    )
    upper, lower = maps.index_select(2, top), maps.index_select(2, bottom)
    drawn: Tensor = (
        above[:, None] * before * upper.index_select(3, left)
        + above[:, None] * behind * upper.index_select(3, right)
        + below[:, None] * before * lower.index_select(3, left)
        + below[:, None] * behind * lower.index_select(3, right)
    )
    return drawn
