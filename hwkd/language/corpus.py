"""Text as the tokens of a decoder: three splits, in windows of one length.

A window shares its last token with the next one, so every token but a split's first is predicted
exactly once; what is left of the last window is filled up and not counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwkd.core.errors import DataError, ModelFileError
from hwkd.core.evenly import evenly
from hwkd.core.printable import printable
from hwkd.distill.token_divergences import IGNORED

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TAKES = "a UTF-8 text file, or a folder with train.txt and, beside it, validation.txt and test.txt"
SPLITS = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}
_HELD_BACK = 0.05  # of a text without such files, for validation and for test, from its end
_MOST_BYTES = 256 << 20
_MOST_JUDGED = 400  # windows: perplexities are then known to a hundredth or two


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Tokens of a split.

    Attributes:
        inputs: what the decoder reads, shape [windows, length].
        labels: the next token of each, `IGNORED` where there is none; likewise.
        tokens: how many labels count.
        characters: of the text, to compare decoders of different vocabularies.
        pictures: of a model that reads one before each text, shape [windows, 3, height, width].
    """

    inputs: Tensor
    labels: Tensor
    tokens: int
    characters: int
    pictures: Tensor | None = None

    def given(self, rows: list[int] | slice) -> dict[str, Tensor]:
        """Return what a model of transformers is called with for some windows."""
        found = {"input_ids": self.inputs[rows]}
        if self.pictures is not None:
            found["pixel_values"] = self.pictures[rows]
        return found


def open_tokenizer(path: Path, words: int) -> Tokenizer:
    """Read a tokenizer.

    Args:
        words: size of the model's vocabulary.

    Raises:
        ModelFileError: if it is none, names tokens that the model does not have, or few of its.
    """
    from tokenizers import Tokenizer

    where = printable(path)
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # `Exception` itself, and a panic of Rust, which is none
        reason = " ".join(str(error).split())[:200]
        raise ModelFileError(f"{where}: is no tokenizer ({reason})") from None
    vocabulary = tokenizer.get_vocab(with_added_tokens=True)
    largest = max(vocabulary.values(), default=-1)
    if largest >= words:
        raise ModelFileError(
            f"{where}: has a token of number {largest}, and the model knows {words:,} tokens; the "
            "tokenizer belongs to another model"
        )
    # Vocabularies are filled up to round numbers, not doubled.
    if 2 * len(vocabulary) < words:
        raise ModelFileError(
            f"{where}: has {len(vocabulary):,} tokens, and the model knows {words:,}; the "
            "tokenizer belongs to another model"
        )
    return tokenizer


def read_corpus(path: Path, tokenizer: Tokenizer, *, length: int) -> Mapping[str, Windows]:
    """Read text and return its splits as windows.

    Validation and test are spread windows of their texts where these are long.

    Args:
        length: tokens of a window.

    Raises:
        DataError: in one line, if there is no text, or too little for two windows of each split.
    """
    texts = _texts(path)
    found = {}
    for split, text in texts.items():
        ids = np.asarray(tokenizer.encode(text, add_special_tokens=False).ids, dtype=np.int64)
        if len(ids) < 2 * length:
            raise DataError(
                f"{printable(path)}: {split} has {len(ids):,} tokens, and two windows of {length} "
                "are the least; give more text or a shorter --length"
            )
        windows = _windows(ids, length, characters=len(text))
        found[split] = windows if split == "train" else spread(windows)
    return found


def _windows(ids: NDArray[np.int64], length: int, *, characters: int) -> Windows:
    count = -(-(len(ids) - 1) // length)
    inputs = np.zeros(count * length, dtype=np.int64)
    labels = np.full(count * length, IGNORED, dtype=np.int64)
    inputs[: len(ids) - 1], labels[: len(ids) - 1] = ids[:-1], ids[1:]
    shape = (count, length)
    return Windows(
        inputs=torch.from_numpy(inputs.reshape(shape)),
        labels=torch.from_numpy(labels.reshape(shape)),
        tokens=len(ids) - 1,
        characters=characters,
    )


def spread(windows: Windows, most: int = _MOST_JUDGED) -> Windows:
    """Return windows at even distances, where there are more than can be judged in little time."""
    count = len(windows.inputs)
    if count <= most:
        return windows
    rows = torch.from_numpy(evenly(count, most))
    labels = windows.labels[rows]
    tokens = int((labels != IGNORED).sum())
    return Windows(
        inputs=windows.inputs[rows],
        labels=labels,
        tokens=tokens,
        characters=round(windows.characters * tokens / windows.tokens),
        pictures=None if windows.pictures is None else windows.pictures[rows],
    )


def _texts(path: Path) -> dict[str, str]:
    """Return the text of each split.

    Raises:
        DataError: if there is none.
    """
    if path.is_file():
        whole = _text(path)
        held = int(len(whole) * _HELD_BACK)
        ends = {"train": whole[: -2 * held or None], "validation": "", "test": ""}
        if held:
            ends |= {"validation": whole[-2 * held : -held], "test": whole[-held:]}
        return ends
    found = {}
    for split, names in SPLITS.items():
        files = [path / f"{name}.txt" for name in names if (path / f"{name}.txt").is_file()]
        if len(files) != 1:
            what = "no such file" if not files else f"both {files[0].name} and {files[1].name}"
            raise DataError(f"{printable(path)}: {split}: {what}; --data takes {_TAKES}")
        found[split] = _text(files[0])
    return found


def _text(path: Path) -> str:
    where = printable(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{where}: over {_MOST_BYTES >> 20} MiB of text; give a part of it")
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: byte {error.start} is not UTF-8 text; --data takes {_TAKES}"
        ) from None
    if not text.strip():
        raise DataError(f"{where}: holds no text; --data takes {_TAKES}")
    return text
