"""Pictures with texts as windows of a model that reads both: a folder for each split.

The layout is that of Hugging Face's image folders: pictures, and beside them `metadata.csv` with
the columns `file_name` and `text`. A window is the places of a picture, then its text and the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core.errors import DataError, ModelFileError
from hwkd.core.printable import printable
from hwkd.distill.token_divergences import IGNORED
from hwkd.io.text_files import MalformedTextError, read_json
from hwkd.language.corpus import SPLITS, Windows, spread
from hwkd.language.decoder_folder import Decoder
from hwkd.tasks.pictures import decode_picture
from hwkd.tasks.text_table import read_table

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PREPROCESSOR_FILE = "preprocessor_config.json"
METADATA_FILE = "metadata.csv"
_LEAST = 2  # pictures of a split


def read_captions(
    path: Path, tokenizer: Tokenizer, decoder: Decoder, *, length: int
) -> Mapping[str, Windows]:
    """Read pictures and texts; validation and test are spread where there are many.

    Args:
        decoder: says how large a picture is, how many places it has, and how it is scaled.
        length: tokens of a window at most, those of the picture with them; longer texts are cut.

    Raises:
        DataError: in one line, if a file is missing or cannot be read.
        ModelFileError: if the model does not say how its pictures are scaled.
    """
    scaling = _scaling(decoder.folder)
    found = {}
    for split, names in SPLITS.items():
        folders = [path / name for name in names if (path / name / METADATA_FILE).is_file()]
        if len(folders) != 1:
            what = f"no folder with {METADATA_FILE}" if not folders else "more than one folder"
            raise DataError(
                f"{printable(path)}: {split}: {what}; --data takes a folder with train, validation "
                f"and test, each with pictures and {METADATA_FILE} (file_name, text)"
            )
        windows = _windows(folders[0], tokenizer, decoder.config, length, scaling)
        found[split] = windows if split == "train" else spread(windows)
    return found


def _windows(
    folder: Path, tokenizer: Tokenizer, config: Any, length: int, scaling: NDArray[np.float32]
) -> Windows:
    files, texts = _pairs(folder)
    places, picture, end = _places(config), int(config.image_token_id), _end(config)
    words = int(config.get_text_config().vocab_size)
    if max(picture, *end, 0) >= words:
        raise ModelFileError(
            f"its picture is token {picture} and its end {end}, and it knows {words:,} tokens"
        )
    room = length + 1 - places  # tokens of a text, its end with them
    if room < _LEAST:
        raise DataError(
            f"{printable(folder)}: a picture takes {places} of the {length} tokens of a window; "
            "give a larger --length"
        )
    codes = tokenizer.encode_batch(texts, add_special_tokens=False)
    rows = [[*code.ids, *end][:room] for code in codes]
    width = places - 1 + max(len(row) for row in rows)
    inputs = torch.zeros(len(rows), width, dtype=torch.int64)
    labels = torch.full((len(rows), width), IGNORED)
    inputs[:, :places] = picture
    for number, row in enumerate(rows):
        last = places - 1 + len(row)
        inputs[number, places:last] = torch.tensor(row[:-1], dtype=torch.int64)
        labels[number, places - 1 : last] = torch.tensor(row)
    return Windows(
        inputs=inputs,
        labels=labels,
        tokens=sum(map(len, rows)),
        characters=sum(map(len, texts)),
        pictures=_pictures(files, int(config.vision_config.image_size), scaling),
    )


def _pairs(folder: Path) -> tuple[list[str], list[str]]:
    """Return the files and the texts of a split.

    Raises:
        DataError: if the table lacks a column, a file or a text.
    """
    table = read_table(folder / METADATA_FILE)
    for name in ("file_name", "text"):
        if name not in table.names:
            raise DataError(f"{table.source}: no column {name}; expected file_name and text")
    file, text = (table.names.index(name) for name in ("file_name", "text"))
    if len(table.rows) < _LEAST:
        raise DataError(f"{table.source}: {len(table.rows)} rows; {_LEAST} pictures are the least")
    root = folder.resolve()
    for line, row in enumerate(table.rows, 2):
        if not row[text].strip():
            raise DataError(f"{table.source}: row {line} has no text; write one or drop the row")
        place = (folder / row[file]).resolve()
        if not place.is_file() or not place.is_relative_to(root):
            raise DataError(
                f"{table.source}: row {line} names {printable(row[file])!r}, which is no file in "
                "this folder"
            )
    return [str(folder / row[file]) for row in table.rows], [row[text] for row in table.rows]


def _pictures(files: list[str], side: int, scaling: NDArray[np.float32]) -> Tensor:
    """Return scaled pictures, shape [files, 3, side, side]."""
    found = np.empty((len(files), 3, side, side), np.float32)
    for row, file in enumerate(files):
        found[row] = decode_picture(file, height=side, width=side, dtype=np.uint8)
    mean, deviation = scaling[:, None, :, None, None]
    return torch.from_numpy((found / np.float32(255.0) - mean) / deviation)


def _scaling(folder: Path) -> NDArray[np.float32]:
    """Return the mean and the deviation of each colour, of values from 0 to 1, shape [2, 3].

    Raises:
        ModelFileError: if the model does not say.
    """
    path = folder / PREPROCESSOR_FILE
    try:
        facts = read_json(path)
        found = np.array([facts[name] for name in ("image_mean", "image_std")], np.float32)
        if found.shape != (2, 3) or not np.isfinite(found).all() or not (found[1] > 0.0).all():
            raise ValueError("image_mean and image_std are not three numbers each")
    except (MalformedTextError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(
            f"{printable(path)}: does not say how pictures are scaled ({reason}); expected "
            "image_mean and image_std, three numbers each, deviations above 0"
        ) from None
    return found


def _places(config: Any) -> int:
    """Return how many tokens stand for a picture."""
    vision = config.vision_config
    patches = (int(vision.image_size) // int(vision.patch_size)) ** 2
    return patches + int(config.vision_feature_select_strategy == "full")


def _end(config: Any) -> list[int]:
    """Return the token that ends a text; none where the model knows none."""
    end = config.get_text_config().eos_token_id
    return [end] if isinstance(end, int) else []
