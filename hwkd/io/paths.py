"""Where hwkd keeps what it can make again, and how a file appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import platformdirs

from hwkd.core.errors import ConfigError

# More than the few bytes that a full disk still takes into the file's own entry.
_PROBE_BYTES = 1 << 16


def require_there(path: Path, expected: str, *, option: str = "") -> None:
    """Refuse a path that leads nowhere before anything is said about what it should hold.

    Args:
        expected: what to give, for example "a run folder".
        option: the option that took it, for example "--student"; empty for an argument.

    Raises:
        ConfigError: if nothing is there, or the way to it may not be searched.
    """
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        is_absent = isinstance(error, FileNotFoundError | NotADirectoryError)
        what = "no such file or folder" if is_absent else f"cannot be read ({reason})"
        shown = f"{option} {path}" if option else str(path)
        raise ConfigError(f"{shown}: {what}; give {expected}") from None


def cache_root() -> Path:
    """Return the folder of decoded data, teachers and logits; the caller creates what it needs.

    The environment variable HWKD_CACHE_DIR moves it. Everything in it can be deleted at any time
    and is made again when needed.
    """
    override = os.environ.get("HWKD_CACHE_DIR")
    if override:
        return Path(override).expanduser()
    return Path(platformdirs.user_cache_dir("hwkd", appauthor=False))


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


def require_writable_cache(folder: Path) -> None:
    """Refuse a cache folder that cannot be written, before the work that it should keep is done.

    Args:
        folder: in the cache; it is created.

    Raises:
        ConfigError: if the disk is full or the folder not writable.
    """
    with cache_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Asking for permission is not enough: root may write anywhere but not on every system.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()


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
