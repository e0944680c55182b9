"""Reads YOLO text files: a line `class x y width height` for each box, in shares of the picture.

The file lies beside its picture, or in `labels/` where the picture lies in `images/`. Names stand
in `classes.txt`, `*.names` or `names:` of a `*.yaml`.
"""

from __future__ import annotations

import re
from pathlib import Path

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.box_listing import (
    BoxedPicture,
    BoxListing,
    ListedBox,
    PictureFiles,
    checked_names,
    read_names,
    split_of,
)
from hwkd.tasks.lost_notes import left_out

_IMAGES, _LABELS = "images", "labels"
_MOST_BYTES = 2**20
# `names: [a, b]` or, below `names:`, lines `0: a` or `- a`.
_FLOW = re.compile(r"^names\s*:\s*\[([^\]]*)\]", re.MULTILINE)
_BLOCK = re.compile(r"^names\s*:\s*\n((?:[ \t]*(?:\d+\s*:|-)[^\n]*\n?)+)", re.MULTILINE)
# The beginning of a list of boxes, and enough of a file to see it.
_BOX = re.compile(rb"\s*\d+(\s+[\d.eE+-]+){4}")
_FIRST_BYTES = 200
_ENTRY = re.compile(r"^[ \t]*(?:\d+\s*:|-)\s*(.*?)\s*$", re.MULTILINE)


def label_file(picture: str) -> Path:
    """Return where the boxes of a picture are listed, whether the file is there or not."""
    path = Path(picture).with_suffix(".txt")
    beside = path.parts[:-1]
    if _IMAGES not in beside:
        return path
    at = len(beside) - 1 - beside[::-1].index(_IMAGES)
    moved = Path(*path.parts[:at], _LABELS, *path.parts[at + 1 :])
    return moved if moved.parent.is_dir() or not path.is_file() else path


def read_yolo(root: Path, pictures: PictureFiles) -> BoxListing:
    """Read the boxes of every picture; one without a file has none.

    Raises:
        DataError: names file and line of what cannot be used.
    """
    names = _names(root)
    listed = []
    for file in pictures.files:
        source = label_file(file)
        boxes = _boxes(source, names) if source.is_file() else ()
        listed.append(BoxedPicture(file=file, split=split_of(Path(file), root), boxes=boxes))
    if names is None:
        highest = max((b.label for p in listed if p.split == "train" for b in p.boxes), default=-1)
        for box in (box for picture in listed for box in picture.boxes):
            if box.label > highest:
                raise DataError(f"{box.where}: class {box.label}, which no train picture has")
        names = checked_names([str(label) for label in range(highest + 1)], str(root))
    without = sum(not label_file(picture.file).is_file() for picture in listed)
    notes = (f"without a text file, and so a box: {without:,} of the pictures",) if without else ()
    alone = left_out(_alone(root, pictures), "text files of boxes without their picture")
    return BoxListing(
        pictures=tuple(listed), class_names=names, are_shares=True, notes=(*notes, *alone)
    )


def _alone(root: Path, pictures: PictureFiles) -> list[str]:
    """Return the files of boxes that belong to no picture."""
    known = {label_file(file) for file in pictures.files}
    return [
        str(file) for file in root.rglob("*.txt")
        if file not in known and file.is_file() and _begins_with_a_box(file)
    ]  # fmt: skip


def _begins_with_a_box(file: Path) -> bool:
    with file.open("rb") as stream:
        return _BOX.match(stream.read(_FIRST_BYTES)) is not None


def _names(root: Path) -> tuple[str, ...] | None:
    for file in (root / "classes.txt", *sorted(root.glob("*.names"))):
        if file.is_file():
            return read_names(file)
    for file in sorted((*root.glob("*.yaml"), *root.glob("*.yml"))):
        text = _text(file)
        flow, block = _FLOW.search(text), _BLOCK.search(text)
        entries = flow[1].split(",") if flow else _ENTRY.findall(block[1]) if block else []
        names = [entry.strip().strip("'\"") for entry in entries]
        if any(names):
            return checked_names([name for name in names if name], str(file))
    return None


def _boxes(file: Path, names: tuple[str, ...] | None) -> tuple[ListedBox, ...]:
    found = []
    for number, line in enumerate(_text(file).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{printable(file)}: line {number}"
        words = line.split()
        try:
            label = int(words[0])
            x, y, width, height = map(float, words[1:])
        except ValueError:
            raise DataError(
                f"{where}: {printable(line.strip()[:60])!r}, expected a class number and x, y, "
                "width and height in shares of the picture"
            ) from None
        if label < 0 or (names is not None and label >= len(names)):
            known = "classes are counted from 0" if names is None else f"there are {len(names)}"
            raise DataError(f"{where}: class {label} is unknown, {known}; correct it")
        if max(x, y, width, height) > 2.0:
            raise DataError(f"{where}: {max(x, y, width, height):g} is no share of the picture")
        edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        found.append(ListedBox(label=label, edges=edges, where=where))
    return tuple(found)


def _text(file: Path) -> str:
    if file.stat().st_size > _MOST_BYTES:
        raise DataError(f"{printable(file)}: more than {_MOST_BYTES >> 20} MiB, no list of boxes")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(file)}: not UTF-8; save it as UTF-8 text") from error
