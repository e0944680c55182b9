"""Numbers as C source has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def float_literal(value: np.float32) -> str:
    """Return a C literal that reads back as the same float32."""
    from numpy import float32, format_float_scientific

    return f"{format_float_scientific(float32(value), unique=True, trim='0')}f"
