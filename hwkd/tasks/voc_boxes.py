"""Reads Pascal VOC folders: an XML file for each picture, of the same name.

Pixels are counted from 1 and the last one of a box is inside, as VOC has it and detectron2 reads
it; where a left or upper edge of the data is 0, another tool counted from 0, and edges stay as they
are.

`ImageSets/Main/train.txt` and the like say which pictures are in which split, where they are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.base import SplitName
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
from hwkd.tasks.split_names import split_meaning

_EDGES = ("xmin", "ymin", "xmax", "ymax")
_MOST_BYTES = 2**20
_DEEPEST = 20


def read_voc(root: Path, files: list[Path], pictures: PictureFiles) -> BoxListing:
    """Read every XML file with its picture.

    Raises:
        DataError: names the file, and the object, that cannot be used.
    """
    by_stem: dict[str, list[str]] = {}
    for picture in pictures.files:
        by_stem.setdefault(Path(picture).stem, []).append(picture)
    lists, given = _lists(root), _given_names(root)
    named: list[tuple[str, SplitName, _Annotation]] = []
    for file in files:
        split = lists.get(file.stem, split_of(file, root))
        found = by_stem.get(file.stem, [])
        near = [p for p in found if Path(p).parent == file.parent] or [
            p for p in found if split_of(Path(p), root) == split_of(file, root)
        ]
        if len(found) != 1 and len(near) != 1:
            raise DataError(
                f"{printable(file)}: {len(found)} pictures of its name; expected one, a PNG or JPEG"
            )
        named.append(((found if len(found) == 1 else near)[0], split, _annotation(file)))
    every = [thing for *_, annotation in named for thing in annotation.objects]
    names = given or checked_names(
        sorted({name for _, split, a in named if split == "train" for name, _ in a.objects}),
        str(root),
    )
    first = 0.0 if any(min(box.edges[:2]) < 1.0 for _, box in every) else 1.0
    listed = [
        BoxedPicture(
            file=file,
            split=split,
            boxes=tuple(_labelled(annotation.objects, names, first)),
            size=annotation.size,
            where=annotation.where,
        )
        for file, split, annotation in named
    ]
    notes = left_out(
        set(pictures.files) - {file for file, *_ in named}, "pictures without an XML file"
    )
    if not first:
        notes += ("pixels of the boxes are counted from 0, since an edge is 0; VOC's begin at 1",)
    return BoxListing(pictures=tuple(listed), class_names=names, are_shares=False, notes=notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Annotation:
    """What an XML file says.

    Attributes:
        objects: name and box, with edges as they stand.
        size: (height, width) of the picture; None where nothing is said.
    """

    where: str
    objects: list[tuple[str, ListedBox]]
    size: tuple[int, int] | None


def _labelled(
    objects: list[tuple[str, ListedBox]], names: tuple[str, ...], first: float
) -> list[ListedBox]:
    """Return boxes with labels, and edges in pixels from 0; `first` is what pixels begin at."""
    boxes = []
    for name, box in objects:
        if name not in names:
            raise DataError(
                f"{box.where}: class {name!r} is none of {', '.join(names[:6])}; correct it"
            )
        left, top, right, bottom = box.edges
        edges = (left - first, top - first, right, bottom)
        boxes.append(ListedBox(label=names.index(name), edges=edges, where=box.where))
    return boxes


def _given_names(root: Path) -> tuple[str, ...] | None:
    file = root / "classes.txt"
    return read_names(file) if file.is_file() else None


def _lists(root: Path) -> dict[str, SplitName]:
    """Return the split of each picture that `ImageSets/Main` lists."""
    found: dict[str, SplitName] = {}
    for file in sorted(root.rglob("ImageSets/Main/*.txt")):
        meaning = split_meaning(file.stem)
        # "trainval" repeats what the others say, and "cat_train" is a list of one class.
        if meaning is None or not meaning.is_plain or file.stem == "trainval":
            continue
        if meaning.role != "unlabelled":
            found |= dict.fromkeys(_stems(file), meaning.role)
    return found


def _stems(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split()
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(file)}: not UTF-8; save it as UTF-8 text") from error


def _annotation(file: Path) -> _Annotation:
    tree = _parsed(file)
    try:
        height, width = (int(tree.findtext(f"size/{side}") or 0) for side in ("height", "width"))
    except ValueError:
        raise DataError(f"{printable(file)}: its size is no whole number; correct it") from None
    # Some tools write 0 where they do not know it.
    size = (height, width) if min(height, width) > 0 else None
    return _Annotation(where=printable(file), objects=_objects(file, tree), size=size)


def _objects(file: Path, tree: ElementTree.Element) -> list[tuple[str, ListedBox]]:
    """Return name and box of every object; the label is set when all names are known."""
    found = []
    for number, thing in enumerate(tree.findall("object"), 1):
        where = f"{printable(file)}: object {number}"
        name, box = thing.findtext("name"), thing.find("bndbox")
        texts = [None if box is None else box.findtext(edge) for edge in _EDGES]
        try:
            left, top, right, bottom = (float(text) if text else float("nan") for text in texts)
        except ValueError:
            raise DataError(f"{where}: an edge of its bndbox is no number; correct it") from None
        if not name or not name.strip():
            raise DataError(f"{where}: has no name; give it its class")
        edges = (left, top, right, bottom)
        found.append((printable(name.strip()), ListedBox(label=-1, edges=edges, where=where)))
    return found


def _parsed(file: Path) -> ElementTree.Element:
    """Return the tree of a file that defines no entities and is nested a little.

    Raises:
        DataError: if it is something else.
    """
    if file.stat().st_size > _MOST_BYTES:
        raise DataError(f"{printable(file)}: more than {_MOST_BYTES >> 20} MiB, no list of boxes")
    content = file.read_bytes()
    depth = 0

    def refuse(*_: object) -> None:
        raise DataError(f"{printable(file)}: has a DOCTYPE, by which XML can grow; remove it")

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise DataError(f"{printable(file)}: nested more than {_DEEPEST} deep, no VOC file")

    def leave(_: str) -> None:
        nonlocal depth
        depth -= 1

    # Both passes are by expat, so that the second reads nothing that the first did not see.
    guard = expat.ParserCreate()
    guard.StartDoctypeDeclHandler = refuse
    guard.StartElementHandler = enter
    guard.EndElementHandler = leave
    try:
        guard.Parse(content, True)
        return ElementTree.fromstring(content)
    except (expat.ExpatError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(
            f"{printable(file)}: no XML ({printable(str(error))}); export it again"
        ) from None
