"""Walks a user's folder once: pictures, other files and folders, through links but never round."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from hwkd.core.errors import DataError
from hwkd.core.printable import printable

PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif"})
UNREAD_PICTURE_SUFFIXES = frozenset(
    {
        ".bmp", ".gif", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".jp2", ".jxl",
        ".ppm", ".pgm", ".pnm", ".tga", ".dng", ".raw", ".cr2", ".nef", ".arw", ".dcm", ".svg",
        ".ico", ".exr", ".hdr",
    }
)  # fmt: skip
# What systems and tools leave beside data: previews, byte code, waste bins.
_SYSTEM_FOLDERS = frozenset(
    {"__macosx", "__pycache__", "@eadir", "$recycle.bin", "system volume information"}
)
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
_DEEPEST = 32
_SHOWN = 5


@dataclass(slots=True, kw_only=True, eq=False)
class FolderNode:
    """One folder as it lies on disk.

    Attributes:
        identity: device and inode; two links to one folder share a node.
        pictures: paths of PNG and JPEG files directly in it, sorted.
        others: names of other files directly in it, sorted; links that lead nowhere included.
        folders: (name, folder) directly in it, sorted by name; hidden and system folders are not.
        picture_count: pictures in it and below; folders reached twice count twice.
    """

    path: str
    identity: tuple[int, int]
    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    folders: list[tuple[str, FolderNode]] = field(default_factory=list)
    picture_count: int = 0

    def holding_pictures(self) -> list[tuple[str, FolderNode]]:
        """Return the folders directly in it with a picture in them or below."""
        return [(name, node) for name, node in self.folders if node.picture_count]

    def below(self) -> Iterator[FolderNode]:
        """Yield itself and every folder below, each once however many links lead to it."""
        seen: set[tuple[int, int]] = set()
        waiting = [self]
        while waiting:
            node = waiting.pop()
            if node.identity not in seen:
                seen.add(node.identity)
                yield node
                waiting += [child for _, child in reversed(node.folders)]


def scan_folder(path: Path) -> FolderNode:
    """Return the tree of `path`; every folder is listed once, links are followed.

    Raises:
        DataError: if a link leads back to a folder that it is in, or folders are nested too deep.
        OSError: if a folder cannot be listed.
    """
    return _scanned(os.fspath(path), [], {})


def holds_picture(path: Path) -> bool:
    """Tell whether a PNG or JPEG file lies below `path`, without following links."""
    return any(
        os.path.splitext(name)[1].lower() in PICTURE_SUFFIXES  # noqa: PTH122
        for _, _, names in os.walk(path)
        for name in names
    )


def suffixes(names: list[str]) -> str:
    """Return the kinds of files among `names`, most frequent first: "10 .bmp, 1 .txt".

    Args:
        names: of `FolderNode.others`, where a picture's suffix is that of a link to nothing.
    """
    kinds = Counter(os.path.splitext(name)[1].lower() or "without suffix" for name in names)  # noqa: PTH122
    for kind in PICTURE_SUFFIXES & kinds.keys():
        kinds[f"{kind} link that leads nowhere"] = kinds.pop(kind)
    shown = [f"{count:,} {printable(kind)}" for kind, count in kinds.most_common(4)]
    return ", ".join(shown) + (", ..." if len(kinds) > 4 else "")


def first_names(names: list[str]) -> str:
    """Return names for a message: all, or the first five and how many there are."""
    shown = ", ".join(printable(name) for name in names[:_SHOWN])
    return shown + (f", ... ({len(names):,})" if len(names) > _SHOWN else "")


def _scanned(
    path: str, above: list[tuple[int, int]], known: dict[tuple[int, int], FolderNode]
) -> FolderNode:
    status = os.stat(path)  # noqa: PTH116
    identity = (status.st_dev, status.st_ino)
    if identity in above:
        raise DataError(
            f"{printable(path)}: this link leads back to a folder that it lies in; remove the link"
        )
    if identity in known:
        return known[identity]
    if len(above) == _DEEPEST:
        raise DataError(
            f"{printable(path)}: folders nested more than {_DEEPEST} deep; "
            "give the folder that holds the class folders"
        )
    node = FolderNode(path=path, identity=identity)
    # Strings, not Path objects: a data set of a million pictures is listed in seconds.
    with os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            _add(node, entry, [*above, identity], known)
    node.picture_count = len(node.pictures) + sum(child.picture_count for _, child in node.folders)
    known[identity] = node
    return node


def _add(
    node: FolderNode,
    entry: os.DirEntry[str],
    above: list[tuple[int, int]],
    known: dict[tuple[int, int], FolderNode],
) -> None:
    name = entry.name
    lower = name.lower()
    if name.startswith(".") or lower in _SYSTEM_FOLDERS or lower in _SYSTEM_FILES:
        return
    if entry.is_dir():
        node.folders.append((name, _scanned(entry.path, above, known)))
    elif entry.is_file() and os.path.splitext(lower)[1] in PICTURE_SUFFIXES:  # noqa: PTH122
        node.pictures.append(entry.path)
    else:
        node.others.append(name)
