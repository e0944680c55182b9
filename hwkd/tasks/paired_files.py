"""Finds files of one name in two kinds of folders: pictures, and what belongs to each of them.

`images/1.png, masks/1.png` is one data set without splits; `train/images/..., test/masks/...` and
`images/train/..., masks/test/...` bring theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.tasks.base import SplitName
from hwkd.tasks.folder_tree import FolderNode, scan_folder
from hwkd.tasks.lost_notes import left_out
from hwkd.tasks.raw import with_train
from hwkd.tasks.split_names import name_words, split_meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePair:
    """A picture and the file that belongs to it."""

    picture: str
    other: str


def paired_files(
    path: Path, *, words: frozenset[str], noun: str, layout: str, to_judge: bool = False
) -> tuple[dict[SplitName, list[FilePair]], tuple[str, ...]]:
    """Return the pictures of each split with the other file of their name, by name, and notes.

    Others without a picture are left out, which a note says.

    Args:
        words: a folder with one of them in its name holds the others.
        noun: what one of the others is called, such as "mask".
        layout: what `--data` takes, in words.
        to_judge: see `with_train`.

    Raises:
        DataError: if a picture has no other file of its name, or there is no train split.
    """
    pictures: dict[SplitName, dict[str, str]] = {}
    others: dict[SplitName, dict[str, str]] = {}
    for node in scan_folder(path).below():
        if not node.pictures:
            continue
        inside = Path(node.path).relative_to(path).parts
        found = {word for part in inside for word in name_words(part)}
        kept = (others if found & words else pictures).setdefault(_split_of(inside, node, noun), {})
        for file in node.pictures:
            key = _key(file, words)
            if key in kept:
                raise DataError(
                    f"{printable(file)}: a second file of this name beside "
                    f"{printable(kept[key])}; give each picture a name of its own"
                )
            kept[key] = file
    if not others or not pictures:
        what = f"{noun}s" if pictures else "pictures"
        raise DataError(f"{printable(path)}: no folder of {what}; --data takes {layout}")
    pairs = {
        split: _pairs_of(pictures[split], others.get(split, {}), split, noun)
        for split in ("train", "validation", "test")
        if split in pictures
    }
    alone = [
        file
        for split, kept in others.items()
        for key, file in kept.items()
        if key not in pictures.get(split, {})
    ]
    pairs = with_train(pairs, source=printable(path), to_judge=to_judge)
    return pairs, left_out(alone, f"{noun}s without their picture")


def _pairs_of(
    pictures: dict[str, str], others: dict[str, str], split: str, noun: str
) -> list[FilePair]:
    if missing := sorted(pictures.keys() - others.keys()):
        raise DataError(
            f"{printable(pictures[missing[0]])}: has no {noun} of its name "
            f"({len(missing):,} of {len(pictures):,} in {split}); add it or remove the picture"
        )
    return [FilePair(picture=file, other=others[key]) for key, file in sorted(pictures.items())]


def _split_of(inside: tuple[str, ...], node: FolderNode, noun: str) -> SplitName:
    for part in inside:
        meaning = split_meaning(part)
        if meaning is not None and meaning.is_plain:
            if meaning.role == "unlabelled":
                raise DataError(
                    f"{printable(node.path)}: pictures without {noun}s are not read here; move them"
                )
            return meaning.role
    return "train"


def _key(file: str, words: frozenset[str]) -> str:
    """Return what both files are called alike: `cat_mask.png` belongs to `cat.jpg`."""
    stem = Path(file).stem
    for word in words:
        stem = stem.removesuffix(f"_{word}")
    return stem
