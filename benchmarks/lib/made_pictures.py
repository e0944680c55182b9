"""Pictures of the kinds that users have, drawn from a generator: things at any angle, textures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

_Part: TypeAlias = tuple[NDArray[np.uint8], NDArray[np.int64]]
_SIDE, _LARGE = 32, 128
_SHAPES = ("bar", "circle", "cross", "corner", "ring", "square", "star", "triangle")
_SHAPES_EACH, _SHAPES_TEST = 300, 125
_TEXTURES, _DEFECT_SHARE = 2_400, 0.05


@dataclass(frozen=True)
class MadeSet:
    """Pictures to learn from and to test, each shape [n, channels, 32, 32].

    Attributes:
        metric: by which networks are judged.
    """

    name: str
    metric: str
    inputs: NDArray[np.uint8]
    labels: NDArray[np.int64]
    test_inputs: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def shapes(random: np.random.Generator) -> MadeSet:
    """Return eight kinds of things on clutter, at any place, angle, size and colour."""

    def made(each: int) -> _Part:
        labels = np.tile(np.arange(len(_SHAPES)), each)
        return np.stack([_thing(label, random) for label in labels]), labels

    return MadeSet("shapes", "accuracy", *made(_SHAPES_EACH), *made(_SHAPES_TEST))


def defects(random: np.random.Generator) -> MadeSet:
    """Return grey waves of any direction, one in twenty with a scratch."""

    def made() -> _Part:
        labels = (random.random(_TEXTURES) < _DEFECT_SHARE).astype(np.int64)
        return np.stack([_texture(bool(label), random) for label in labels]), labels

    return MadeSet("defects", "balanced accuracy", *made(), *made())


MADE: Mapping[str, Callable[[np.random.Generator], MadeSet]] = {
    "shapes": shapes,
    "defects": defects,
}


def _thing(label: int, random: np.random.Generator) -> NDArray[np.uint8]:
    def colour() -> tuple[int, ...]:
        return tuple(random.integers(0, 256, 3).tolist())

    ground = colour()
    picture = Image.new("RGB", (_LARGE, _LARGE), ground)
    drawing = ImageDraw.Draw(picture)
    for _ in range(random.integers(2, 6)):
        ends = random.integers(0, _LARGE, 4).tolist()
        drawing.line(ends, fill=colour(), width=int(random.integers(1, 6)))
    mask = _mask(_SHAPES[label], int(random.integers(18, 40)))
    moved = tuple(random.integers(-20, 21, 2).tolist())
    mask = mask.rotate(random.uniform(0, 360), translate=moved)
    paint = ground
    while sum(abs(a - b) for a, b in zip(paint, ground, strict=True)) < 90:
        paint = colour()
    picture.paste(Image.new("RGB", picture.size, paint), (0, 0), mask)
    picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0, 2.5)))
    small = np.asarray(picture.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR), np.float64)
    noisy = small + random.normal(0, random.uniform(5, 28), small.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def _mask(shape: str, radius: int) -> Image.Image:
    """Return where a thing is, in the middle."""
    mask = Image.new("L", (_LARGE, _LARGE), 0)
    drawing, c, r = ImageDraw.Draw(mask), _LARGE // 2, radius
    if shape in ("circle", "ring"):
        drawing.ellipse([c - r, c - r, c + r, c + r], fill=255)
        if shape == "ring":
            inner = r - max(4, r // 3)
            drawing.ellipse([c - inner, c - inner, c + inner, c + inner], fill=0)
    elif shape in ("triangle", "star"):
        points = 3 if shape == "triangle" else 10
        lengths = [1.2 * r if shape == "triangle" or i % 2 == 0 else 0.5 * r for i in range(points)]
        angles = 2 * np.pi * np.arange(points) / points
        drawing.polygon(
            [
                (c + length * float(np.cos(a)), c + length * float(np.sin(a)))
                for length, a in zip(lengths, angles, strict=True)
            ],
            fill=255,
        )
    else:
        q, third = r // 4, r // 3
        boxes = {
            "square": [(c - r, c - r, c + r, c + r)],
            "bar": [(c - r, c - q, c + r, c + q)],
            "cross": [(c - r, c - q, c + r, c + q), (c - q, c - r, c + q, c + r)],
            "corner": [(c - r, c - r, c - third, c + r), (c - r, c + third, c + r, c + r)],
        }
        for box in boxes[shape]:
            drawing.rectangle(box, fill=255)
    return mask


def _texture(has_scratch: bool, random: np.random.Generator) -> NDArray[np.uint8]:
    down, right = np.mgrid[:_SIDE, :_SIDE]
    angle = random.uniform(0, np.pi)
    wave = np.sin(
        random.uniform(0.4, 1.1) * (np.cos(angle) * right + np.sin(angle) * down)
        + random.uniform(0, 2 * np.pi)
    )
    grey = random.uniform(90, 160) + random.uniform(5, 20) * wave
    grey = grey + random.normal(0, random.uniform(4, 14), grey.shape)
    if has_scratch:
        angle, (x, y) = random.uniform(0, np.pi), random.uniform(8, 24, 2)
        across = np.cos(angle) * (down - y) - np.sin(angle) * (right - x)
        along = np.abs(np.sin(angle) * (down - y) + np.cos(angle) * (right - x))
        depth = random.choice([-1, 1]) * random.uniform(35, 80)
        grey = grey + depth * np.exp(-np.square(across)) * (along < random.uniform(4, 10))
    picture: NDArray[np.uint8] = np.clip(grey, 0, 255).astype(np.uint8)[np.newaxis]
    return picture
