"""Pictures with boxes as a file lists them, before anything is decoded, and what a box must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.boxes import BOX_VALUES, NO_BOX
from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.base import SplitName
from hwkd.tasks.folder_tree import scan_folder
from hwkd.tasks.split_names import split_meaning

# Tools round edges, and count pixels from 0 or from 1.
_OVERSHOOT_PIXELS = 1.0
_MOST_IN_PICTURE = 1_000
_MOST_CLASSES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedBox:
    """One thing in a picture.

    Attributes:
        edges: left, top, right and bottom, in pixels of the stored picture or in shares of it.
        where: file and row, for messages.
    """

    label: int
    edges: tuple[float, float, float, float]
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxedPicture:
    """A picture file and the things in it; none is a picture of the ground alone.

    Attributes:
        size: (height, width) that the list says it has; None where it says nothing.
        where: file and row of the list, for messages.
    """

    file: str
    split: SplitName
    boxes: tuple[ListedBox, ...]
    size: tuple[int, int] | None = None
    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxListing:
    """All pictures of a source.

    Attributes:
        are_shares: edges are shares of the picture's width and height.
        notes: what was left out.
    """

    pictures: tuple[BoxedPicture, ...]
    class_names: tuple[str, ...]
    are_shares: bool
    notes: tuple[str, ...] = ()


class PictureFiles:
    """The picture files below a folder, found by the names that lists have for them."""

    def __init__(self, root: Path) -> None:
        """List them.

        Raises:
            DataError: if there is none.
        """
        self._root = root
        self.files = [file for node in scan_folder(root).below() for file in node.pictures]
        self._named: dict[str, list[str]] = {}
        for file in self.files:
            self._named.setdefault(Path(file).name, []).append(file)
        if not self.files:
            raise DataError(f"{printable(root)}: holds no PNG or JPEG picture; put them beside it")

    def find(self, name: str, *, beside: Path, split: SplitName, where: str) -> str:
        """Return the file that a list calls `name`.

        Args:
            beside: the list; of several files, that in its folder is meant, or that of its split.

        Raises:
            DataError: if there is none, or several.
        """
        wanted = Path(name).parts
        named = self._named.get(Path(name).name, [])
        # A list may be of another machine, and its folders be others.
        found = [file for file in named if Path(file).parts[-len(wanted) :] == wanted] or named
        near = [file for file in found if Path(file).parent == beside.parent]
        alike = [file for file in found if split_of(Path(file), self._root) == split]
        for choice in (found, near, alike):
            if len(choice) == 1:
                return choice[0]
        what = f"{len(found)} pictures of this name" if found else "no picture of this name"
        raise DataError(
            f"{where}: {what}, {printable(name)!r}, below {printable(self._root)}; "
            + ("give each a name of its own" if found else "add it or remove the row")
        )


def split_of(file: Path, root: Path, *, by_name: bool = False) -> SplitName:
    """Return the split that a folder above a file, or its own name, speaks of; else train.

    Raises:
        DataError: if it says that nothing has labels.
    """
    inside = file.relative_to(root).parts
    named = [(part, False) for part in inside[:-1]] + ([(file.stem, True)] if by_name else [])
    for part, is_file in reversed(named):
        meaning = split_meaning(part)
        if meaning is not None and (meaning.is_plain or is_file):
            if meaning.role == "unlabelled":
                raise DataError(f"{printable(file)}: pictures without boxes; move them elsewhere")
            return meaning.role
    return "train"


def read_names(file: Path) -> tuple[str, ...]:
    """Read names of classes, one a line.

    Raises:
        DataError: if it is no UTF-8, or a name stands twice.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(file)}: not UTF-8; save it as UTF-8 text") from error
    return checked_names([line.strip() for line in lines if line.strip()], str(file))


def checked_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Return names of classes as they may be shown.

    Raises:
        DataError: if there is none, there are too many, or one stands twice.
    """
    shown = tuple(printable(name) for name in names)
    if not shown or len(set(shown)) < len(shown) or len(shown) > _MOST_CLASSES:
        raise DataError(
            f"{printable(where)}: {len(shown)} names of {len(set(shown))} classes; expected 1 to "
            f"{_MOST_CLASSES}, each once"
        )
    return shown


def label_arrays(
    listing: BoxListing, stored: Sequence[tuple[int, int]], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return every picture's boxes, float32 [n, most, 5]: class, left, top, right and bottom.

    Edges are in pixels of `size`; rows without a box have class -1.

    Args:
        stored: (height, width) of each picture as it is stored.
        size: (height, width) that pictures are resized to.

    Raises:
        DataError: names file and row of a box that lies outside its picture or has no size, or of
            a picture that has another size than its list says.
    """
    most = max((len(picture.boxes) for picture in listing.pictures), default=0)
    if most > _MOST_IN_PICTURE:
        crowded = max(listing.pictures, key=lambda picture: len(picture.boxes))
        raise DataError(
            f"{printable(crowded.file)}: {most:,} boxes in one picture; {_MOST_IN_PICTURE:,} are "
            "possible"
        )
    labels = np.zeros((len(stored), max(1, most), BOX_VALUES), dtype=np.float32)
    labels[:, :, 0] = NO_BOX
    for row, (picture, (height, width)) in enumerate(zip(listing.pictures, stored, strict=True)):
        _require_size(picture, (height, width))
        unit = np.array([width, height] * 2) if listing.are_shares else np.ones(4)
        scale = np.array([size[1] / width, size[0] / height] * 2)
        for at, box in enumerate(picture.boxes):
            edges = _checked_edges(np.array(box.edges) * unit, (height, width), box.where)
            labels[row, at] = (box.label, *(edges * scale))
    return labels


def _require_size(picture: BoxedPicture, stored: tuple[int, int]) -> None:
    if picture.size not in (None, stored):
        assert picture.size is not None
        raise DataError(
            f"{picture.where}: says that the picture is {picture.size[1]}x{picture.size[0]} (width "
            f"x height), but {printable(Path(picture.file).name)} is {stored[1]}x{stored[0]}; "
            "boxes of another size would be wrong, give the picture that they were drawn on"
        )


def _checked_edges(
    edges: NDArray[np.float64], picture: tuple[int, int], where: str
) -> NDArray[np.float64]:
    left, top, right, bottom = edges.tolist()
    height, width = picture
    shown = f"{left:g}, {top:g} to {right:g}, {bottom:g} (x, y)"
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise DataError(f"{where}: a box with an edge that is no number; correct it")
    if not (right > left and bottom > top):
        raise DataError(f"{where}: a box from {shown}, which has no size; correct or remove it")
    beyond = max(-left, -top, right - width, bottom - height)
    if beyond > _OVERSHOOT_PIXELS:
        raise DataError(
            f"{where}: a box from {shown} reaches {beyond:.3g} pixels outside its picture of "
            f"{width}x{height} (width x height); correct it"
        )
    inside: NDArray[np.float64] = np.clip(edges, 0.0, [width, height] * 2)
    if inside[2] <= inside[0] or inside[3] <= inside[1]:
        raise DataError(f"{where}: a box from {shown} lies outside its picture; correct it")
    return inside
