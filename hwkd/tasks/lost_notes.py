"""Notes on what a source holds and nothing is learned or judged from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace
from pathlib import Path

from hwkd.core.printable import printable
from hwkd.tasks.base import SplitName
from hwkd.tasks.box_listing import BoxListing, ListedBox
from hwkd.tasks.folder_tree import first_names


def left_out(files: Iterable[str], what: str) -> tuple[str, ...]:
    """Return a note on files, with their number and the first; none of no file."""
    found = sorted(files)
    if not found:
        return ()
    example = printable("/".join(Path(found[0]).parts[-2:]))
    return (f"left out: {what}: {len(found):,}, such as {example}",)


def unlike_train(
    seen: Mapping[SplitName, Set[int]], names: tuple[str, ...], *, holder: str
) -> list[str]:
    """Return notes on classes that train has and another split does not, or the other way round.

    Args:
        seen: number of every class that a split of the source has.
        holder: of a class, as "box".
    """
    notes: list[str] = []
    if "train" not in seen:  # what a network is judged on alone
        return notes
    for split, own in seen.items():
        if split == "train":
            continue
        if unknown := sorted(own - seen["train"]):
            shown = first_names([names[label] for label in unknown])
            notes.append(f"no {holder} of train is of {shown}, which {split} has: never learned")
        if absent := sorted(seen["train"] - own):
            shown = first_names([names[label] for label in absent])
            notes.append(f"no {holder} of {split} is of {shown}; nothing judges it")
    return notes


def without_copies(listing: BoxListing) -> BoxListing:
    """Return the listing with every box once, and a note on how often one stood there again."""
    pictures = [
        replace(picture, boxes=tuple(_firsts(picture.boxes))) for picture in listing.pictures
    ]
    lost = [
        len(old.boxes) - len(new.boxes) for old, new in zip(listing.pictures, pictures, strict=True)
    ]
    if not any(lost):
        return listing
    first = next(new for new, count in zip(pictures, lost, strict=True) if count)
    note = (
        f"left out: boxes that stand in a list twice: {sum(lost):,}, such as of "
        f"{printable(Path(first.file).name)}"
    )
    return replace(listing, pictures=tuple(pictures), notes=(*listing.notes, note))


def _firsts(boxes: tuple[ListedBox, ...]) -> Iterable[ListedBox]:
    found: dict[tuple[object, ...], ListedBox] = {}
    for box in boxes:
        found.setdefault((box.label, box.edges), box)
    return found.values()


def absent_classes(listing: BoxListing) -> list[str]:
    """Return notes on pictures without boxes, and on classes of no box or of none of a split."""
    of_splits: dict[SplitName, set[int]] = {picture.split: set() for picture in listing.pictures}
    for picture in listing.pictures:
        of_splits[picture.split] |= {box.label for box in picture.boxes}
    seen = set().union(*of_splits.values())
    bare = sum(not picture.boxes for picture in listing.pictures)
    notes = [f"{bare:,} pictures have no box: the ground alone"] if bare else []
    absent = [name for label, name in enumerate(listing.class_names) if label not in seen]
    notes += [f"no box is of {first_names(absent)}"] if absent else []
    return [*notes, *unlike_train(of_splits, listing.class_names, holder="box")]
