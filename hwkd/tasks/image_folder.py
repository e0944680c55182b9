"""Reads a folder of class folders (PNG, JPEG) and remembers the decoded pixels.

`cats/1.png, dogs/2.png` is one data set without splits; `train/cats/1.png, test/cats/2.png` brings
its splits. Decoded pixels are kept under the cache folder, so that workers and later runs map them
into memory instead of decoding again.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.tasks.base import SPLITS
from hwkd.tasks.picture_listing import PictureListing, list_pictures
from hwkd.tasks.pictures import (
    PictureFacts,
    decode_picture,
    pictures_quietly,
    read_picture_facts,
)
from hwkd.tasks.pixel_cache import kept_pixels
from hwkd.tasks.raw import RawData, RawSplit, with_train

# Larger than what networks for microcontrollers look at.
_LARGE_PIXELS = 256 * 256
# Training holds float32, four times this; more does not fit the machines that searches run on.
_MOST_PIXEL_BYTES = 4 * 1024**3
# Below this mean file size a thread costs more than the decoding that it takes over.
_THREADED_FILE_BYTES = 32 * 1024
# A picture takes up to this much while it is decoded: its pixels with transparency, a copy on
# white, and what Pillow converts in between. Threads share the bound; a picture above it is alone.
_DECODING_BYTES_PER_PIXEL = 12
_MOST_DECODING_BYTES = 1024**3
_REPORT_EVERY = 200
# Splits whose share of grey, small or 8-bit pictures differs by more are not alike.
_UNEVEN_SHARE = 0.5

T = TypeVar("T")


def read_image_folder(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    to_judge: bool = False,
    progress: Progress = silent,
) -> RawData:
    """Read every PNG and JPEG below the class folders of `path`.

    Args:
        path: holds one folder per class, or `train`, `validation`, `test` folders that do.
        input_size: (height, width) to resize to; None takes the most common size.
        to_judge: see `with_train`.

    Raises:
        DataError: if there is no image, folders can be read in two ways, an image cannot be read
            (the message names it), or the decoded pixels would not fit in memory.
    """
    listing = list_pictures(path, to_judge=to_judge)
    pixels, notes = kept_pixels(
        path, listing.files, input_size, lambda: _decoded(path, listing, input_size, progress)
    )
    splits = {
        name: RawSplit(inputs=pixels[rows], labels=listing.labels[rows])
        for name in SPLITS
        if (rows := _rows(listing, name)) is not None
    }
    splits = with_train(splits, source=printable(path), to_judge=to_judge)
    return RawData.of(
        printable(path), splits, class_names=listing.class_names, notes=(*listing.notes, *notes)
    )


def _rows(listing: PictureListing, split: str) -> NDArray[np.int64] | slice | None:
    rows = np.flatnonzero(np.array(listing.splits) == split)
    if not len(rows):
        return None
    # A slice keeps the memory map; a list of rows would copy the pixels.
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _decoded(
    path: Path, listing: PictureListing, input_size: tuple[int, int] | None, progress: Progress
) -> tuple[NDArray[np.integer[Any]], list[str]]:
    """Return the channels of each picture, [n, .., height, width], and notes."""
    files, count = listing.files, len(listing.files)

    def read_facts(row: int) -> PictureFacts:
        return read_picture_facts(files[row])

    with pictures_quietly():
        facts = list(_parallel(read_facts, count, _threads(files), "read image sizes", progress))
        height, width = input_size or most_frequent_size(facts)
        dtype = np.uint16 if any(fact.has_16_bits for fact in facts) else np.uint8
        shape = (count, 3, height, width)
        require_room(path, count, (height, width), value_bytes=dtype().itemsize)
        pixels = np.empty(shape, dtype=dtype)

        def decode(row: int) -> None:
            pixels[row] = decode_picture(files[row], height=height, width=width, dtype=dtype)

        threads = _threads(files, max(fact.height * fact.width for fact in facts))
        for _ in _parallel(decode, count, threads, "decode images", progress):
            pass
    is_grey = _are_grey(pixels)
    kept = pixels[:, :1] if is_grey.all() else pixels
    notes = _picture_notes(listing, facts, is_grey, (height, width))
    return np.ascontiguousarray(kept), notes


def most_frequent_size(facts: Sequence[PictureFacts]) -> tuple[int, int]:
    """Return the height and width that most pictures have; of several, the smallest."""
    sizes = Counter((fact.height, fact.width) for fact in facts)
    return min(sizes, key=lambda size: (-sizes[size], size))


def size_notes(
    facts: Sequence[PictureFacts], size: tuple[int, int], what: str = "pictures"
) -> list[str]:
    """Say which size pictures are decoded to, and how many had another."""
    shown = f"{size[0]}x{size[1]}"
    resized = sum((fact.height, fact.width) != size for fact in facts)
    of_others = [f"{resized:,} {what} of other sizes were resized to {shown}"] if resized else []
    return [f"pictures of {shown} (height x width)", *of_others]


def require_room(path: Path, count: int, size: tuple[int, int], *, value_bytes: int = 1) -> None:
    """Refuse pictures that take more memory than a search has, once they are decoded.

    Raises:
        DataError: says how much it would be.
    """
    height, width = size
    needed = count * 3 * height * width * value_bytes
    if needed > _MOST_PIXEL_BYTES:
        raise DataError(
            f"{printable(path)}: {count:,} images of {height}x{width} need "
            f"{needed / 1024**3:.1f} GiB decoded; give a smaller --input-size, for example 96x96"
        )


def grey_where_all_are(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return one channel where the three of every picture are equal, else all."""
    return np.ascontiguousarray(pixels[:, :1]) if _are_grey(pixels).all() else pixels


