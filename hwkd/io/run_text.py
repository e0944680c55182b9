"""Text files of a run folder: whole or not at all, and one line when that fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hwkd.core.errors import RunFolderError
from hwkd.io.paths import written_atomically


@contextmanager
def run_writes(run: Path | str) -> Iterator[None]:
    """Turn a failing write to a run into one line that says what to do.

    Raises:
        RunFolderError: if the disk is full or the folder not writable any more.
    """
    try:
        yield
    except OSError as error:
        raise RunFolderError(
            f"{run}: cannot write there: {error.strerror or error}; finished trials "
            f"are safe; free some space and go on with --resume {run}"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing."""
    try:
        with written_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunFolderError(f"{path}: cannot write it: {error.strerror}") from error


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a whole file or nothing, line by line: all lines together may be a gigabyte."""
    try:
        with written_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise RunFolderError(f"{path}: cannot write it: {error.strerror}") from error


def append_line(path: Path, line: str) -> None:
    """Append one line in one write, so that lines of several processes never mix."""
    try:
        with path.open("ab", buffering=0) as handle:
            handle.write(f"{line}\n".encode())
    except OSError as error:
        raise RunFolderError(
            f"{path}: cannot write it: {error.strerror}; finished trials are safe in the journal"
        ) from error
