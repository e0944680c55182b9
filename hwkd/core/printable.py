"""Text from outside (names of files, folders, classes, arrays) as it may be shown and stored."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path


def printable(text: str | Path) -> str:
    r"""Return `text` as one line that every terminal, log and UTF-8 file takes.

    Letters of all languages and emoji stay. What does not print is written as an escape: bytes
    that are no UTF-8 (a Latin-1 name from an old archive, `caf\xe9`), control characters, line
    ends and marks that turn the direction of writing.
    """
    line = os.fspath(text)
    if line.isprintable():
        return line
    return "".join(_escaped(letter) for letter in line)


def without_folders(source: str) -> str:
    """Return what data is called without the folders of this machine that it lies in.

    Args:
        source: absolute path of a file or folder, or words, which stay.
    """
    return source.rpartition("/")[2] if source.startswith("/") else source


def _escaped(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        # Python's stand-in for a byte of a file name that is no UTF-8.
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(letter) == "Zs":
        return " "
    # A zero-width joiner holds emoji together.
    if letter == "\u200d":
        return letter
    return letter.encode("unicode_escape").decode("ascii")


# Names that people read beside each other.
_SHOWN_GROUPS = 10


def first_of(texts: Sequence[str], most: int) -> str:
    """Return texts beside each other: the first, and how many more there are."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return f"{', '.join(texts[:most])}{more}"


def groups_text(grouped_by: str, names: tuple[str, ...]) -> str:
    """Return how many groups there are, and their names as far as people read them."""
    return f"{len(names)} {grouped_by}: {first_of(names, _SHOWN_GROUPS)}"
