"""Words or bytes in their order, each as a code of -1, 0 and 1 that its hash gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.step import CCode, Shape, require_text
from hwkd.signals.steps.word_weights import MOST_BYTES
from hwkd.signals.texts import small_bytes, words_of

# Two bits of a hash make one digit.
_DIGITS = 16
_STEP = 0x9E3779B9


@STEPS.register("codes")
@dataclass(frozen=True, slots=True, kw_only=True)
class Codes:
    """A code of `size` digits for each of the first words or bytes; what is missing is 0.

    A first layer over them is an embedding without a table (arXiv:1906.09532, PRADO).

    Attributes:
        unit: what has a code: "words" or "bytes".
        size: digits of a code, a multiple of 16.
        count: of words or bytes.
    """

    kind: ClassVar[str] = "codes"
    formula: ClassVar[str] = "-1, 0 or 1 by two bits of a hash, for each word or byte"
    are_numbers: ClassVar[bool] = False

    unit: Literal["words", "bytes"]
    size: Annotated[int, Field(ge=_DIGITS, le=256, multiple_of=_DIGITS)]
    count: Annotated[int, Field(ge=1, le=MOST_BYTES)]

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, size, count] of UTF-8 bytes [n, 1, bytes]."""
        found = np.zeros((len(values), self.count, self.size), np.int16)
        if self.unit == "bytes":
            texts = small_bytes(values)[:, : self.count]
            rows, places = np.nonzero(texts)
            hashes = texts[rows, places].astype(np.uint32)
        else:
            words = words_of(values)
            kept = words.places < self.count
            rows, places, hashes = words.rows[kept], words.places[kept], words.hashes[kept]
        found[rows, places] = _codes(hashes, self.size)
        return found.transpose(0, 2, 1)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (size, count)."""
        require_text(shape, MOST_BYTES)
        if self.unit == "bytes" and self.count > shape[1]:
            raise ValueError(f"{self.count} bytes of texts of {shape[1]}")
        return self.size, self.count

    def text_c(self, function: str, *, shape: Shape, put: str) -> CCode:
        """Return the same in C; see `TextStep`."""
        more = f"""at < {self.count} && text[at] != 0"""
        following = "        const uint32_t hash = hwkd_small(text[at++]);\n"
        if self.unit == "words":
            more = f"place < {self.count} && hwkd_next_word(text, {shape[1]}, &at, &hash)"
            following = ""
        text = f"""static void {function}(const uint8_t *text)
{{
    int32_t at = 0, place = 0;
{"    uint32_t hash;" if self.unit == "words" else ""}
    while ({more}) {{
{following}        for (int32_t part = 0; part < {self.size // _DIGITS}; ++part) {{
            uint32_t bits = hwkd_mixed(hash + (uint32_t)part * {_STEP}u);
            for (int32_t i = {_DIGITS} * part; i < {_DIGITS} * (part + 1); ++i, bits >>= 2)
                {put}(i * {self.count} + place, (bits & 3u) == 1u ? 1 : (bits & 3u) == 2u ? -1 : 0);
        }}
        ++place;
    }}
    for (; place < {self.count}; ++place)
        for (int32_t i = 0; i < {self.size}; ++i)
            {put}(i * {self.count} + place, 0);
}}
"""
        return CCode(text=text, headers=("hwkd_signal.h", "hwkd_text.h"))

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return bytes and digits; see `TextStep`."""
        read = self.count if self.unit == "bytes" else shape[1]
        return {"codes.byte": float(read), "codes.digit": float(self.size * self.count)}


def _codes(hashes: NDArray[np.uint32], size: int) -> NDArray[np.int16]:
    """Return the digits of hashes, shape [n, size]."""
    parts = np.arange(size // _DIGITS, dtype=np.uint32) * np.uint32(_STEP)
    bits = _mixed(hashes[:, np.newaxis] + parts)[..., np.newaxis]
    pairs = bits >> np.arange(0, 2 * _DIGITS, 2, dtype=np.uint32) & np.uint32(3)
    digits: NDArray[np.int16] = np.array([0, 1, -1, 0], np.int16)[pairs]
    return digits.reshape(len(hashes), size)


def _mixed(values: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread every bit of a number over all 32 (the end of MurmurHash3)."""
    mixed = (values ^ (values >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    found: NDArray[np.uint32] = mixed ^ (mixed >> np.uint32(16))
    return found
