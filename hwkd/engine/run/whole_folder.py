"""How a run folder comes to be: whole or not at all, whatever kills the process meanwhile.

A new folder is filled under another name and renamed. A folder that exists already cannot always be
replaced (a mount point, a link, a parent that is not writable), so it is filled in place: behind a
marker that says so while it lasts, and with the file that makes it a run last of all.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from hwkd.core.errors import RunFolderError
from hwkd.io.run_files import CONFIG_FILE, PREPARED_FILE, RUN_FILE
from hwkd.io.run_lock import LOCK_FILE, is_alive, is_held

_MARKER = ".creating"


def require_free(folder: Path, *, main_file: str) -> None:
    """Refuse a folder that holds anything or cannot be made, before time is spent.

    What a process that is gone left of its creation is removed first.

    Args:
        main_file: name of the file that makes a folder a run.

    Raises:
        RunFolderError: saying which of the two.
    """
    _remove_left(folder, main_file)
    if _is_filled(folder / _MARKER):
        raise RunFolderError(
            f"--out {folder}: another process is making a run there; choose a new folder"
        )
    if _is_taken(folder, main_file):
        is_run = (folder / main_file).exists()
        raise RunFolderError(
            f"--out {folder}: holds {'another run' if is_run else 'other files'}; choose a new "
            f"folder{f' or continue it with --resume {folder}' if is_run else ''}"
        )
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        # Asking for permission is not enough: root may write anywhere but not on every system.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise RunFolderError(
            f"--out {folder}: {existing} is not a folder that can be written "
            f"({error.strerror}); choose another one"
        ) from error


@contextmanager
def created_whole(folder: Path, *, main_file: str) -> Iterator[Path]:
    """Give a folder to fill; it becomes `folder` when the block ends well.

    Args:
        folder: absent, empty, or left by a creation that was killed.
        main_file: name of the file that makes a folder a run.

    Raises:
        OSError: if it cannot be written, or another process filled it meanwhile.
    """
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = folder.with_name(f"{_prefix(folder)}{os.getpid()}.{uuid4().hex[:8]}")
        temporary.mkdir()
        try:
            with _marked_alive(temporary):
                yield temporary
                temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return
    marker = folder / _MARKER
    if not _is_filled(marker):
        shutil.rmtree(marker, ignore_errors=True)
    marker.mkdir()  # fails while another process fills it
    try:
        with _marked_alive(marker):
            yield marker
            for file in sorted(marker.iterdir(), key=lambda file: file.name == main_file):
                file.replace(folder / file.name)
    finally:
        shutil.rmtree(marker, ignore_errors=True)


def _prefix(folder: Path) -> str:
    """Return how folders begin that become `folder`, made by processes of this machine."""
    machine = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
    return f".{folder.name}.{machine}."


@contextmanager
def _marked_alive(folder: Path) -> Iterator[None]:
    """Hold a kernel lock on a folder that is being filled; it ends with the process."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _is_filled(folder: Path) -> bool:
    """Tell whether a process that lives fills a folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _remove_left(folder: Path, main_file: str) -> None:
    """Remove what processes of this machine that are gone left of making `folder`.

    The marker stays beside files that were moved already, of which it says that they are ours.
    """
    prefix = _prefix(folder)
    for left in folder.parent.glob(f"{glob.escape(prefix)}*"):
        pid = re.fullmatch(r"(\d{1,9})\.[0-9a-f]{8}", left.name.removeprefix(prefix))
        # The number may be that of another container's process, the lock is not.
        if pid and not left.is_symlink() and not is_alive(int(pid[1])) and not _is_filled(left):
            shutil.rmtree(left, ignore_errors=True)
    marker = folder / _MARKER
    if not marker.is_dir() or marker.is_symlink() or _is_filled(marker):
        return
    if (folder / main_file).exists() or list(folder.iterdir()) == [marker]:
        shutil.rmtree(marker, ignore_errors=True)


def _is_taken(folder: Path, main_file: str) -> bool:
    if not folder.exists():
        return folder.is_symlink()
    if not folder.is_dir():
        return True
    was_cut_off = (folder / _MARKER).is_dir() and not (folder / main_file).exists()
    return not (was_cut_off or never_began(folder)) and any(folder.iterdir())


def never_began(folder: Path) -> bool:
    """Tell whether a folder holds no more than what older versions wrote before the journal.

    A kill at that moment left it; no trial was ever begun, so nothing is lost when it is filled.
    """
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    before_journal = {CONFIG_FILE, PREPARED_FILE, RUN_FILE}
    records = names & {PREPARED_FILE, RUN_FILE}  # a configuration alone may be the user's own
    return bool(records) and names <= before_journal | {LOCK_FILE} and not is_held(folder)
