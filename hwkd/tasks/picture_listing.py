"""Lists the pictures of every class and split, and says what of them is not read."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.class_folders import ClassFolders, find_classes
from hwkd.tasks.folder_tree import UNREAD_PICTURE_SUFFIXES, FolderNode, first_names, suffixes

_SHOWN_CLASSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureListing:
    """Picture files of one data set: `labels[i]` and `splits[i]` belong to `files[i]`.

    Attributes:
        files: paths, each below `path`.
        splits: "train", "validation" or "test" of each file.
        class_names: in the order of the labels; the names of the folders.
        notes: how folders were taken, and what was left out.
    """

    files: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: tuple[str, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def list_pictures(path: Path, *, to_judge: bool = False) -> PictureListing:
    """Return every PNG and JPEG file below `path` with its class and split.

    Args:
        path: see `hwkd.tasks.class_folders`.
        to_judge: nothing is learned: splits without a train one will do.

    Raises:
        DataError: if there is no class folder with pictures, folders can be read in two ways, or a
            class is lost to a format that is not read.
    """
    plan = find_classes(path, to_judge=to_judge)
    first = _first_split(plan)
    keys = {name: unicodedata.normalize("NFC", name) for _, name, _ in plan.classes}
    names = sorted({keys[name] for split, name, _ in plan.classes if split == first})
    plan.notes += _alike(names)
    index = {name: number for number, name in enumerate(names)}
    files: list[str] = []
    labels: list[int] = []
    splits: list[str] = []
    owners: dict[tuple[int, int], tuple[str, str]] = {}
    left_out: Counter[str] = Counter()
    kinds: list[str] = []
    nested: list[str] = []
    for split, name, folder in plan.classes:
        if keys[name] not in index:
            where = f"{printable(folder.path)}: class {printable(name)!r} is in {split}"
            raise _of_no_class(where, keys[name], names, first)
        own, others = _files_of(folder, (split, keys[name]), owners, plan)
        _refuse_mostly_unread(folder, own, others)
        if others:
            left_out[printable(name)] += len(others)
            kinds += others
        nested += [name] if len(own) > len(folder.pictures) else []
        files += own
        labels += [index[keys[name]]] * len(own)
        splits += [split] * len(own)
    if nested:
        plan.notes.append(
            f"pictures in folders below a class folder count to that class ({first_names(nested)})"
        )
    if left_out:
        plan.notes.append(_what_was_left_out(left_out, kinds))
    shown = tuple(printable(name) for name in names)
    if len(set(shown)) < len(shown):
        raise DataError(
            f"{printable(path)}: two class folders are both shown as "
            f"{Counter(shown).most_common(1)[0][0]!r}; rename one"
        )
    return PictureListing(
        files=tuple(files),
        labels=np.array(labels, dtype=np.int64),
        splits=tuple(splits),
        class_names=shown,
        notes=tuple(dict.fromkeys(plan.notes)),
    )


def _first_split(plan: ClassFolders) -> str:
    """Return the split that says which classes there are: train, or what stands for it."""
    there = [split for split, _, _ in plan.classes]
    return next((split for split in ("train", "test") if split in there), there[0])


def _of_no_class(where: str, name: str, names: list[str], first: str) -> DataError:
    """Return what is wrong with a class that the split called `first` does not have."""
    alike = [known for known in names if known.casefold() == name.casefold()]
    advice = (
        f"rename it if it is {first}'s {printable(alike[0])!r}"
        if alike
        else f"add {first} images of it or remove the folder"
    )
    return DataError(f"{where} but not in {first}; {advice} ({first} has {first_names(names)})")


def _alike(names: list[str]) -> list[str]:
    """Say which classes differ in capitals alone: people mean one by both more often than not."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(printable(name))
    return [
        f"{' and '.join(map(repr, group))} are different classes; put their pictures into one "
        "folder if they are one"
        for group in groups.values()
        if len(group) > 1
    ]


def _what_was_left_out(counts: Counter[str], kinds: list[str]) -> str:
    """Say how many files of which classes are in formats that are not read."""
    per_class = ", ".join(
        f"{count:,} of {name!r}" for name, count in counts.most_common(_SHOWN_CLASSES)
    )
    more = ", ..." if len(counts) > _SHOWN_CLASSES else ""
    return (
        f"{counts.total():,} files that are not PNG or JPEG were left out: {per_class}{more} "
        f"({suffixes(kinds)})"
    )


def _files_of(
    folder: FolderNode,
    owner: tuple[str, str],
    owners: dict[tuple[int, int], tuple[str, str]],
    plan: ClassFolders,
) -> tuple[list[str], list[str]]:
    """Return pictures and other files of a class; a folder that two links share is read once."""
    files: list[str] = []
    others: list[str] = []
    for node in folder.below():
        before = owners.setdefault(node.identity, owner)
        if before[0] == owner[0] and before[1] != owner[1] and (node.pictures or node.others):
            raise DataError(
                f"{printable(node.path)}: one folder is linked into two classes, "
                f"{printable(before[1])!r} and {printable(owner[1])!r}; remove one link"
            )
        if before[0] != owner[0] and node.pictures:
            plan.notes.append(
                f"the {before[0]} and {owner[0]} splits share the linked folder {plan.short(node)}"
            )
        files += node.pictures
        others += node.others
    return files, others


def _refuse_mostly_unread(folder: FolderNode, files: list[str], others: list[str]) -> None:
    unread = [name for name in others if Path(name).suffix.lower() in UNREAD_PICTURE_SUFFIXES]
    if len(unread) > len(files):
        raise DataError(
            f"{printable(folder.path)}: {len(unread):,} of {len(unread) + len(files):,} pictures "
            f"of this class are neither PNG nor JPEG ({suffixes(unread)}); "
            "convert them or remove them"
        )
