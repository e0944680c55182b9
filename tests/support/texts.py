"""Short texts of three classes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

_TOPICS = {
    "grain": ("wheat", "corn", "harvest", "tonnes", "crop", "barley", "farmers", "bushels"),
    "ship": ("port", "vessel", "cargo", "tanker", "strike", "crew", "dock", "freight"),
    "trade": ("deficit", "tariff", "imports", "dollar", "surplus", "quota", "talks", "goods"),
}
_COMMON = ("the", "of", "a", "to", "said", "in", "market", "year", "prices", "would", "new", "it")


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
