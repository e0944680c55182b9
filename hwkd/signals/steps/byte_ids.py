"""The bytes of a text in their order, each a number that the network looks up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.step import CCode, Shape, require_text
from hwkd.signals.steps.word_weights import MOST_BYTES
from hwkd.signals.texts import small_bytes


@STEPS.register("byte-ids")
@dataclass(frozen=True, slots=True, kw_only=True)
class ByteIds:
    """The first bytes, small letters for capitals; 0 behind the end.

    Attributes:
        count: of bytes.
    """

    kind: ClassVar[str] = "byte-ids"
    formula: ClassVar[str] = "byte, less 256 from 128 on"
    are_numbers: ClassVar[bool] = True
    reads_texts: ClassVar[bool] = True
    python: ClassVar[str] = """\
count = int(step["count"])
values = np.array([[[*text[:count].ljust(count, b"\\0")]] for text in values])
values = values.astype(np.uint8).view(np.int8).astype(int)
"""

    count: Annotated[int, Field(ge=1, le=MOST_BYTES)]

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, 1, count] of UTF-8 bytes [n, 1, bytes]."""
        found = small_bytes(values)[:, np.newaxis, : self.count]
        return np.ascontiguousarray(found).view(np.int8).astype(np.int16)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (1, count)."""
        require_text(shape, MOST_BYTES)
        if self.count > shape[1]:
            raise ValueError(f"{self.count} bytes of texts of {shape[1]}")
        return 1, self.count

    def text_c(self, function: str, *, shape: Shape, put: str) -> CCode:
        """Return the same in C; see `TextStep`."""
        del shape
        text = f"""static void {function}(const uint8_t *text)
{{
    int32_t place = 0;
    for (; place < {self.count} && text[place] != 0; ++place) {{
        const int32_t byte = (int32_t)hwkd_small(text[place]);
        {put}(place, byte < 128 ? byte : byte - 256);
    }}
    for (; place < {self.count}; ++place)
        {put}(place, 0);
}}
"""
        return CCode(text=text, headers=("hwkd_signal.h", "hwkd_text.h"))

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return bytes; see `TextStep`."""
        del shape
        return {"byte-ids.byte": float(self.count)}
