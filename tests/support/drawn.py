"""Pairs of pictures: what is drawn of each is where it is brighter than around."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from support.scenes import scene


def write_drawn(folder: Path, *, examples: int = 120, size: int = 16, seed: int = 0) -> Path:
    """Write a folder of pictures and pictures to draw, without splits."""
    random = np.random.default_rng(seed)
    for part in ("images", "targets"):
        (folder / part).mkdir(parents=True)
    for number in range(examples):
        picture, mask = scene(random, size)
        drawn = (40 + 90 * mask + random.integers(0, 10, mask.shape)).astype(np.uint8)
        Image.fromarray(picture).save(folder / "images" / f"{number:03}.png")
        Image.fromarray(drawn).save(folder / "targets" / f"{number:03}.png")
    return folder
