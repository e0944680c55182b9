"""Pictures of discs and squares on a noisy ground, with boxes in each format that is read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("disc", "square")
SIZE = 32


def boxed_scene(random: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, list[int]]]]:
    """Return grey levels and (class, [left, top, right, bottom]) of up to two things."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    picture, boxes = random.normal(60, 15, (SIZE, SIZE)), []
    for label in (0, 1):
        if random.random() < 0.2:
            continue
        reach = int(random.integers(4, 8))
        # Cells of 8x8 that hold a middle do not touch.
        left = int(random.integers(4, 8)) + label * 20
        top = int(random.integers(reach, SIZE - reach))
        down, right = np.abs(rows - top), np.abs(columns - left)
        inside = down**2 + right**2 <= reach**2 if label == 0 else np.maximum(down, right) <= reach
        picture[inside] = random.normal(130 if label == 0 else 220, 8, inside.sum())
        edges = [left - reach, top - reach, left + reach + 1, top + reach + 1]
        boxes.append((label, [int(min(max(edge, 0), SIZE)) for edge in edges]))
    return picture.clip(0, 255).astype(np.uint8), boxes


def write_coco(folder: Path, *, examples: int = 60, seed: int = 0, split: str = "train") -> Path:
    """Write pictures of a split and their list."""
    random = np.random.default_rng(seed)
    (folder / split).mkdir(parents=True)
    images, annotations = [], []
    for number in range(examples):
        picture, boxes = boxed_scene(random)
        name = f"{split}{number:03}.png"
        Image.fromarray(picture).save(folder / split / name)
        images.append({"id": number, "file_name": name})
        for label, (left, top, right, bottom) in boxes:
            bbox = [left, top, right - left, bottom - top]
            annotations.append({"image_id": number, "category_id": label + 7, "bbox": bbox})
    categories = [{"id": label + 7, "name": name} for label, name in enumerate(NAMES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{split}.json").write_text(json.dumps(content))
    return folder


def write_yolo(folder: Path, *, examples: int = 4, seed: int = 0, split: str = "train") -> Path:
    """Write the same as text files."""
    random = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (folder / part / split).mkdir(parents=True)
    (folder / "data.yaml").write_text("names:\n  0: disc\n  1: 'square'\n")
    for number in range(examples):
        picture, boxes = boxed_scene(random)
        Image.fromarray(picture).save(folder / "images" / split / f"{number:03}.png")
        lines = [
            f"{label} {(x0 + x1) / 2 / SIZE} {(y0 + y1) / 2 / SIZE} {(x1 - x0) / SIZE} "
            f"{(y1 - y0) / SIZE}"
            for label, (x0, y0, x1, y1) in boxes
        ]
        if lines:
            (folder / "labels" / split / f"{number:03}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_voc(folder: Path, *, examples: int = 4, seed: int = 0) -> Path:
    """Write the same as XML files; the last picture is listed as a test picture.

    Pixels are counted from 1, and the last of a box lies in it.
    """
    random = np.random.default_rng(seed)
    for part in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for number in range(examples):
        picture, boxes = boxed_scene(random)
        Image.fromarray(picture).save(folder / "JPEGImages" / f"{number:03}.png")
        things = "".join(
            f"<object><name>{NAMES[label]}</name><bndbox><xmin>{x0 + 1}</xmin>"
            f"<ymin>{y0 + 1}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
            for label, (x0, y0, x1, y1) in boxes
        )
        text = f"<annotation>{things}</annotation>"
        (folder / "Annotations" / f"{number:03}.xml").write_text(text)
    stems = [f"{number:03}" for number in range(examples)]
    (folder / "ImageSets" / "Main" / "train.txt").write_text("\n".join(stems[:-1]) + "\n")
    (folder / "ImageSets" / "Main" / "test.txt").write_text(stems[-1] + "\n")
    return folder
