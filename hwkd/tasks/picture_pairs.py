"""Reads pairs of pictures: what a network is shown, and the picture that it is to draw.

How folders are laid out: `hwkd.tasks.paired_files`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.tasks.image_folder import (
    grey_where_all_are,
    most_frequent_size,
    require_room,
    size_notes,
)
from hwkd.tasks.paired_files import FilePair, paired_files
from hwkd.tasks.pictures import decode_picture, pictures_quietly, read_picture_facts
from hwkd.tasks.pixel_cache import kept_pixels
from hwkd.tasks.raw import RawData, RawSplit

LAYOUT = (
    "a folder with pictures in images/ and, under the same names, the pictures to draw in "
    "targets/, by split or not"
)
_TARGET_WORDS = frozenset({"target", "targets", "drawn", "output", "outputs", "wanted"})
_REPORT_EVERY = 200
# Of the channels that both pictures of a pair are stored in.
_CHANNELS = 3


def read_picture_pairs(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    to_judge: bool = False,
    progress: Progress = silent,
) -> RawData:
    """Read every picture with the one to draw; labels are those, uint8 [n, channels, h, w].

    Args:
        path: see the module.
        input_size: (height, width) to resize both to; None takes the most common size.
        to_judge: see `with_train`.

    Raises:
        DataError: names the file that has no other, or another size than it.
    """
    pairs, alone = paired_files(
        path, words=_TARGET_WORDS, noun="target", layout=LAYOUT, to_judge=to_judge
    )
    every = [pair for found in pairs.values() for pair in found]
    files = [file for pair in every for file in (pair.picture, pair.other)]
    stacked, notes = kept_pixels(
        path, files, input_size, lambda: _decoded(path, every, input_size, progress), kind="pairs"
    )
    shown, drawn = (
        grey_where_all_are(stacked[:, first : first + _CHANNELS]) for first in (0, _CHANNELS)
    )
    if drawn.min() == drawn.max():
        raise DataError(
            f"{printable(path)}: every target has one and the same level; nothing to learn"
        )
    splits, start = {}, 0
    for name, found in pairs.items():
        rows = slice(start, start := start + len(found))
        splits[name] = RawSplit(inputs=shown[rows], labels=drawn[rows])
    return RawData.of(
        printable(path),
        splits,
        class_names=("grey",) if drawn.shape[1] == 1 else ("red", "green", "blue"),
        notes=(*notes, *alone),
    )


def _decoded(
    path: Path, pairs: list[FilePair], input_size: tuple[int, int] | None, progress: Progress
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return three channels of each picture and of the one to draw, [n, 6, height, width]."""
    with pictures_quietly():
        facts = [read_picture_facts(pair.picture) for pair in pairs]
        size = input_size or most_frequent_size(facts)
        require_room(path, 2 * len(pairs), size)
        pixels = np.empty((len(pairs), 2 * _CHANNELS, *size), dtype=np.uint8)
        for row, (pair, fact) in enumerate(zip(pairs, facts, strict=True)):
            other = read_picture_facts(pair.other)
            if (other.height, other.width) != (fact.height, fact.width):
                raise DataError(
                    f"{printable(pair.other)}: {other.height}x{other.width} for a picture of "
                    f"{fact.height}x{fact.width} (height x width); give both one size"
                )
            for first, file in ((0, pair.picture), (_CHANNELS, pair.other)):
                pixels[row, first : first + _CHANNELS] = decode_picture(
                    file, height=size[0], width=size[1], dtype=np.uint8
                )
            if row % _REPORT_EVERY == 0 or row + 1 == len(pairs):
                progress("decode pairs of pictures", row + 1, len(pairs))
    return pixels, size_notes(facts, size, "pairs")
