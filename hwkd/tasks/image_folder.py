"""Reads a folder of class folders (PNG, JPEG) and remembers the decoded pixels.

`cats/1.png, dogs/2.png` is one data set without splits; `train/cats/1.png, test/cats/2.png` brings
its splits. Decoded pixels are kept under the cache folder, so that workers and later runs map them
into memory instead of decoding again.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hwkd.core.errors import DataError, first_line
from hwkd.core.paths import cache_root, require_writable_cache
from hwkd.core.progress import Progress, silent
from hwkd.tasks.pixel_cache import remembered_pixels, store_pixels
from hwkd.tasks.raw import RawData, RawSplit

__all__ = ["has_class_folders", "read_image_folder"]

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
_SPLIT_FOLDERS = MappingProxyType(
    {
        "train": "train", "training": "train",
        "val": "validation", "valid": "validation", "validation": "validation",
        "test": "test", "testing": "test",
    }
)  # fmt: skip
# Part of the cache key: raise it when decoding changes.
_DECODER_VERSION = 1
# Training holds float32, four times this; more does not fit the machines that searches run on.
_MOST_PIXEL_BYTES = 4 * 1024**3
_REPORT_EVERY = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """Image files of one data set: `labels[i]` and `splits[i]` belong to `files[i]`."""

    files: tuple[Path, ...]
    labels: NDArray[np.int64]
    splits: tuple[str, ...]
    class_names: tuple[str, ...]
    left_out: int


def has_class_folders(path: Path) -> bool:
    """Tell whether `path` is a folder that holds folders."""
    return path.is_dir() and any(_folders(path))


def read_image_folder(
    path: Path, *, input_size: tuple[int, int] | None = None, progress: Progress = silent
) -> RawData:
    """Read every PNG and JPEG below the class folders of `path`.

    Args:
        path: holds one folder per class, or `train`, `validation`, `test` folders that do.
        input_size: (height, width) to resize to; None takes the most common size.
        progress: told about decoding.

    Raises:
        DataError: if there is no image, an image cannot be read (the message names it), or the
            decoded pixels would not fit in memory.
    """
    listing = _list_images(path)
    digest = _listing_digest(path, listing, input_size)
    entry = cache_root() / "pixels" / digest
    if not entry.exists():
        require_writable_cache(entry.parent)
        _decode_all(path, listing, input_size, entry, progress)
    pixels, notes = remembered_pixels(entry)
    if listing.left_out:
        notes.append(f"{listing.left_out:,} files that are not PNG or JPEG were left out")
    splits = {
        name: RawSplit(inputs=pixels[rows], labels=listing.labels[rows])
        for name in ("train", "validation", "test")
        if (rows := _rows(listing, name)) is not None
    }
    return RawData(
        source=str(path),
        class_names=listing.class_names,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits.get("test"),
        notes=tuple(notes),
    )


def _list_images(path: Path) -> _Listing:
    top = {folder.name: folder for folder in _folders(path)}
    roles = {name: _SPLIT_FOLDERS.get(name.lower()) for name in top}
    if all(roles.values()) and "train" in roles.values():
        classes = [
            (str(role), folder) for name, role in roles.items() for folder in _folders(top[name])
        ]
    else:
        classes = [("train", folder) for folder in top.values()]
    names = tuple(sorted({folder.name for split, folder in classes if split == "train"}))
    files: list[Path] = []
    labels: list[int] = []
    splits: list[str] = []
    left_out = 0
    for split, folder in classes:
        if folder.name not in names:
            raise DataError(
                f"{folder}: class {folder.name!r} is in {split} but not in train; "
                "add training images of it or remove the folder"
            )
        inside = sorted(file for file in folder.rglob("*") if _is_visible_file(file, folder))
        images = [file for file in inside if file.suffix.lower() in _SUFFIXES]
        if not images:
            raise DataError(
                f"{folder}: no PNG or JPEG image in this class folder; add images or remove it"
            )
        left_out += len(inside) - len(images)
        files += images
        labels += [names.index(folder.name)] * len(images)
        splits += [split] * len(images)
    if not files:
        raise DataError(
            f"{path}: empty: no class folder with images; expected one folder per class, "
            f"for example {path.name}/cat/1.png"
        )
    return _Listing(
        files=tuple(files),
        labels=np.array(labels, dtype=np.int64),
        splits=tuple(splits),
        class_names=names,
        left_out=left_out,
    )


def _folders(path: Path) -> Iterator[Path]:
    for entry in sorted(path.iterdir()):
        if entry.is_dir() and not entry.name.startswith((".", "__MACOSX")):
            yield entry


def _is_visible_file(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    return file.is_file() and not any(part.startswith(".") for part in parts)


def _rows(listing: _Listing, split: str) -> NDArray[np.int64] | slice | None:
    rows = np.flatnonzero(np.array(listing.splits) == split)
    if not len(rows):
        return None
    # A slice keeps the memory map; a list of rows would copy the pixels.
    if rows[-1] - rows[0] + 1 == len(rows):
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return rows


def _listing_digest(path: Path, listing: _Listing, input_size: tuple[int, int] | None) -> str:
    """Hash names, sizes and times of all files, as git's index does; reading them would be slow.

    The data fingerprint is computed from the decoded pixels, so a wrong hit could not go unseen by
    caches that hang on it.
    """
    digest = hashlib.sha256(f"{_DECODER_VERSION} {input_size} {path.resolve()}".encode())
    for file in listing.files:
        stat = file.stat()
        digest.update(
            f"{file.relative_to(path)}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\n".encode()
        )
    return digest.hexdigest()


def _decode_all(
    path: Path,
    listing: _Listing,
    input_size: tuple[int, int] | None,
    entry: Path,
    progress: Progress,
) -> None:
    sizes = Counter(_parallel(_header_size, listing.files, "read image sizes", progress))
    height, width = input_size or min(sizes, key=lambda size: (-sizes[size], size))
    needed = 3 * height * width * len(listing.files)
    if needed > _MOST_PIXEL_BYTES:
        raise DataError(
            f"{path}: {len(listing.files):,} images of {height}x{width} need "
            f"{needed / 1024**3:.1f} GiB decoded; give a smaller --input-size, for example 96x96"
        )

    def decode(file: Path) -> NDArray[np.uint8]:
        return _decode(file, height, width)

    pixels = np.empty((len(listing.files), 3, height, width), dtype=np.uint8)
    for row, image in enumerate(_parallel(decode, listing.files, "decode images", progress)):
        pixels[row] = image
    is_grey = all(
        np.array_equal(chunk[:, 0], chunk[:, 1]) and np.array_equal(chunk[:, 0], chunk[:, 2])
        for chunk in np.array_split(pixels, max(1, len(pixels) // 1024))
    )
    kept = pixels[:, :1] if is_grey else pixels
    notes = [f"{'grey' if is_grey else 'RGB'} images of {height}x{width} (height x width)"]
    resized = len(listing.files) - sizes.get((height, width), 0)
    if resized:
        notes.append(f"{resized:,} images of other sizes were resized to {height}x{width}")
    store_pixels(entry, kept, notes)


def _parallel(
    work: Callable[[Path], T], files: Sequence[Path], stage: str, progress: Progress
) -> Iterator[T]:
    """Yield `work(file)` in order; Pillow decodes outside the interpreter lock."""
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for start in range(0, len(files), _REPORT_EVERY):
            # One block at a time: results of all files at once would double the memory.
            yield from pool.map(work, files[start : start + _REPORT_EVERY])
            progress(stage, min(start + _REPORT_EVERY, len(files)), len(files))


def _header_size(file: Path) -> tuple[int, int]:
    with _opened(file) as image:
        return (image.height, image.width)


def _decode(file: Path, height: int, width: int) -> NDArray[np.uint8]:
    """Return uint8 pixels, shape [3, height, width]; grey is repeated, transparency is white."""
    with _opened(file) as opened:
        try:
            image = _as_rgb(ImageOps.exif_transpose(opened))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise _unreadable(file, error) from error
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey at 255 instead of scaling it.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        shown = image.convert("RGBA")
        paper = Image.new("RGBA", shown.size, "white")
        return Image.alpha_composite(paper, shown).convert("RGB")
    return image.convert("RGB")


def _opened(file: Path) -> Image.Image:
    try:
        return Image.open(file, formats=("PNG", "JPEG"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> DataError:
    return DataError(f"{file}: unreadable image ({first_line(error)}); replace or remove this file")
