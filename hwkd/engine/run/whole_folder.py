"""How a run folder comes to be: whole or not at all, whatever kills the process meanwhile.

A new folder is filled under another name and renamed. A folder that exists already cannot always be
replaced (a mount point, a link, a parent that is not writable), so it is filled in place: behind a
marker that says so while it lasts, and with the file that makes it a run last of all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from hwkd.core.errors import RunFolderError
from hwkd.io.run_files import CONFIG_FILE, PREPARED_FILE, RUN_FILE
from hwkd.io.run_lock import LOCK_FILE, is_held

_MARKER = ".creating"


def require_free(folder: Path, *, main_file: str) -> None:
    """Refuse a folder that holds anything or cannot be made, before time is spent.

    Args:
        main_file: name of the file that makes a folder a run.

    Raises:
        RunFolderError: saying which of the two.
    """
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
        temporary = folder.with_name(f".{folder.name}.{os.getpid()}.{uuid4().hex[:8]}")
        temporary.mkdir()
        try:
            yield temporary
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return
    marker = folder / _MARKER
    shutil.rmtree(marker, ignore_errors=True)
    marker.mkdir()
    try:
        yield marker
        for file in sorted(marker.iterdir(), key=lambda file: file.name == main_file):
            file.replace(folder / file.name)
    finally:
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
