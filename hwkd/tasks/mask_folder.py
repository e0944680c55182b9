"""Reads pictures and, beside them, masks of the same names in which each pixel is a class number.

How folders are laid out: `hwkd.tasks.paired_files`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.tasks.folder_tree import first_names
from hwkd.tasks.image_folder import (
    grey_where_all_are,
    most_frequent_size,
    require_room,
    size_notes,
)
from hwkd.tasks.lost_notes import unlike_train
from hwkd.tasks.paired_files import FilePair, paired_files
from hwkd.tasks.pictures import decode_mask, decode_picture, pictures_quietly, read_picture_facts
from hwkd.tasks.pixel_cache import kept_pixels
from hwkd.tasks.raw import RawData, RawSplit

NAMES_FILE = "classes.txt"
LAYOUT = (
    "a folder with pictures in images/ and, under the same names, PNG masks of class numbers in "
    "masks/, by split or not"
)
_MASK_WORDS = frozenset(
    {"mask", "masks", "label", "labels", "annotation", "annotations", "segmentation", "gt"}
)
_IGNORED = 255
_WHITE = 255
_MOST_CLASSES = 255
_REPORT_EVERY = 200


def read_mask_folder(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    to_judge: bool = False,
    progress: Progress = silent,
) -> RawData:
    """Read every picture with its mask; labels are int16 class numbers, -1 where a mask has none.

    In masks 255 is no class, unless 0 and 255 are all there is: then 255 is the second one. Names
    of classes stand in `classes.txt`, one a line, the first that of number 0.

    Args:
        path: see the module.
        input_size: (height, width) to resize to; None takes the most common size.
        to_judge: see `with_train`.

    Raises:
        DataError: names the file that has no mask, another size, or a number of no class.
    """
    pairs, alone = paired_files(
        path, words=_MASK_WORDS, noun="mask", layout=LAYOUT, to_judge=to_judge
    )
    every = [pair for found in pairs.values() for pair in found]
    files = [file for pair in every for file in (pair.picture, pair.other)]
    stacked, notes = kept_pixels(
        path, files, input_size, lambda: _decoded(path, every, input_size, progress), kind="masks"
    )
    names, labels, of_masks = _classes(path, stacked[:, -1], every)
    splits, start = {}, 0
    for name, found in pairs.items():
        rows = slice(start, start := start + len(found))
        splits[name] = RawSplit(inputs=stacked[rows, :-1], labels=labels[rows])
    seen = {name: set(np.unique(split.labels).tolist()) - {-1} for name, split in splits.items()}
    return RawData.of(
        printable(path),
        splits,
        class_names=names,
        notes=(*notes, *alone, *of_masks, *unlike_train(seen, names, holder="mask")),
    )


def _decoded(
    path: Path, pairs: list[FilePair], input_size: tuple[int, int] | None, progress: Progress
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the channels of each picture and its mask behind them, [n, .., height, width]."""
    count = len(pairs)
    with pictures_quietly():
        facts = [read_picture_facts(pair.picture) for pair in pairs]
        size = input_size or most_frequent_size(facts)
        require_room(path, count, size)
        pixels = np.empty((count, 3, *size), dtype=np.uint8)
        masks = np.empty((count, 1, *size), dtype=np.uint8)
        for row, (pair, fact) in enumerate(zip(pairs, facts, strict=True)):
            pixels[row] = decode_picture(
                pair.picture, height=size[0], width=size[1], dtype=np.uint8
            )
            masks[row] = _mask(pair, (fact.height, fact.width), size)
            if row % _REPORT_EVERY == 0 or row + 1 == count:
                progress("decode pictures and masks", row + 1, count)
    stacked = np.concatenate([grey_where_all_are(pixels), masks], axis=1)
    return stacked, size_notes(facts, size)


def _mask(pair: FilePair, picture: tuple[int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
    numbers = decode_mask(pair.other)
    if numbers.shape != picture:
        height, width = numbers.shape
        raise DataError(
            f"{printable(pair.other)}: a mask of {height}x{width} for a picture of "
            f"{picture[0]}x{picture[1]} (height x width); give both one size"
        )
    if numbers.shape == size:
        return numbers
    resized = Image.fromarray(numbers).resize(size[::-1], Image.Resampling.NEAREST)
    return np.asarray(resized)


def _classes(
    path: Path, masks: NDArray[np.uint8], pairs: list[FilePair]
) -> tuple[tuple[str, ...], NDArray[np.int16], list[str]]:
    """Return names, labels and notes."""
    seen = np.flatnonzero(np.bincount(masks.reshape(-1), minlength=256))
    named = _names(path)
    notes = []
    if seen.tolist() in ([0, _WHITE], [_WHITE]) and (named is None or len(named) == 2):
        masks = masks // _WHITE
        notes.append("masks are black and white: black is class 0, white is class 1")
        seen = np.flatnonzero(np.bincount(masks.reshape(-1), minlength=2))
    elif _IGNORED in seen:
        share = (masks == _IGNORED).mean()
        notes.append(f"{share:.1%} of the positions are 255 in the masks, which is no class")
        seen = seen[seen != _IGNORED]
    highest = int(seen[-1]) if len(seen) else 0
    if named is not None and highest >= len(named):
        row = int(np.flatnonzero((masks == highest).any(axis=(1, 2)))[0])
        raise DataError(
            f"{printable(pairs[row].other)}: holds the number {highest}, but {NAMES_FILE} names "
            f"{len(named)} classes, 0 to {len(named) - 1}; correct one of them"
        )
    if highest == 0 and named is None:
        raise DataError(
            f"{printable(path)}: every mask holds class 0 alone; nothing to learn, give masks in "
            "which each pixel is the number of its class"
        )
    names = named or tuple(str(number) for number in range(highest + 1))
    if len(names) > _MOST_CLASSES:
        raise DataError(f"{printable(path)}: {len(names)} classes; {_MOST_CLASSES} are possible")
    if absent := sorted(set(range(len(names))) - set(seen.tolist())):
        notes.append(f"no mask holds {first_names([names[number] for number in absent])}")
    labels = masks.astype(np.int16)
    labels[masks == _IGNORED] = -1
    return names, labels, notes


def _names(path: Path) -> tuple[str, ...] | None:
    file = path / NAMES_FILE
    if not file.is_file():
        return None
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{printable(file)}: not UTF-8; save it as UTF-8 text") from error
    names = tuple(printable(line.strip()) for line in lines if line.strip())
    if len(names) < 2 or len(set(names)) < len(names):
        raise DataError(
            f"{printable(file)}: {len(names)} names of {len(set(names))} classes; expected two or "
            "more, one a line, each once"
        )
    return names
