"""Pieces of words out of a `tokenizer.json`, as the package tokenizers writes it.

WordPiece alone (arXiv:1609.08144) cuts words as `hwkd.signals.steps.pieces` does: pairs that are
merged in an order of their own (BPE) and pieces of a language model (Unigram) do not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwkd.core.errors import ConfigError
from hwkd.core.printable import printable
from hwkd.io.text_files import MalformedTextError, read_json
from hwkd.signals.steps.pieces import FIRST, MOST_PIECE_BYTES, UNKNOWN, KnownPieces

_TAKES = "expected a tokenizer.json of the package tokenizers whose model is a WordPiece"
# Words of train that a tokenizer of such texts may not know.
_MOST_UNKNOWN = 0.5
_CAPITALS = re.compile(rb"[A-Z]")


def read_vocabulary(path: Path) -> tuple[list[bytes], list[bytes]]:
    """Read pieces that words begin with, and those behind them, each in the order of their bytes.

    Raises:
        ConfigError: if it is no such file, or tells capitals from small letters.
    """
    where = f"--features pieces: {printable(path)}"
    try:
        content = read_json(path)
    except MalformedTextError as error:
        raise ConfigError(f"{where}: is no tokenizer ({error}); {_TAKES}") from None
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise ConfigError(f"{where}: is no tokenizer (it has no model); {_TAKES}")
    kind, vocabulary = model.get("type"), model.get("vocab")
    if kind != "WordPiece":
        raise ConfigError(f"{where}: its model is {printable(str(kind))}; {_TAKES}")
    mark = model.get("continuing_subword_prefix", "##")
    if not isinstance(vocabulary, dict) or not isinstance(mark, str) or not mark:
        raise ConfigError(f"{where}: its model has no pieces (vocab); {_TAKES}")
    found: tuple[set[bytes], set[bytes]] = set(), set()
    for piece in vocabulary:
        is_inner = piece.startswith(mark) and piece != mark
        text = (piece.removeprefix(mark) if is_inner else piece).encode("utf-8", "surrogatepass")
        if 0 < len(text) <= MOST_PIECE_BYTES and b"\0" not in text:
            found[is_inner].add(text)
    if not _makes_small(content.get("normalizer")) and any(map(_CAPITALS.search, found[1])):
        raise ConfigError(
            f"{where}: tells capitals from small letters, and texts are read in small letters "
            "here; give that of an uncased model"
        )
    return sorted(found[0]), sorted(found[1])


def pieces_in(words: Mapping[bytes, int], path: Path, most: int) -> tuple[list[bytes], list[bytes]]:
    """Return those pieces of a file that texts have, the most frequent ones; see `read_vocabulary`.

    Args:
        words: of texts in small letters, with how often each comes.
        most: pieces of both kinds together.

    Raises:
        ConfigError: if it is no such file, or one of other texts.
    """
    parts = read_vocabulary(path)
    known = KnownPieces(*parts)
    counts = Counter[int]()
    for word, count in words.items():
        for number in known.numbers(word):
            counts[number] += count
    unknown, all_words = counts.pop(UNKNOWN, 0), sum(words.values())
    if unknown > _MOST_UNKNOWN * all_words:
        raise ConfigError(
            f"--features pieces: {printable(path)}: does not know {unknown:,} of the "
            f"{all_words:,} words of train; it is a tokenizer of other texts"
        )
    kept = sorted(counts, key=lambda number: (-counts[number], number))[:most]
    pieces = [*parts[0], *parts[1]]
    begins = FIRST + len(parts[0])
    return (
        sorted(pieces[number - FIRST] for number in kept if number < begins),
        sorted(pieces[number - FIRST] for number in kept if number >= begins),
    )


def _makes_small(normalizer: Any) -> bool:
    """Tell whether a normalizer makes small letters, by itself or in a sequence."""
    if not isinstance(normalizer, dict):
        return False
    parts = normalizer.get("normalizers")
    if isinstance(parts, list):
        return any(map(_makes_small, parts))
    kind = normalizer.get("type")
    return kind == "Lowercase" or (kind == "BertNormalizer" and normalizer.get("lowercase") is True)
