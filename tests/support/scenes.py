"""Pictures of discs and squares on a noisy ground, with masks of what is where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("ground", "disc", "square")


def scene(random: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return grey levels and class numbers, each [size, size]."""
    rows, columns = np.mgrid[:size, :size]
    picture = random.normal(60, 20, (size, size))
    mask = np.zeros((size, size), np.uint8)
    for number in (1, 2):
        top, left = random.integers(4, size - 4, 2)
        reach = int(random.integers(2, 5))
        down, right = np.abs(rows - top), np.abs(columns - left)
        inside = down**2 + right**2 <= reach**2 if number == 1 else np.maximum(down, right) <= reach
        mask[inside] = number
        picture[inside] = random.normal(130 if number == 1 else 220, 10, inside.sum())
    return picture.clip(0, 255).astype(np.uint8), mask


def write_scenes(folder: Path, *, examples: int = 120, size: int = 16, seed: int = 0) -> Path:
    """Write a folder of pictures and masks without splits."""
    random = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text("\n".join(NAMES) + "\n")
    for number in range(examples):
        picture, mask = scene(random, size)
        Image.fromarray(picture).save(folder / "images" / f"{number:03}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:03}.png")
    return folder
