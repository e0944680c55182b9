"""Composes pictures with masks or boxes: things with outlines on grounds of coloured noise.

Each of the things of `tools.scene_things`, and each ground, is in one split only. Masks hold 0 for
the ground and a number for each of `CLASSES`; boxes are around what is seen of a thing. Things of
training are turned, stretched and lit otherwise in each scene.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.scene_things import KINDS, read_things

CLASSES = tuple(kind.name for kind in KINDS)
_SEGMENT_SIDE, _DETECT_SIDE = 64, 96
SCENES: Mapping[str, int] = MappingProxyType({"train": 12_000, "val": 500, "test": 800})
_SIZES = (22, 46)  # longest side of a cut-out, in pixels of a scene of 64x64
_MOST_OBJECTS = 3
_SOLID = 128  # alpha from which on a pixel is the thing's
_LEAST_SEEN = 0.3  # share of a thing that must be seen for it to have a box
# Deviations by which things of training are varied: of sides and light as logarithms.
_STRETCH, _TURN_DEG, _LIGHT, _GAMMA, _SATURATION = 0.12, 12.0, 0.08, 0.25, (0.3, 1.4)
_COARSE = (2, 4, 8, 16)  # positions a side of the noise that grounds are made of


def make_segment(out: Path, scenes: Mapping[str, int] = SCENES) -> Path:
    """Write the folder for `--task segment`.

    Args:
        scenes: of each split.

    Raises:
        ValueError: if a package with things is not installed.
    """
    for split, cast in _splits():
        for part in ("images", "masks"):
            (out / split / part).mkdir(parents=True, exist_ok=True)
        for scene in range(scenes[split]):
            picture, owners, things = _scene(cast, _SEGMENT_SIDE)
            picture.save(out / split / "images" / f"{scene:05}.png")
            numbers = np.array([0, *(label + 1 for label, _ in things)], np.uint8)
            Image.fromarray(numbers[owners]).save(out / split / "masks" / f"{scene:05}.png")
    (out / "classes.txt").write_text("\n".join(("ground", *CLASSES)) + "\n", encoding="utf-8")
    return out


def make_detect(out: Path, scenes: Mapping[str, int] = SCENES) -> Path:
    """Write the folder for `--task detect`: grey pictures and COCO files.

    Args:
        scenes: of each split.

    Raises:
        ValueError: if a package with things is not installed.
    """
    return _make_boxes(out, CLASSES, scenes)


def make_count(out: Path) -> Path:
    """Write the folder for `--task count`: the same, but a thing is a thing of whatever class.

    Raises:
        ValueError: if a package with things is not installed.
    """
    return _make_boxes(out, ("thing",), SCENES)


def _make_boxes(out: Path, names: tuple[str, ...], scenes: Mapping[str, int]) -> Path:
    categories = [{"id": label, "name": name} for label, name in enumerate(names)]
    for split, cast in _splits():
        (out / split).mkdir(parents=True, exist_ok=True)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for scene in range(scenes[split]):
            picture, owners, things = _scene(cast, _DETECT_SIDE)
            name = f"{split}{scene:05}.png"
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
                                    "category_id": min(label, len(names) - 1), "bbox": bbox,
                                    "area": bbox[2] * bbox[3]})  # fmt: skip
        content = {"images": images, "annotations": annotations, "categories": categories}
        (out / f"{split}.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
    return out


@dataclass(frozen=True, kw_only=True)
class _Cast:
    """What the scenes of a split are composed of.

    Attributes:
        things: of each class.
        random: what is drawn by.
        is_varied: things look otherwise each time.
    """

    things: list[list[Image.Image]]
    random: np.random.Generator
    is_varied: bool


def _splits() -> Iterator[tuple[str, _Cast]]:
    """Yield the splits and what their scenes are composed of."""
    things = read_things()
    for number, split in enumerate(SCENES, 1):
        random = np.random.default_rng(number)
        yield split, _Cast(things=things[split], random=random, is_varied=split == "train")


def _scene(cast: _Cast, side: int) -> tuple[Image.Image, NDArray[np.uint8], list[tuple[int, int]]]:
    """Return a picture, whose each pixel is (0 the ground's), and (class, pixels) of the things."""
    random = cast.random
    picture, owners = _ground(random, side), np.zeros((side, side), np.uint8)
    things: list[tuple[int, int]] = []
    for _ in range(int(random.integers(1, _MOST_OBJECTS + 1))):
        label = int(random.integers(len(CLASSES)))
        stamp = cast.things[label][int(random.integers(len(cast.things[label])))]
        stamp = _sized(stamp, random, side)
        stamp = _varied(stamp, random) if cast.is_varied else stamp
        left, top = (int(random.integers(-size // 4, side - 3 * size // 4)) for size in stamp.size)
        picture.paste(stamp, (left, top), stamp)
        whole = Image.new("L", (side, side))
        whole.paste(stamp.getchannel("A"), (left, top))
        solid = np.asarray(whole) >= _SOLID
        things.append((label, max(1, int((np.asarray(stamp.getchannel("A")) >= _SOLID).sum()))))
        owners[solid] = len(things)
    return picture, owners, things


def _sized(thing: Image.Image, random: np.random.Generator, side: int) -> Image.Image:
    scale = int(random.integers(*_SIZES)) * side / _SEGMENT_SIDE / max(thing.size)
    width, height = (max(1, round(scale * size)) for size in thing.size)
    thing = thing.resize((width, height), Image.Resampling.BILINEAR)
    return thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else thing


def _varied(thing: Image.Image, random: np.random.Generator) -> Image.Image:
    """Return a thing stretched, turned, and with other colours and light."""
    stretch = np.exp(random.normal(0, _STRETCH, 2))
    width, height = (max(1, round(n * by)) for n, by in zip(thing.size, stretch, strict=True))
    thing = thing.resize((width, height), Image.Resampling.BILINEAR)
    thing = thing.rotate(float(random.normal(0, _TURN_DEG)), Image.Resampling.BILINEAR, expand=True)
    thing = thing.crop(thing.getchannel("A").getbbox())
    colours = np.asarray(thing, np.float32)[..., :3] / 255
    grey = colours.mean(axis=-1, keepdims=True)
    colours = grey + (colours - grey) * np.float32(random.uniform(*_SATURATION))
    light = np.exp(random.normal(0, _LIGHT, 3) + random.normal(0, 2 * _LIGHT))
    colours = np.clip(colours * light.astype(np.float32), 0, 1)
    colours **= np.float32(np.exp(random.normal(0, _GAMMA)))
    varied = Image.fromarray((255 * colours).round().astype(np.uint8))
    varied.putalpha(thing.getchannel("A"))
    return varied


def _ground(random: np.random.Generator, side: int) -> Image.Image:
    levels = np.zeros((side, side, 3))
    for few in _COARSE:
        coarse = random.uniform(0, 255, (few, few, 3)).astype(np.uint8)
        fine = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        levels += np.asarray(fine) * random.dirichlet(np.ones(len(_COARSE)))[0]
    spread = levels.max() - levels.min() + 1.0
    return Image.fromarray((255 * (levels - levels.min()) / spread).astype(np.uint8))
