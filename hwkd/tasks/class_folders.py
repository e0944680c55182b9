"""Finds classes and splits in a tree of folders with pictures, as archives and tools lay them out.

Understood: `cat/1.png`; `train/cat/1.png` beside `test/...`, under all usual names of splits and
through folders that only wrap (`archive/training_set/training_set/cat/1.png`); `cat/train/1.png`.
What could be read in two ways is refused, and what is left out is named.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.folder_tree import (
    UNREAD_PICTURE_SUFFIXES,
    FolderNode,
    scan_folder,
    suffixes,
)
from hwkd.tasks.split_names import SplitRole, name_words, one_per_split, split_meaning

__all__ = ["PictureListing", "list_pictures"]

_ADVICE = (
    "expected one folder per class (PATH/cat/1.png), or the folders train, validation and test "
    "with class folders in each"
)
# A folder of a class may also hold descriptions of its pictures; sound or video would be a class
# that is lost.
_DESCRIPTIONS = frozenset(
    {
        "", ".txt", ".xml", ".json", ".jsonl", ".csv", ".tsv", ".md", ".html", ".pdf", ".yaml",
        ".yml", ".py", ".ipynb", ".pyc", ".sh", ".mat", ".log", ".rst", ".doc", ".docx", ".xls",
        ".xlsx", ".zip", ".gz", ".tar", ".toml", ".cache", ".names", ".license",
    }
)  # fmt: skip
_PICTURE_WORDS = frozenset({"image", "images", "img", "imgs", "picture", "pictures", "photos"})
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureListing:
    """Picture files of one data set: `labels[i]` and `splits[i]` belong to `files[i]`.

    Attributes:
        files: paths, each below `path`.
        labels: class indices.
        splits: "train", "validation" or "test" of each file.
        class_names: in the order of the labels; the names of the folders.
        notes: how folders were taken, and what was left out.
    """

    files: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: tuple[str, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Plan:
    """Class folders found so far: (split, class name, folder)."""

    root: FolderNode
    classes: list[tuple[SplitRole, str, FolderNode]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, what: str, why: str) -> None:
        self.notes.append(f"left out: {what}: {why}")


def list_pictures(path: Path) -> PictureListing:
    """Return every PNG and JPEG file below `path` with its class and split.

    Raises:
        DataError: if there is no class folder with pictures, or folders can be read in two ways.
    """
    plan = _Plan(root=scan_folder(path))
    if not plan.root.picture_count:
        unread = [name for node in plan.root.below() for name in node.others]
        found = f"; it holds {suffixes(unread)}" if unread else ""
        raise DataError(
            f"{printable(path)}: no PNG or JPEG picture in any folder{found}; {_ADVICE}"
        )
    root = _unwrapped(plan, plan.root)
    _find_classes(plan, root)
    return _listed(plan)


def _unwrapped(plan: _Plan, node: FolderNode, role: SplitRole | None = None) -> FolderNode:
    """Go down through folders that only wrap one folder; name what lies beside it."""
    start = node
    while (inner := _wrapped(node, role)) is not None:
        name, child = inner
        _name_unused(plan, node, besides={name})
        node = child
    if node is not start:
        plan.notes.append(f"pictures are read from {_short(plan, node)}")
    return node


def _wrapped(node: FolderNode, role: SplitRole | None = None) -> tuple[str, FolderNode] | None:
    """Return the one folder with pictures in `node` when it is neither a class nor a split.

    Args:
        node: of the tree.
        role: split that `node` is or lies in; None outside splits.
    """
    if node.pictures or len(node.holding_pictures()) != 1:
        return None
    name, child = node.holding_pictures()[0]
    meaning = split_meaning(name)
    holds_folders = bool(child.holding_pictures()) and not child.pictures
    if meaning is not None and meaning.role == role:
        is_wrapper = meaning.is_plain or holds_folders or name == Path(node.path).name
    elif meaning is not None:
        is_wrapper = len(_roles([inner for inner, _ in child.holding_pictures()])) > 1
    else:
        # `train/images/1.png` has no class; `archive/train/cat/1.png` has.
        is_flat = role is not None and set(name_words(name)) <= _PICTURE_WORDS
        is_wrapper = holds_folders or is_flat
    return (name, child) if is_wrapper else None


def _roles(names: Iterable[str], *, plain_only: bool = False) -> set[SplitRole]:
    meanings = [meaning for name in names if (meaning := split_meaning(name)) is not None]
    return {meaning.role for meaning in meanings if meaning.is_plain or not plain_only}


def _find_classes(plan: _Plan, root: FolderNode) -> None:
    children = dict(root.holding_pictures())
    if not children:
        raise DataError(
            f"{_shown(root)}: {len(root.pictures):,} pictures lie directly in this folder, so none "
            f"has a class; {_ADVICE}"
        )
    named = [name for name in children if split_meaning(name) is not None]
    if named and _are_splits(root, children, named):
        _add_splits(plan, root, children, named)
        return
    if named:
        plan.notes.append(f"{_quoted(named)} read as a class, not as a split")
    if _hold_splits(root, children):
        _add_splits_of_classes(plan, root, children)
        return
    _refuse_alike(root, children)
    _add_classes(plan, root, "train")


def _are_splits(root: FolderNode, children: dict[str, FolderNode], named: list[str]) -> bool:
    """Tell splits from classes that are called like one ("train" beside "bus" and "car")."""
    meanings = {name: meaning for name in named if (meaning := split_meaning(name)) is not None}
    with_classes = [name for name in named if children[name].holding_pictures()]
    rest = [name for name in children if name not in named]
    roles = _roles(named)
    has_train = any(meanings[name].role == "train" for name in with_classes)
    rest_is_flat = not any(children[name].holding_pictures() for name in rest)
    if len(roles) > 1 and (not rest or len(with_classes) > 1 or (has_train and rest_is_flat)):
        return True
    could_be_classes = all(m.role == "train" or not m.is_plain for m in meanings.values())
    if not rest:
        return bool(with_classes) or not could_be_classes or len(named) == 1
    if not with_classes and len(roles) == 1 and could_be_classes:
        return False
    raise DataError(
        f"{_shown(root)}: {_quoted(named)} may be a split or a class beside {_quoted(rest)}; "
        "rename it, or put the class folders into train, validation and test folders"
    )


def _add_splits(
    plan: _Plan, root: FolderNode, children: dict[str, FolderNode], named: list[str]
) -> None:
    roles, doubled = one_per_split(named)
    if doubled:
        raise DataError(
            f"{_shown(root)}: {' and '.join(map(repr, map(printable, doubled[0])))} are both "
            f"{roles[doubled[0][0]]} folders by their names; keep one, or merge them"
        )
    if "train" not in roles.values():
        raise DataError(
            f"{_shown(root)}: found {_quoted(named)} but no train folder; give the folder that "
            "holds train as well"
        )
    for name, role in roles.items():
        if role == "unlabelled":
            plan.leave_out(
                f"folder {printable(name)!r} ({children[name].picture_count:,} pictures)",
                "its pictures have no label; hwkd distill --unlabelled takes such inputs",
            )
            continue
        split = _unwrapped(plan, children[name], role)
        if split.holding_pictures():
            _refuse_splits_inside(split)
            _refuse_alike(split, dict(split.holding_pictures()))
            if name != role:
                plan.notes.append(f"folder {printable(name)!r} is taken as the {role} split")
            _add_classes(plan, split, role)
        elif role == "train":
            raise DataError(
                f"{_shown(split)}: {len(split.pictures):,} pictures without class folders; put "
                f"the pictures of each class into a folder, {_short(plan, split)}/cat/1.png"
            )
        else:
            plan.leave_out(
                f"folder {printable(name)!r} ({len(split.pictures):,} pictures)",
                "they lie in no class folder, so they have no label",
            )
    _name_unused(plan, root, besides=set(named))


def _hold_splits(root: FolderNode, children: dict[str, FolderNode]) -> bool:
    """Tell whether every class folder holds its own train and test folders."""
    lacking = []
    for name, node in children.items():
        inside = [inner for inner, _ in node.holding_pictures()]
        roles = _roles(inside)
        are_splits = all(split_meaning(inner) is not None for inner in inside)
        if are_splits and not node.pictures and len(roles) > 1 and "train" in roles:
            continue
        if len(_roles(inside, plain_only=True)) > 1:
            raise DataError(
                f"{_shown(root)}/{printable(name)}: holds {_quoted(inside)}, which look like "
                f"splits inside a class; {_ADVICE}"
            )
        lacking.append(name)
    if lacking and len(lacking) < len(children):
        raise DataError(
            f"{_shown(root)}: some class folders hold train and test folders, but not "
            f"{_quoted(lacking)}; {_ADVICE}"
        )
    return not lacking


def _add_splits_of_classes(plan: _Plan, root: FolderNode, children: dict[str, FolderNode]) -> None:
    for name, node in children.items():
        inner = dict(node.holding_pictures())
        roles, doubled = one_per_split(inner)
        if doubled:
            raise DataError(
                f"{_shown(node)}: {_quoted(doubled[0])} name one split twice; keep one, or "
                "merge them"
            )
        for split, role in roles.items():
            if role == "unlabelled":
                plan.leave_out(
                    f"folder {printable(f'{name}/{split}')!r}", "its pictures have no label"
                )
            else:
                plan.classes.append((role, name, inner[split]))
    plan.classes.sort(key=lambda found: found[0] != "train")
    plan.notes.append("each class folder holds its own split folders")
    _name_unused(plan, root, besides=set(children))


def _refuse_splits_inside(split: FolderNode) -> None:
    inside = [name for name, _ in split.holding_pictures()]
    if len(_roles(inside, plain_only=True)) > 1:
        raise DataError(
            f"{_shown(split)}: holds {_quoted(inside)}, splits inside a split; give the folder "
            "whose train and test folders you mean"
        )


def _refuse_alike(root: FolderNode, children: dict[str, FolderNode]) -> None:
    """Refuse folders that all hold the same folders: splits, folds, cameras or classes?"""
    inside = []
    for child in children.values():
        node = child
        while (inner := _wrapped(node)) is not None:
            node = inner[1]
        if node.pictures:
            return
        inside.append({name for name, _ in node.holding_pictures()})
    if len(inside) < 2:
        return
    shared = set.intersection(*inside)
    if len(shared) > 1 and 2 * len(shared) >= len(set.union(*inside)):
        raise DataError(
            f"{_shown(root)}: {_quoted(list(children))} hold the same folders "
            f"{_quoted(sorted(shared))}; if these are the classes, name the outer folders train, "
            "validation and test or give one of them; if the outer ones are, put their pictures "
            "directly into them"
        )


def _add_classes(plan: _Plan, parent: FolderNode, role: SplitRole) -> None:
    added = {name for name, node in parent.folders if node.picture_count}
    lost = {
        name: [other for inner in node.below() for other in inner.others]
        for name, node in parent.folders
        if not node.picture_count
    }
    for name, others in lost.items():
        if not others or any(_suffix(other) not in _DESCRIPTIONS for other in others):
            found = f" ({suffixes(others)} instead)" if others else ""
            raise DataError(
                f"{_shown(parent)}/{printable(name)}: no PNG or JPEG image in this class "
                f"folder{found}; add images or remove it"
            )
    plan.classes += [(role, name, node) for name, node in parent.holding_pictures()]
    _name_unused(plan, parent, besides=added)


def _name_unused(plan: _Plan, parent: FolderNode, *, besides: set[str]) -> None:
    where = _short(plan, parent)
    if parent.pictures:
        plan.leave_out(
            f"{len(parent.pictures):,} pictures directly in {where}",
            "they lie in no class folder",
        )
    if parent.others:
        plan.leave_out(f"{where}/{_first(parent.others)}", "no PNG or JPEG picture")
    for name, node in parent.folders:
        if name not in besides:
            held = f"{node.picture_count:,} pictures" if node.picture_count else "no picture"
            plan.leave_out(f"folder {where}/{printable(name)} ({held})", "no split or class")


def _listed(plan: _Plan) -> PictureListing:
    keys = {name: unicodedata.normalize("NFC", name) for _, name, _ in plan.classes}
    names = sorted({keys[name] for split, name, _ in plan.classes if split == "train"})
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
            raise DataError(
                f"{_shown(folder)}: class {printable(name)!r} is in {split} but not in train; "
                f"add training images of it or remove the folder (train has {_first(names)})"
            )
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
            f"pictures in folders below a class folder count to that class ({_first(nested)})"
        )
    if left_out:
        per_class = ", ".join(
            f"{count:,} of {name!r}" for name, count in left_out.most_common(_SHOWN)
        )
        more = ", ..." if len(left_out) > _SHOWN else ""
        plan.notes.append(
            f"{left_out.total():,} files that are not PNG or JPEG were left out: {per_class}{more} "
            f"({suffixes(kinds)})"
        )
    shown = tuple(printable(name) for name in names)
    if len(set(shown)) < len(shown):
        raise DataError(
            f"{_shown(plan.root)}: two class folders are both shown as "
            f"{Counter(shown).most_common(1)[0][0]!r}; rename one"
        )
    return PictureListing(
        files=tuple(files),
        labels=np.array(labels, dtype=np.int64),
        splits=tuple(splits),
        class_names=shown,
        notes=tuple(dict.fromkeys(plan.notes)),
    )


def _files_of(
    folder: FolderNode,
    owner: tuple[str, str],
    owners: dict[tuple[int, int], tuple[str, str]],
    plan: _Plan,
) -> tuple[list[str], list[str]]:
    """Return pictures and other files of a class; a folder that two links share is read once."""
    files: list[str] = []
    others: list[str] = []
    for node in folder.below():
        before = owners.setdefault(node.identity, owner)
        if before[0] == owner[0] and before[1] != owner[1] and (node.pictures or node.others):
            raise DataError(
                f"{_shown(node)}: one folder is linked into two classes, {printable(before[1])!r} "
                f"and {printable(owner[1])!r}; remove one link"
            )
        if before[0] != owner[0] and node.pictures:
            plan.notes.append(
                f"the {before[0]} and {owner[0]} splits share the linked folder "
                f"{_short(plan, node)}"
            )
        files += node.pictures
        others += node.others
    return files, others


def _refuse_mostly_unread(folder: FolderNode, files: list[str], others: list[str]) -> None:
    unread = [name for name in others if _suffix(name) in UNREAD_PICTURE_SUFFIXES]
    if len(unread) > len(files):
        raise DataError(
            f"{_shown(folder)}: {len(unread):,} of {len(unread) + len(files):,} pictures of this "
            f"class are neither PNG nor JPEG ({suffixes(unread)}); convert them or remove them"
        )


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _shown(node: FolderNode) -> str:
    return printable(node.path)


def _short(plan: _Plan, node: FolderNode) -> str:
    """Return the path from the user's folder on."""
    root = Path(plan.root.path)
    path = Path(node.path)
    inside = path.relative_to(root) if path.is_relative_to(root) else path
    return printable(Path(root.name) / inside)


def _first(names: list[str]) -> str:
    shown = ", ".join(printable(name) for name in names[:_SHOWN])
    return shown + (f", ... ({len(names):,})" if len(names) > _SHOWN else "")


def _quoted(names: list[str]) -> str:
    shown = ", ".join(repr(printable(name)) for name in names[:_SHOWN])
    return shown + (f", ... ({len(names):,})" if len(names) > _SHOWN else "")
