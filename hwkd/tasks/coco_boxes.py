"""Reads COCO JSON files: `images`, `annotations` with `bbox` and `categories`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.io.text_files import MalformedTextError, read_json
from hwkd.tasks.box_listing import (
    BoxedPicture,
    BoxListing,
    ListedBox,
    PictureFiles,
    checked_names,
    split_of,
)
from hwkd.tasks.lost_notes import left_out

_KEYS = ("images", "annotations", "categories")
# The lists of COCO itself have 470 MB.
_MOST_BYTES = 2**30


def coco_files(root: Path) -> list[Path]:
    """Return the JSON files below a folder that may be lists of COCO; a file is its own."""
    if root.is_file():
        return [root] if root.suffix.lower() == ".json" else []
    return sorted(file for file in root.rglob("*.json") if file.is_file())


def read_coco(root: Path, files: list[Path]) -> BoxListing:
    """Read every list; the file's or a folder's name says which split it is.

    Args:
        root: folder with the pictures.

    Raises:
        DataError: names file and row of what cannot be used.
    """
    pictures_below = PictureFiles(root)
    names: tuple[str, ...] = ()
    pictures: list[BoxedPicture] = []
    crowds = 0
    # The list that training reads says which classes there are.
    for file in sorted(files, key=lambda file: split_of(file, root, by_name=True) != "train"):
        content = _content(file)
        labels, own = _classes(content["categories"], file)
        names = names or own
        if own != names:
            raise DataError(
                f"{printable(file)}: its categories are {', '.join(own[:6])}, those of the first "
                f"list {', '.join(names[:6])}; give all lists the same"
            )
        boxes, some = _boxes(content, labels, file)
        crowds += some
        split = split_of(file, root, by_name=True)
        for row, image in enumerate(content["images"]):
            where = f"{printable(file)}: images[{row}]"
            found = pictures_below.find(
                _text(image, "file_name", where), beside=file, split=split, where=where
            )
            own_boxes = tuple(boxes.pop(_number(image, "id", where), ()))
            size = _size(image)
            pictures.append(
                BoxedPicture(file=found, split=split, boxes=own_boxes, size=size, where=where)
            )
        for lost in boxes.values():
            if lost:
                raise DataError(f"{lost[0].where}: image_id is of none of its images; correct it")
    notes = (f"{crowds:,} boxes around crowds (iscrowd) were left out",) if crowds else ()
    unlisted = set(pictures_below.files) - {picture.file for picture in pictures}
    more = left_out(unlisted, "pictures that COCO does not list")
    return BoxListing(
        pictures=tuple(pictures), class_names=names, are_shares=False, notes=(*notes, *more)
    )


def _content(file: Path) -> Mapping[str, list[Any]]:
    if file.stat().st_size > _MOST_BYTES:
        raise DataError(f"{printable(file)}: more than {_MOST_BYTES >> 20} MiB; divide it")
    try:
        content = read_json(file)
    except MalformedTextError as error:
        raise DataError(f"{printable(file)}: no JSON ({error}); export it again") from None
    given = content if isinstance(content, dict) else {}
    missing = [key for key in _KEYS if not isinstance(given.get(key), list)]
    if missing:
        raise DataError(
            f"{printable(file)}: no COCO file, it has no list {', '.join(missing)}; expected "
            f"{', '.join(_KEYS)}"
        )
    return given


def _classes(categories: list[Any], file: Path) -> tuple[dict[int, int], tuple[str, ...]]:
    """Return category id -> label, and the names in the order of the labels."""
    known = {}
    for row, category in enumerate(categories):
        where = f"{printable(file)}: categories[{row}]"
        known[_number(category, "id", where)] = _text(category, "name", where)
    order = sorted(known)
    names = checked_names([known[number] for number in order], str(file))
    return {number: label for label, number in enumerate(order)}, names


def _boxes(
    content: Mapping[str, list[Any]], labels: Mapping[int, int], file: Path
) -> tuple[dict[int, list[ListedBox]], int]:
    """Return image id -> its boxes, and how many crowds were left out."""
    found: dict[int, list[ListedBox]] = {}
    crowds = 0
    for row, annotation in enumerate(content["annotations"]):
        where = f"{printable(file)}: annotations[{row}]"
        category = _number(annotation, "category_id", where)
        if category not in labels:
            raise DataError(
                f"{where}: category_id {category} is none of its categories "
                f"({', '.join(map(str, sorted(labels)[:6]))}); correct it"
            )
        if annotation.get("iscrowd"):
            crowds += 1
            continue
        bbox = annotation.get("bbox")
        if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(_is_number, bbox))):
            raise DataError(f"{where}: bbox is no list of four numbers, x, y, width and height")
        left, top, width, height = map(float, bbox)
        box = ListedBox(
            label=labels[category], edges=(left, top, left + width, top + height), where=where
        )
        found.setdefault(_number(annotation, "image_id", where), []).append(box)
    return found, crowds


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return height and width that an image is said to have; some tools write 0 for unknown."""
    sides = (image.get("height"), image.get("width"))
    if all(isinstance(side, int) and side > 0 for side in sides):
        return int(sides[0] or 0), int(sides[1] or 0)
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _number(row: object, key: str, where: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{where}: has no whole number {key!r}; export it again")
    return value


def _text(row: object, key: str, where: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value or "\0" in value:
        raise DataError(f"{where}: has no text {key!r}; export it again")
    return value
