"""How much of each word a text holds: a vector of length 1, whatever the length of the text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from hwkd.core.catalog import STEPS
from hwkd.signals.fixed import log2, log_table, square_root
from hwkd.signals.step import CCode, Shape, require_sizes, require_text, table_c
from hwkd.signals.texts import words_of

# Of a column: the largest number of a word that counts, and the largest weight of one; a product
# of its logarithm and the weight is below 2^19, and a sum of squares of 4,096 below 2^50.
_MOST_COUNTED, MOST_WEIGHT = 255, 127
_LENGTH_BITS = 13
# A text of so many bytes has at most 4,096 words.
MOST_BYTES = 8192

UInt32: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]
_Weight: TypeAlias = Annotated[int, Field(ge=0, le=MOST_WEIGHT)]


@STEPS.register("word-weights")
@dataclass(frozen=True, slots=True, kw_only=True)
class WordWeights:
    """log2(1 + how often a word comes) times its weight, over the length of all of them.

    Attributes:
        keys: hashes of known words in ascending order, each with a column of its own.
        buckets: columns that all other words share by their hash; 0 leaves them out.
        weights: of each column, 0 to 127.
    """

    kind: ClassVar[str] = "word-weights"
    formula: ClassVar[str] = "8192 log2(1 + count) * weight / length of all"
    are_numbers: ClassVar[bool] = False
    reads_texts: ClassVar[bool] = True
    python: ClassVar[str] = f"""\
keys, weights = ([int(each) for each in step[k]] for k in ("keys", "weights"))
column_of, buckets = {{key: at for at, key in enumerate(keys)}}, int(step["buckets"])
table = [round(32768 * math.log2(1 + i / 64)) for i in range(65)]


def log2(count):  # in steps of 1/512, from the table that firmware has
    top = count.bit_length() - 1
    piece, rest = divmod((count << 15 >> top) - 32768, 512)
    found = table[piece] + ((table[piece + 1] - table[piece]) * rest >> 9)
    return (top << 9) + (found + 32 >> 6)


def words(text):
    counts = [0] * len(weights)
    for word in re.findall(rb"[0-9a-z\\x80-\\xff]+", text):
        key = 2166136261  # FNV-1a
        for byte in word:
            key = (key ^ byte) * 16777619 & 0xFFFFFFFF
        column = column_of.get(key, len(keys) + key % buckets if buckets else None)
        if column is not None:
            counts[column] = min(counts[column] + 1, {_MOST_COUNTED})
    found = [log2(1 + count) * weight for count, weight in zip(counts, weights)]
    length = max(1, math.isqrt(sum(each * each for each in found)))
    return [(each << {_LENGTH_BITS}) // length for each in found]


values = np.array([[words(text)] for text in values])
"""

    keys: tuple[UInt32, ...]
    buckets: Annotated[int, Field(ge=0, le=2**16)]
    weights: tuple[_Weight, ...]

    def apply(self, values: NDArray[Any]) -> NDArray[np.int16]:
        """Return int16 [n, 1, columns] of UTF-8 bytes [n, 1, bytes]."""
        columns, words = len(self.weights), words_of(values)
        known = np.array((*self.keys, 2**32), np.uint64)
        at = np.searchsorted(known, words.hashes.astype(np.uint64))
        shared = len(self.keys) + words.hashes % max(1, self.buckets)
        column = np.where(known[at] == words.hashes, at, shared).astype(np.int64)
        kept = column < columns
        cells = words.rows[kept] * columns + column[kept]
        counts = np.bincount(cells, minlength=len(values) * columns).reshape(-1, columns)
        logs = log2(np.arange(1, _MOST_COUNTED + 2))
        found = logs[np.minimum(counts, _MOST_COUNTED)] * np.array(self.weights, np.int64)
        length = np.maximum(1, square_root(np.square(found).sum(axis=1)))
        scaled = (found << _LENGTH_BITS) // length[:, np.newaxis]
        return scaled.astype(np.int16)[:, np.newaxis]

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape with a value for each column."""
        require_text(shape, MOST_BYTES)
        require_sizes((len(self.weights),), len(self.keys) + self.buckets, what="weights")
        if not self.weights or list(self.keys) != sorted(set(self.keys)):
            raise ValueError("no columns, or keys that do not ascend")
        return 1, len(self.weights)

    def text_c(self, function: str, *, shape: Shape, put: str) -> CCode:
        """Return the same in C; see `TextStep`."""
        columns, keys = len(self.weights), len(self.keys)
        search = _search_c(function, keys) if keys else ""
        table = table_c("uint32_t", f"{function}_keys", self.keys)
        rest = f"(int32_t)({keys}u + hash % {self.buckets}u)" if self.buckets else "-1"
        text = f"""{table if keys else ""}{table_c("uint8_t", f"{function}_weights", self.weights)}
{table_c("uint16_t", f"{function}_logs", log_table())}
static uint8_t {function}_counts[{columns}];

/* The column of a word; -1 of one that counts nowhere. */
static int32_t {function}_column(uint32_t hash)
{{
{search}    return {rest};
}}

static uint32_t {function}_value(int32_t column)
{{
    const uint32_t count = {function}_counts[column];
    return count == 0 ? 0u
        : (uint32_t)hwkd_log2(count + 1u, {function}_logs) * {function}_weights[column];
}}

static void {function}(const uint8_t *text)
{{
    uint64_t squares = 0;
    uint32_t hash;
    int32_t at = 0;
    memset({function}_counts, 0, sizeof {function}_counts);
    while (hwkd_next_word(text, {shape[1]}, &at, &hash)) {{
        const int32_t column = {function}_column(hash);
        if (column >= 0 && {function}_counts[column] < {_MOST_COUNTED})
            ++{function}_counts[column];
    }}
    for (int32_t column = 0; column < {columns}; ++column) {{
        const uint64_t value = {function}_value(column);
        squares += value * value;
    }}
    const uint32_t length = hwkd_square_root(squares);
    for (int32_t column = 0; column < {columns}; ++column) {{
        const uint32_t value = {function}_value(column);
        {put}(column, value == 0 ? 0 : (int32_t)((value << {_LENGTH_BITS}) / length));
    }}
}}
"""
        return CCode(
            text=text,
            state_bytes=columns,
            table_bytes=4 * keys + columns + 2 * len(log_table()),
            headers=("hwkd_signal.h", "hwkd_text.h"),
        )

    def work(self, shape: Shape) -> Mapping[str, float]:
        """Return bytes and columns; see `TextStep`."""
        return {
            "word-weights.byte": float(shape[1]),
            "word-weights.column": float(len(self.weights)),
        }


def _search_c(function: str, keys: int) -> str:
    """Return C that finds a word's hash among `keys` that ascend, by halves."""
    return f"""    int32_t low = 0, high = {keys};
    while (low < high) {{
        const int32_t middle = (low + high) / 2;
        if ({function}_keys[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }}
    if (low < {keys} && {function}_keys[low] == hash)
        return low;
"""
