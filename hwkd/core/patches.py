"""Running the first layers of a network patch by patch: which rows and columns each one needs.

Source:
    Lin et al. 2021, MCUNetV2: Memory-efficient Patch-based Inference, arXiv:2110.15352, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from hwkd.core.errors import ConfigError

# First row or column, and the one behind the last.
Span: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Into how many rows and columns of patches the output of the first layers is divided."""

    rows: int
    columns: int

    def __str__(self) -> str:
        """Return it as the option takes it."""
        return f"{self.rows}x{self.columns}"

    @classmethod
    def parse(cls, text: str) -> Patches:
        """Read ROWSxCOLUMNS.

        Raises:
            ConfigError: if it is no such text, or one patch.
        """
        found = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,2})", text)
        if found is None or text == "1x1":
            raise ConfigError(
                f"--patch {text}: give rows x columns of two patches or more, such as 2x2"
            )
        return cls(rows=int(found[1]), columns=int(found[2]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A layer along one axis.

    Attributes:
        size: of its input.
        kernel: 1 for elementwise layers.
        stride: of its windows.
        dilation: of its kernel.
        pad: zeros before the input.
    """

    size: int
    kernel: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one layer of a patch reads along one axis.

    Attributes:
        span: of its input.
        pad_before: zeros of the border that the patch lies at.
        pad_after: likewise, behind it.
    """

    span: Span
    pad_before: int
    pad_after: int


def parts(windows: Sequence[Window], span: Span) -> list[Part]:
    """Return, for each layer, what it reads so that the last one gives a span of its output.

    Args:
        windows: in the order in which they run.
        span: of the last one's output.
    """
    found: list[Part] = []
    for window in reversed(windows):
        first = span[0] * window.stride - window.pad
        reach = (window.kernel - 1) * window.dilation + 1
        end = (span[1] - 1) * window.stride - window.pad + reach
        span = max(first, 0), min(end, window.size)
        found.append(
            Part(span=span, pad_before=span[0] - first, pad_after=max(end - window.size, 0))
        )
    return found[::-1]


def spans(size: int, count: int) -> list[Span]:
    """Divide an output evenly; `size` is a multiple of `count`."""
    step = size // count
    return [(start, start + step) for start in range(0, size, step)]
