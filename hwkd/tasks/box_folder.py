"""Reads pictures with boxes: COCO JSON, YOLO text files or a Pascal VOC folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import DataError
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.tasks.base import SPLITS
from hwkd.tasks.box_listing import BoxListing, PictureFiles, label_arrays
from hwkd.tasks.coco_boxes import coco_files, read_coco
from hwkd.tasks.image_folder import (
    grey_where_all_are,
    most_frequent_size,
    require_room,
    size_notes,
)
from hwkd.tasks.lost_notes import absent_classes, without_copies
from hwkd.tasks.pictures import PictureFacts, decode_picture, pictures_quietly, read_picture_facts
from hwkd.tasks.pixel_cache import kept_pixels
from hwkd.tasks.raw import RawData, RawSplit, with_train
from hwkd.tasks.voc_boxes import read_voc
from hwkd.tasks.yolo_boxes import label_file, read_yolo

LAYOUT = (
    "a folder of pictures with COCO JSON files, YOLO text files (images/, labels/) or Pascal VOC "
    "XML files (JPEGImages/, Annotations/)"
)
_REPORT_EVERY = 200


def read_box_folder(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    to_judge: bool = False,
    progress: Progress = silent,
) -> RawData:
    """Read every picture with its boxes; labels are float32 [n, most, 5], see `label_arrays`.

    Args:
        path: folder, or one COCO file with its pictures beside or below it.
        input_size: (height, width) to resize to; None takes the most common size.
        to_judge: see `with_train`.

    Raises:
        DataError: names file and row of what cannot be used.
    """
    listing = without_copies(_listed(path))
    files = [picture.file for picture in listing.pictures]
    with pictures_quietly():
        facts = [read_picture_facts(file) for file in files]
    size = input_size or most_frequent_size(facts)
    labels = label_arrays(listing, [(fact.height, fact.width) for fact in facts], size)
    pixels, notes = kept_pixels(
        path, files, size, lambda: _decoded(path, files, facts, size, progress), kind="boxes"
    )
    rows = {
        split: np.array([at for at, p in enumerate(listing.pictures) if p.split == split])
        for split in SPLITS
    }
    given = {
        name: RawSplit(inputs=pixels[chosen], labels=labels[chosen])
        for name, chosen in rows.items()
        if len(chosen)
    }
    given = with_train(given, source=printable(path), to_judge=to_judge)
    if not to_judge and not (given["train"].labels[:, :, 0] >= 0).any():
        raise DataError(f"{printable(path)}: no train picture has a box; nothing to learn")
    return RawData.of(
        printable(path),
        given,
        class_names=listing.class_names,
        notes=(*notes, *listing.notes, *absent_classes(listing)),
    )


def _listed(path: Path) -> BoxListing:
    """Find out the format and list the pictures."""
    if path.is_file():
        if not (lists := coco_files(path)):
            raise DataError(f"{printable(path)}: no JSON file; --data takes {LAYOUT}")
        return read_coco(path.parent, lists)
    xml = sorted(file for file in path.rglob("*.xml") if file.is_file())
    if lists := coco_files(path):
        return read_coco(path, lists)
    pictures = PictureFiles(path)
    if xml:
        return read_voc(path, xml, pictures)
    if any(label_file(file).is_file() for file in pictures.files):
        return read_yolo(path, pictures)
    raise DataError(
        f"{printable(path)}: {len(pictures.files):,} pictures and no list of boxes; --data takes "
        f"{LAYOUT}"
    )


def _decoded(
    path: Path,
    files: list[str],
    facts: list[PictureFacts],
    size: tuple[int, int],
    progress: Progress,
) -> tuple[NDArray[np.uint8], list[str]]:
    """Return the channels of each picture, [n, .., height, width], and notes."""
    height, width = size
    require_room(path, len(files), size)
    pixels = np.empty((len(files), 3, height, width), dtype=np.uint8)
    with pictures_quietly():
        for row, file in enumerate(files):
            pixels[row] = decode_picture(file, height=height, width=width, dtype=np.uint8)
            if row % _REPORT_EVERY == 0 or row + 1 == len(files):
                progress("decode pictures", row + 1, len(files))
    return grey_where_all_are(pixels), size_notes(facts, size)