def _are_grey(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell for each picture whether its three channels are equal."""
    chunks = [pixels[start : start + 1024] for start in range(0, len(pixels), 1024)]
    return np.concatenate([(chunk == chunk[:, :1]).all(axis=(1, 2, 3)) for chunk in chunks])


def _picture_notes(
    listing: PictureListing,
    facts: Sequence[PictureFacts],
    is_grey: NDArray[np.bool_],
    size: tuple[int, int],
) -> list[str]:
    height, width = size
    are_grey = bool(is_grey.all())
    advice = "; --input-size resizes them" if height * width > _LARGE_PIXELS else ""
    kind = "grey" if are_grey else "RGB"
    notes = [f"{kind} images of {height}x{width} (height x width){advice}"]
    resized = np.array([(fact.height, fact.width) != size for fact in facts])
    deep = np.array([fact.has_16_bits for fact in facts])
    if resized.any():
        notes.append(
            f"{resized.sum():,} images of other sizes were resized to {height}x{width}"
            f"{_by_split(listing, resized)}"
        )
    if turned := sum(fact.is_turned for fact in facts):
        notes.append(f"{turned:,} images were turned as their EXIF orientation says")
    if deep.any():
        notes.append(f"{deep.sum():,} images have 16 bits per pixel and keep all levels")
    if deep.any() and not deep.all():
        notes.append(
            f"{(~deep).sum():,} images have 8 bits; their levels were multiplied by 257 to match "
            f"the others of 16 bits{_by_split(listing, ~deep)}"
        )
    if animated := sum(fact.frames > 1 for fact in facts):
        notes.append(f"{animated:,} images are animations; their first frame was read")
    if lossy := sum(fact.loses_bits for fact in facts):
        notes.append(f"{lossy:,} colour images have 16 bits per channel; the upper 8 were read")
    for kind, count in sorted(Counter(fact.kind for fact in facts if fact.kind).items()):
        notes.append(f"{count:,} images are stored as {kind}; they were converted to RGB")
    transparent = np.array([fact.is_transparent for fact in facts])
    if transparent.any():
        notes.append(
            f"{transparent.sum():,} images have an alpha channel or a transparent colour; they "
            f"were laid on white, and transparency is no input{_by_split(listing, transparent)}"
        )
    if not are_grey and is_grey.any():
        notes.append(
            f"{is_grey.sum():,} of the images are grey{_by_split(listing, is_grey)}; all are read "
            "as RGB"
        )
    return notes


def _by_split(listing: PictureListing, chosen: NDArray[np.bool_]) -> str:
    """Say how many of each split are `chosen`, when that differs much between splits."""
    splits = np.array(listing.splits)
    names = [name for name in SPLITS if (splits == name).any()]
    shares = [float(chosen[splits == name].mean()) for name in names]
    if max(shares) - min(shares) < _UNEVEN_SHARE:
        return ""
    counts = [f"{chosen[splits == n].sum():,} of {(splits == n).sum():,} in {n}" for n in names]
    return f": {', '.join(counts)}"


def _threads(files: Sequence[str], most_pixels: int = 0) -> int:
    """Return how many threads read `files`: as many as help and as memory for decoding allows.

    Args:
        most_pixels: of the largest picture; 0 when only heads are read.
    """
    sample = files[:: max(1, len(files) // 64)]
    mean_bytes = sum(os.stat(file).st_size for file in sample) / len(sample)  # noqa: PTH116
    if mean_bytes < _THREADED_FILE_BYTES:
        return 1
    affordable = _MOST_DECODING_BYTES // (_DECODING_BYTES_PER_PIXEL * max(most_pixels, 1))
    return max(1, min(os.cpu_count() or 1, affordable))


def _parallel(
    work: Callable[[int], T], count: int, threads: int, stage: str, progress: Progress
) -> Iterator[T]:
    """Yield `work(0)` to `work(count - 1)`; Pillow decodes outside the interpreter lock."""
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for start in range(0, count, _REPORT_EVERY):
            block = range(start, min(start + _REPORT_EVERY, count))
            yield from pool.map(work, block) if threads > 1 else map(work, block)
            progress(stage, block.stop, count)
