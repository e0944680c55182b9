"""Composes pictures with masks: cut-outs of Tux Paint on grounds of coloured noise.

The cut-outs come from the Debian package tuxpaint-stamps-default (GPL-2; for tests alone). Each of
them, and each ground, is in one split only. Masks hold 0 for the ground and a number for each of
the folders of `CLASSES`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

STAMPS = Path("/usr/share/tuxpaint/stamps")
PACKAGE = "tuxpaint-stamps-default"
CLASSES = ("animals", "food", "plants", "town", "vehicles")
_SIDE = 64
_SCENES = {"train": 3_000, "val": 500, "test": 800}
_SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of the cut-outs of each class
_SIZES = (22, 46)  # longest side of a cut-out, in pixels
_MOST_OBJECTS = 3
_SOLID = 128  # alpha from which on a pixel is the thing's
_COARSE = (2, 4, 8, 16)  # positions a side of the noise that grounds are made of


def make_segment(out: Path) -> Path:
    """Write the folder for `--task segment`.

    Raises:
        ValueError: if the package with the cut-outs is not installed.
    """
    if not STAMPS.is_dir():
        raise ValueError(f"segment needs the package {PACKAGE}; install it with apt")
    stamps = _stamps(np.random.default_rng(0))
    for number, (split, count) in enumerate(_SCENES.items(), 1):
        random = np.random.default_rng(number)
        for part in ("images", "masks"):
            (out / split / part).mkdir(parents=True, exist_ok=True)
        for scene in range(count):
            picture, mask = _scene(stamps[split], random)
            picture.save(out / split / "images" / f"{scene:04}.png")
            Image.fromarray(mask).save(out / split / "masks" / f"{scene:04}.png")
    (out / "classes.txt").write_text("\n".join(("ground", *CLASSES)) + "\n", encoding="utf-8")
    return out


def _stamps(random: np.random.Generator) -> dict[str, list[list[Path]]]:
    """Return the cut-outs of each split and class."""
    found: dict[str, list[list[Path]]] = {split: [] for split in _SCENES}
    for name in CLASSES:
        files = [file for file in sorted((STAMPS / name).rglob("*.png")) if _is_cut_out(file)]
        order = random.permutation(len(files))
        start = 0.0
        for split, share in _SHARES.items():
            first, start = round(start * len(files)), start + share
            found[split].append([files[at] for at in order[first : round(start * len(files))]])
    return found


def _is_cut_out(file: Path) -> bool:
    try:
        with Image.open(file) as image:
            return image.has_transparency_data
    except UnidentifiedImageError:
        return False


def _scene(
    stamps: list[list[Path]], random: np.random.Generator
) -> tuple[Image.Image, NDArray[np.uint8]]:
    picture, mask = _ground(random), np.zeros((_SIDE, _SIDE), np.uint8)
    for _ in range(int(random.integers(1, _MOST_OBJECTS + 1))):
        label = int(random.integers(len(CLASSES)))
        stamp = _cut_out(stamps[label][int(random.integers(len(stamps[label])))], random)
        left, top = (int(random.integers(-size // 4, _SIDE - 3 * size // 4)) for size in stamp.size)
        picture.paste(stamp, (left, top), stamp)
        whole = Image.new("L", (_SIDE, _SIDE))
        whole.paste(stamp.getchannel("A"), (left, top))
        mask[np.asarray(whole) >= _SOLID] = label + 1
    return picture, mask


def _cut_out(file: Path, random: np.random.Generator) -> Image.Image:
    stamp = Image.open(file).convert("RGBA")
    stamp = stamp.crop(stamp.getchannel("A").getbbox())
    scale = int(random.integers(*_SIZES)) / max(stamp.size)
    width, height = (max(1, round(scale * size)) for size in stamp.size)
    stamp = stamp.resize((width, height), Image.Resampling.BILINEAR)
    return stamp.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else stamp


def _ground(random: np.random.Generator) -> Image.Image:
    levels = np.zeros((_SIDE, _SIDE, 3))
    for side in _COARSE:
        coarse = random.uniform(0, 255, (side, side, 3)).astype(np.uint8)
        fine = Image.fromarray(coarse).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        levels += np.asarray(fine) * random.dirichlet(np.ones(len(_COARSE)))[0]
    spread = levels.max() - levels.min() + 1.0
    return Image.fromarray((255 * (levels - levels.min()) / spread).astype(np.uint8))
