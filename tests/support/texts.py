"""Short texts of three classes, and bytes that try a tokeniser."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_TOPICS = {
    "grain": ("wheat", "corn", "harvest", "tonnes", "crop", "barley", "farmers", "bushels"),
    "ship": ("port", "vessel", "cargo", "tanker", "strike", "crew", "dock", "freight"),
    "trade": ("deficit", "tariff", "imports", "dollar", "surplus", "quota", "talks", "goods"),
}
_COMMON = ("the", "of", "a", "to", "said", "in", "market", "year", "prices", "would", "new", "it")
_PIECES = (
    "", " ", "the ", "The", "x1", "Größe ", "naïve,", "日本語 ", "\n", "a-b ", "ZZ", "🙂 ", "0",
)  # fmt: skip


def topic_texts(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Return texts with their classes, in turn."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        label = list(_TOPICS)[number % len(_TOPICS)]
        words = [*random.choice(_COMMON, 8), *random.choice(_TOPICS[label], 3)]
        found.append((" ".join(random.permutation(words)).capitalize() + ".", label))
    return found


def write_texts(path: Path, count: int = 240) -> Path:
    """Write a CSV file of texts."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["text", "label"])
        rows.writerows(topic_texts(count))
    return path


def tried_texts(count: int, length: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return uint8 [count, 1, length]: half of it words of many scripts, half any bytes."""
    random = np.random.default_rng(seed)
    found = random.integers(0, 256, (count, 1, length), dtype=np.uint8)
    for row in found[::2, 0]:
        coded = "".join(random.choice(_PIECES, length)).encode()[: random.integers(length + 1)]
        row[:] = 0
        row[: len(coded)] = np.frombuffer(coded, np.uint8)
    # Any bytes have a zero soon.
    found[1::4][found[1::4] == 0] = ord("e")
    return found
