"""Folders that tests only read: made once for all test processes of a session."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path


class MadeOnce:
    """Makes a folder when the first test asks for it; whoever asks meanwhile waits."""

    def __init__(self, folder: Path) -> None:
        """Keep folders in one that several processes may share."""
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def __call__(self, name: str, make: Callable[[Path], object]) -> Path:
        """Return the folder of this name; `make` fills it, and is told where it lies."""
        made, mark = self.folder / name, self.folder / f"{name}.made"
        with (self.folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not mark.exists():
                shutil.rmtree(made, ignore_errors=True)  # of a process that failed
                made.mkdir()
                make(made)
                mark.touch()
        return made
