"""Finds classes and splits in a tree of folders with pictures, as archives and tools lay them out.

Understood: `cat/1.png`; `train/cat/1.png` beside `test/...`, under all usual names of splits and
through folders that only wrap (`archive/training_set/training_set/cat/1.png`); `cat/train/1.png`.
What could be read in two ways is refused, and what is left out is named.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.folder_tree import (
    UNREAD_PICTURE_SUFFIXES,
    FolderNode,
    first_names,
    scan_folder,
    suffixes,
)
from hwkd.tasks.split_names import SplitRole, name_words, one_per_split, split_meaning

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
_SOUNDS = frozenset({".wav", ".flac", ".mp3", ".ogg"})
_PICTURE_WORDS = frozenset({"image", "images", "img", "imgs", "picture", "pictures", "photos"})


@dataclass(slots=True, kw_only=True)
class ClassFolders:
    """Where the classes of a data set lie.

    Attributes:
        classes: (split, class name, folder), train first or as the folders are sorted.
        to_judge: nothing is learned: splits without a train one will do.
    """

    root: FolderNode
    to_judge: bool = False
    classes: list[tuple[SplitRole, str, FolderNode]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def short(self, node: FolderNode) -> str:
        """Return the path of `node` from the user's folder on."""
        root, path = Path(self.root.path), Path(node.path)
        inside = path.relative_to(root) if path.is_relative_to(root) else path
        return printable(Path(root.name) / inside)

    def leave_out(self, what: str, why: str) -> None:
        """Note what is not used."""
        self.notes.append(f"left out: {what}: {why}")


def find_classes(path: Path, *, to_judge: bool = False) -> ClassFolders:
    """Return the class folders below `path`.

    Args:
        path: see the module.
        to_judge: nothing is learned: splits without a train one will do.

    Raises:
        DataError: if there is no class folder with pictures, or folders can be read in two ways.
    """
    plan = ClassFolders(root=scan_folder(path), to_judge=to_judge)
    if not plan.root.picture_count:
        unread = [name for node in plan.root.below() for name in node.others]
        found = f"; it holds {suffixes(unread)}" if unread else ""
        if any(Path(name).suffix.lower() in UNREAD_PICTURE_SUFFIXES for name in unread):
            found += ", convert them to PNG"
        elif any(Path(name).suffix.lower() in _SOUNDS for name in unread):
            found += ", words are read by --task keyword, a wake word by --task wake-word"
        raise DataError(
            f"{printable(path)}: no PNG or JPEG picture in any folder{found}; {_ADVICE}"
        )
    _find_classes(plan, _unwrapped(plan, plan.root))
    return plan


def _unwrapped(plan: ClassFolders, node: FolderNode, role: SplitRole | None = None) -> FolderNode:
    """Go down through folders that only wrap one folder; name what lies beside it."""
    start = node
    while (inner := _wrapped(node, role)) is not None:
        name, child = inner
        _name_unused(plan, node, besides={name})
        node = child
    if node is not start:
        plan.notes.append(f"pictures are read from {plan.short(node)}")
    return node


def _wrapped(node: FolderNode, role: SplitRole | None = None) -> tuple[str, FolderNode] | None:
    """Return the one folder with pictures in `node` when it is neither a class nor a split.

    Args:
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


def _without_unlabelled(plan: ClassFolders, root: FolderNode) -> FolderNode:
    """Leave folders of unlabelled pictures beside class folders out, and say so."""
    meanings = {name: split_meaning(name) for name, _ in root.holding_pictures()}
    aside = {name for name, found in meanings.items() if found and found.is_plain_unlabelled}
    rest = [name for name in meanings if name not in aside]
    if len(rest) < 2 or any(meanings[name] is not None for name in rest):
        return root  # no classes beside them, or splits, which `_add_splits` knows
    for name, node in root.folders:
        if name in aside:
            _leave_unlabelled(plan, name, node)
    return replace(root, folders=[(name, it) for name, it in root.folders if name not in aside])


def _leave_unlabelled(plan: ClassFolders, name: str, node: FolderNode) -> None:
    plan.leave_out(
        f"folder {printable(name)!r} ({node.picture_count:,} pictures)",
        "its pictures have no label; hwkd distill --unlabelled takes such inputs",
    )


def _find_classes(plan: ClassFolders, root: FolderNode) -> None:
    root = _without_unlabelled(plan, root)
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
    plan: ClassFolders, root: FolderNode, children: dict[str, FolderNode], named: list[str]
) -> None:
    roles, doubled = one_per_split(named)
    if doubled:
        raise DataError(
            f"{_shown(root)}: {' and '.join(map(repr, map(printable, doubled[0])))} are both "
            f"{roles[doubled[0][0]]} folders by their names; keep one, or merge them"
        )
    if "train" not in roles.values() and not plan.to_judge:
        raise DataError(
            f"{_shown(root)}: found {_quoted(named)} but no train folder; give the folder that "
            "holds train as well"
        )
    for name, role in roles.items():
        if role == "unlabelled":
            _leave_unlabelled(plan, name, children[name])
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
                f"the pictures of each class into a folder, {plan.short(split)}/cat/1.png"
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


def _add_splits_of_classes(
    plan: ClassFolders, root: FolderNode, children: dict[str, FolderNode]
) -> None:
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


def _add_classes(plan: ClassFolders, parent: FolderNode, role: SplitRole) -> None:
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


def _name_unused(plan: ClassFolders, parent: FolderNode, *, besides: set[str]) -> None:
    where = plan.short(parent)
    if parent.pictures:
        plan.leave_out(
            f"{len(parent.pictures):,} pictures directly in {where}",
            "they lie in no class folder",
        )
    if parent.others:
        plan.leave_out(f"{where}/{first_names(parent.others)}", "no PNG or JPEG picture")
    for name, node in parent.folders:
        if name not in besides:
            held = f"{node.picture_count:,} pictures" if node.picture_count else "no picture"
            plan.leave_out(f"folder {where}/{printable(name)} ({held})", "no split or class")


def _suffix(name: str) -> str:
    return Path(name).suffix.lower()


def _shown(node: FolderNode) -> str:
    return printable(node.path)


def _quoted(names: list[str]) -> str:
    return first_names([repr(printable(name)) for name in names])
