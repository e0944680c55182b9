"""Pieces of words in their order, each a number that the network looks up.

Words and what separates them are those of `UNITS`. A word becomes the longest known piece that
it begins with, then the longest that its rest begins with, and so on; where none is left, the whole
word is unknown (WordPiece, arXiv:1609.08144, as the package `tokenizers` computes it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.core.numbered import BASES, MOST_NUMBERED
from hwkd.signals.step import CCode, Shape, require_text, table_c
from hwkd.signals.steps.word_weights import MOST_BYTES
from hwkd.signals.texts import UNITS, small_bytes

# Numbers of no piece: behind the end of a text, and of a word that holds something unknown.
ABSENT, UNKNOWN, FIRST = 0, 1, 2
# More letters than any word has.
MOST_LETTERS = 100
MOST_PIECE_BYTES = 64
MOST_PIECES = MOST_NUMBERED - FIRST
# Of a text, spaces with it, where its pieces fill the places.
_BYTES_OF_PLACE = 3

# Its UTF-8 bytes, each as the character of that number.
PieceBytes: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=MOST_PIECE_BYTES, pattern=r"^[\x01-\xff]+$")
]


@STEPS.register("pieces")
@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """The first pieces of a text; see the module.

    Attributes:
        begin: pieces that words begin with, in the order of their bytes.
        inner: pieces behind these, likewise.
        count: places.
        digits: of each number.
    """

    kind: ClassVar[str] = "pieces"
    formula: ClassVar[str] = "number of the longest piece, in digits"
    are_numbers: ClassVar[bool] = True
    reads_texts: ClassVar[bool] = True
    python: ClassVar[str] = f"""\
begin, inner = ([piece.encode("latin-1") for piece in step[k]] for k in ("begin", "inner"))
begins = {{piece: {FIRST} + at for at, piece in enumerate(begin)}}
inners = {{piece: {FIRST} + len(begin) + at for at, piece in enumerate(inner)}}
count, digits = int(step["count"]), int(step["digits"])


def pieces(word):  # the longest that it begins with, then the longest of its rest
    found, at = [], 0
    while at < len(word):
        known = inners if at else begins
        ends = range(len(word), at, -1)
        end = next((end for end in ends if word[at:end] in known), None)
        if end is None or sum(byte & 0xC0 != 0x80 for byte in word) > {MOST_LETTERS}:
            return [{UNKNOWN}]
        found.append(known[word[at:end]])
        at = end
    return found


def numbers(text):
    words = re.findall(rb"[0-9a-z\\x80-\\xff]+|[!-/:-@\\[-`{{-~]", text)
    found = [number for word in words for number in pieces(word)]
    return (found + [{ABSENT}] * count)[:count]


base = {dict(BASES)!r}[digits]
powers = base ** np.arange(digits - 1, -1, -1)[:, None]
values = np.array([numbers(text) for text in values])[:, None] // powers % base
values = np.where(values < 128, values, values - 256)
"""

    begin: tuple[PieceBytes, ...]
    inner: tuple[PieceBytes, ...]
    count: Annotated[int, Field(ge=1, le=MOST_BYTES)]
    digits: Annotated[int, Field(ge=1, le=max(BASES))]

    def numbers(self, text: bytes) -> list[int]:
        """Return the numbers of the pieces of a text's bytes, small letters for capitals."""
        known = KnownPieces.of(self)
        return [number for unit in UNITS.findall(text) for number in known.numbers(unit)]

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, digits, count] of UTF-8 bytes [n, 1, bytes]."""
        found = np.zeros((len(values), self.count), np.int64)
        known = KnownPieces.of(self)
        for row, text in zip(found, small_bytes(values), strict=True):
            numbers: list[int] = []
            for unit in UNITS.finditer(text.tobytes()):
                numbers += known.numbers(unit[0])
                if len(numbers) >= self.count:
                    break
            row[: len(numbers)] = numbers[: self.count]
        return _in_digits(found, self.digits)

    def output_shape(self, shape: Shape) -> Shape:
        """Return (digits, count)."""
        require_text(shape, MOST_BYTES)
        for pieces in (self.begin, self.inner):
            if list(pieces) != sorted(set(pieces)):
                raise ValueError("pieces that are not in the order of their bytes")
        if FIRST + len(self.begin) + len(self.inner) > BASES[self.digits] ** self.digits:
            raise ValueError(f"more pieces than {self.digits} digits tell apart")
        return self.digits, self.count

    def text_c(self, function: str, *, shape: Shape, put: str) -> CCode:
        """Return the same in C; see `TextStep`."""
        pieces = [piece.encode("latin-1") for piece in (*self.begin, *self.inner)]
        starts = np.cumsum([0, *map(len, pieces)]).tolist()
        digits, base = self.digits, BASES[self.digits]
        is_short = starts[-1] < 2**16
        bits = base.bit_length() - 1
        shifts = [bits * (digits - 1 - digit) for digit in range(digits)]
        digit_c = "".join(
            f"    {put}({digit * self.count} + place, {_signed_c(shift, base)});\n"
            for digit, shift in enumerate(shifts)
        )
        text = f"""{table_c("uint8_t", f"{function}_bytes", b"".join(pieces) or b"?")}
{table_c("uint16_t" if is_short else "uint32_t", f"{function}_starts", starts)}
{_search_c(function, len(self.begin), len(pieces))}
static void {function}_put(int32_t place, uint32_t number)
{{
{digit_c}}}

