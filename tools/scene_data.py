"""Composes pictures with masks or boxes: cut-outs of Tux Paint on grounds of coloured noise.

The cut-outs come from the Debian package tuxpaint-stamps-default (GPL-2; for tests alone). Each of
them, and each ground, is in one split only. Masks hold 0 for the ground and a number for each of
the folders of `CLASSES`; boxes are around what is seen of a thing.

Of some classes only 27 cut-outs are for training, too few to tell what others look like. Boxes are
learned from more scenes, in which things are turned, stretched and lit otherwise each time, and
from drawings of the Debian package openclipart-png (public domain) beside the cut-outs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

STAMPS = Path("/usr/share/tuxpaint/stamps")
PACKAGE = "tuxpaint-stamps-default"
CLASSES = ("animals", "food", "plants", "town", "vehicles")
_SEGMENT_SIDE, _DETECT_SIDE = 64, 96
_SCENES = {"train": 3_000, "val": 500, "test": 800}
_SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of the cut-outs of each class
_SIZES = (22, 46)  # longest side of a cut-out, in pixels of a scene of 64x64
_MOST_OBJECTS = 3
_SOLID = 128  # alpha from which on a pixel is the thing's
_LEAST_SEEN = 0.3  # share of a thing that must be seen for it to have a box
_COARSE = (2, 4, 8, 16)  # positions a side of the noise that grounds are made of


def make_segment(out: Path) -> Path:
    """Write the folder for `--task segment`.

    Raises:
        ValueError: if the package with the cut-outs is not installed.
    """
    for split, random, stamps in _splits("segment"):
        for part in ("images", "masks"):
            (out / split / part).mkdir(parents=True, exist_ok=True)
        for scene in range(_SCENES[split]):
            picture, owners, things = _scene(stamps, random, _SEGMENT_SIDE)
            picture.save(out / split / "images" / f"{scene:04}.png")
            numbers = np.array([0, *(label + 1 for label, _ in things)], np.uint8)
            Image.fromarray(numbers[owners]).save(out / split / "masks" / f"{scene:04}.png")
    (out / "classes.txt").write_text("\n".join(("ground", *CLASSES)) + "\n", encoding="utf-8")
    return out


def make_detect(out: Path) -> Path:
    """Write the folder for `--task detect` and `--task count`: grey pictures and COCO files.

    Raises:
        ValueError: if the package with the cut-outs is not installed.
    """
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASSES)]
    for split, random, stamps in _splits("detect"):
        (out / split).mkdir(parents=True, exist_ok=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for scene in range(_SCENES[split]):
            picture, owners, things = _scene(stamps, random, _DETECT_SIDE)
            name = f"{split}{scene:04}.png"
            picture.convert("L").save(out / split / name)
            images.append({"id": scene, "file_name": name, "width": _DETECT_SIDE,
                           "height": _DETECT_SIDE})  # fmt: skip
            for number, (label, pixels) in enumerate(things, 1):
                rows, columns = np.nonzero(owners == number)
                if len(rows) < _LEAST_SEEN * pixels:
                    continue
                left, top = int(columns.min()), int(rows.min())
                bbox = [left, top, int(columns.max()) + 1 - left, int(rows.max()) + 1 - top]
                annotations.append({"id": len(annotations), "image_id": scene, "iscrowd": 0,
                                    "category_id": label, "bbox": bbox,
                                    "area": bbox[2] * bbox[3]})  # fmt: skip
        content = {"images": images, "annotations": annotations, "categories": categories}
        (out / f"{split}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
    return out


def _splits(task: str) -> Iterator[tuple[str, np.random.Generator, list[list[Path]]]]:
    """Yield each split with what its scenes are drawn by and the cut-outs of each class."""
    if not STAMPS.is_dir():
        raise ValueError(f"{task} needs the package {PACKAGE}; install it with apt")
    stamps = _stamps(np.random.default_rng(0))
    for number, split in enumerate(_SCENES, 1):
        yield split, np.random.default_rng(number), stamps[split]


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
    stamps: list[list[Path]], random: np.random.Generator, side: int
) -> tuple[Image.Image, NDArray[np.uint8], list[tuple[int, int]]]:
    """Return a picture, whose each pixel is (0 the ground's), and (class, pixels) of the things."""
    picture, owners = _ground(random, side), np.zeros((side, side), np.uint8)
    things: list[tuple[int, int]] = []
    for _ in range(int(random.integers(1, _MOST_OBJECTS + 1))):
        label = int(random.integers(len(CLASSES)))
        stamp = _cut_out(stamps[label][int(random.integers(len(stamps[label])))], random, side)
        left, top = (int(random.integers(-size // 4, side - 3 * size // 4)) for size in stamp.size)
        picture.paste(stamp, (left, top), stamp)
        whole = Image.new("L", (side, side))
        whole.paste(stamp.getchannel("A"), (left, top))
        solid = np.asarray(whole) >= _SOLID
        things.append((label, max(1, int((np.asarray(stamp.getchannel("A")) >= _SOLID).sum()))))
        owners[solid] = len(things)
    return picture, owners, things


def _cut_out(file: Path, random: np.random.Generator, side: int) -> Image.Image:
    stamp = Image.open(file).convert("RGBA")
    stamp = stamp.crop(stamp.getchannel("A").getbbox())
    scale = int(random.integers(*_SIZES)) * side / _SEGMENT_SIDE / max(stamp.size)
    width, height = (max(1, round(scale * size)) for size in stamp.size)
    stamp = stamp.resize((width, height), Image.Resampling.BILINEAR)
    return stamp.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else stamp


def _ground(random: np.random.Generator, side: int) -> Image.Image:
    levels = np.zeros((side, side, 3))
    for few in _COARSE:
        coarse = random.uniform(0, 255, (few, few, 3)).astype(np.uint8)
        fine = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        levels += np.asarray(fine) * random.dirichlet(np.ones(len(_COARSE)))[0]
    spread = levels.max() - levels.min() + 1.0
    return Image.fromarray((255 * (levels - levels.min()) / spread).astype(np.uint8))
