"""Where hwkd keeps what it can make again, and how a file appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import platformdirs

from hwkd.core.errors import ConfigError

__all__ = [
    "cache_root",
    "cache_writes",
    "folder_written_once",
    "require_exists",
    "written_atomically",
]


def cache_root() -> Path:
    """Return the folder of decoded data, teachers and logits; the caller creates what it needs.

    The environment variable HWKD_CACHE_DIR moves it. Everything in it can be deleted at any time
    and is made again when needed.
    """
    override = os.environ.get("HWKD_CACHE_DIR")
    if override:
        return Path(override).expanduser()
    return Path(platformdirs.user_cache_dir("hwkd", appauthor=False))


def require_exists(path: Path, expected: str) -> None:
    """Say of a path that is not there that it is not there, before looking for something in it.

    Args:
        path: as the user gave it.
        expected: what to give, for example "a finished run".

    Raises:
        ConfigError: if there is neither a file nor a folder.
    """
    if not os.path.lexists(path):
        raise ConfigError(f"{path}: no such file or folder; give {expected}")


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` when the block ends well.

    The folder is created. Processes may race for the same name: each writes its own temporary file
    and the last rename wins, so a reader sees a whole file of one of them.

    Yields:
        The path to write to; it ends in the suffix of `path` because some writers look at it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.{uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def cache_writes(path: Path) -> Iterator[None]:
    """Turn a failing write to the cache into one line that says what to do.

    Raises:
        ConfigError: if the disk is full or the folder not writable.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror or error}); free some space, or set "
            "HWKD_CACHE_DIR to a folder that you may write to"
        ) from error


@contextmanager
def folder_written_once(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`; it becomes `path` when the block ends well.

    For files that belong together. If another process was faster, its folder stays and this one
    is dropped, so files of two writers never mix.

    Yields:
        An empty folder to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}")
    temporary.mkdir()
    try:
        yield temporary
        try:
            temporary.rename(path)
        except OSError:
            if not path.is_dir():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