static void {function}(const uint8_t *text)
{{
    int32_t at = 0, place = 0, end;
    while (place < {self.count} && (end = hwkd_next_unit(text, {shape[1]}, &at)) > at) {{
        const int32_t first = place;
        int is_known = hwkd_letters(text + at, end - at) <= {MOST_LETTERS};
        int32_t length = 0;
        for (int32_t from = at; is_known && from < end; from += length) {{
            const int32_t piece = {function}_longest(text + from, end - from, from == at, &length);
            is_known = piece >= 0;
            if (is_known && place < {self.count})
                {function}_put(place++, (uint32_t)piece + {FIRST}u);
        }}
        if (!is_known) {{ /* what was written of the word is written over */
            place = first;
            {function}_put(place++, {UNKNOWN}u);
        }}
        at = end;
    }}
    for (; place < {self.count}; ++place)
        {function}_put(place, {ABSENT}u);
}}
"""
        return CCode(
            text=text,
            table_bytes=starts[-1] + (2 if is_short else 4) * len(starts),
            headers=("hwkd_signal.h", "hwkd_text.h"),
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return bytes, and how often a byte is looked for among pieces; see `TextStep`."""
        read = min(shape[1], _BYTES_OF_PLACE * self.count)
        halvings = float(np.log2(1 + max(len(self.begin), len(self.inner))))
        return {
            "pieces.byte": float(read),
            "pieces.halving": read * halvings,
            "pieces.place": float(self.count),
        }


def _search_c(function: str, begins: int, pieces: int) -> str:
    """Return C that finds pieces; the first `begins` of them begin words, the others go on."""
    return f"""static int32_t {function}_length(int32_t piece)
{{
    return (int32_t){function}_starts[piece + 1] - (int32_t){function}_starts[piece];
}}

/* The first of pieces from low to high, alike up to a byte, whose byte there is that or more. */
static int32_t {function}_from(int32_t low, int32_t high, int32_t at, uint32_t byte)
{{
    while (low < high) {{
        const int32_t middle = (low + high) / 2;
        if ({function}_length(middle) <= at
            || {function}_bytes[(int32_t){function}_starts[middle] + at] < byte)
            low = middle + 1;
        else
            high = middle;
    }}
    return low;
}}

/* The longest piece that bytes begin with, and its length; -1 without one. */
static int32_t {function}_longest(const uint8_t *from, int32_t count, int is_first, int32_t *length)
{{
    int32_t low = is_first ? 0 : {begins}, found = -1;
    int32_t high = is_first ? {begins} : {pieces};
    for (int32_t at = 0; at < count; ++at) {{
        const uint32_t byte = hwkd_small(from[at]);
        low = {function}_from(low, high, at, byte);
        high = {function}_from(low, high, at, byte + 1u);
        if (low == high)
            break;
        if ({function}_length(low) == at + 1) {{
            found = low;
            *length = at + 1;
        }}
    }}
    return found;
}}
"""


class KnownPieces:
    """Words that were met, and what they are made of."""

    def __init__(self, begin: Sequence[bytes], inner: Sequence[bytes]) -> None:
        """Take pieces that words begin with, and those behind these; they are numbered as given."""
        self._begin = {piece: FIRST + at for at, piece in enumerate(begin)}
        self._inner = {piece: FIRST + len(begin) + at for at, piece in enumerate(inner)}
        self._most = max(map(len, (*begin, *inner)), default=0)
        self._met: dict[bytes, list[int]] = {}

    @classmethod
    def of(cls, step: Pieces) -> KnownPieces:
        """Return those of a step."""
        return cls(*([one.encode("latin-1") for one in part] for part in (step.begin, step.inner)))

    def numbers(self, unit: bytes) -> list[int]:
        """Return the numbers of a word's pieces."""
        found = self._met.get(unit)
        if found is None:
            found = self._met[unit] = self._looked_up(unit)
        return found

    def _looked_up(self, unit: bytes) -> list[int]:
        letters = sum(byte & 0xC0 != 0x80 for byte in unit)
        found: list[int] = []
        at = 0
        while at < len(unit):
            pieces = self._inner if at else self._begin
            ends = range(min(len(unit), at + self._most), at, -1)
            end = next((end for end in ends if unit[at:end] in pieces), None)
            if end is None or letters > MOST_LETTERS:
                return [UNKNOWN]
            found.append(pieces[unit[at:end]])
            at = end
        return found


def _in_digits(numbers: NDArray[np.int64], digits: int) -> NDArray[np.int16]:
    """Return digits of numbers, shape [n, digits, places], of a byte those of a signed one."""
    base = BASES[digits]
    powers = base ** np.arange(digits - 1, -1, -1)
    found = numbers[:, np.newaxis] // powers[:, np.newaxis] % base
    return np.where(found < 128, found, found - 256).astype(np.int16)


def _signed_c(shift: int, base: int) -> str:
    digit = f"(int32_t)(number >> {shift} & {base - 1}u)"
    return digit if base <= 128 else f"{digit} - (number >> {shift} & 128u ? 256 : 0)"
