"""What an ONNX Slice cuts out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray


class Part(NamedTuple):
    """Operands of a Slice, one number for each axis that it cuts; empty where not stored."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    axes: tuple[int, ...]
    steps: tuple[int, ...]


def part_of(operands: Sequence[NDArray[Any] | None]) -> Part:
    """Return what a Slice says.

    Args:
        operands: those behind its data, in their order: starts, ends, axes, steps; the last two
            may be left out. None stands for one that is computed at run time.

    Source:
        ONNX operator Slice, version 13.
    """
    found = [() if array is None else tuple(map(int, array.reshape(-1))) for array in operands]
    count = len(found[0]) if found else 0
    usual: list[tuple[int, ...]] = [(), (), tuple(range(count)), (1,) * count]
    return Part(*found, *usual[len(found) :])
