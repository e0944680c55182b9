"""Makes pairs of pictures: outlines of clothes, and the clothes to draw of them.

The clothes are Fashion-MNIST (MIT), from the Debian package dataset-fashion-mnist. A pixel belongs
to an outline where levels change by much from it to the next ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hwkd.tasks.idx import read_idx_folder

CLOTHES = Path("/usr/share/datasets/fashion-mnist")
PACKAGE = "dataset-fashion-mnist"
_PAIRS = {"train": 6_000, "val": 1_000, "test": 1_000}
_EDGE_LEVELS = 48  # from one pixel to the next


def make_draw(out: Path) -> Path:
    """Write the folder for `--task draw`.

    Raises:
        ValueError: if the package with the pictures is not installed.
    """
    for split, (pictures, _) in clothes().items():
        for part in ("images", "targets"):
            (out / split / part).mkdir(parents=True, exist_ok=True)
        for number, picture in enumerate(pictures):
            name = f"{number:04}.png"
            Image.fromarray(outline(picture)).save(out / split / "images" / name)
            Image.fromarray(picture).save(out / split / "targets" / name)
    return out


def clothes() -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]:
    """Return pictures, shape [n, 28, 28], and classes of each split; those of test are the set's.

    Raises:
        ValueError: see `make_draw`.
    """
    if not CLOTHES.is_dir():
        raise ValueError(f"draw needs the package {PACKAGE}; install it with apt")
    raw = read_idx_folder(CLOTHES)
    assert raw.test is not None
    order = np.random.default_rng(0).permutation(len(raw.train.labels))
    first, second = _PAIRS["train"], _PAIRS["train"] + _PAIRS["val"]
    found = {}
    for split, source, rows in (
        ("train", raw.train, order[:first]),
        ("val", raw.train, order[first:second]),
        ("test", raw.test, np.arange(_PAIRS["test"])),
    ):
        pictures = np.asarray(source.inputs)[rows].reshape(-1, 28, 28).astype(np.uint8)
        found[split] = (pictures, np.asarray(source.labels)[rows].astype(np.int64))
    return found


def outline(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 255 where levels change by much to the right or downwards, else 0."""
    levels = picture.astype(np.int64)
    right = np.abs(np.diff(levels, axis=1, append=levels[:, -1:]))
    down = np.abs(np.diff(levels, axis=0, append=levels[-1:]))
    drawn: NDArray[np.uint8] = np.where(np.maximum(right, down) >= _EDGE_LEVELS, 255, 0).astype(
        np.uint8
    )
    return drawn
