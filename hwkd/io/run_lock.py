"""Who holds a run folder: a kernel lock that lasts as long as a process of its search lives."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path

__all__ = ["LOCK_FILE", "is_held"]

LOCK_FILE = "run.lock"


def is_held(folder: Path) -> bool:
    """Tell whether a search is at work in a run folder.

    A folder whose lock cannot be asked for (a file system without locks) counts as held: what its
    files say is then all that is known.
    """
    try:
        with (folder / LOCK_FILE).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError as error:
        return error.errno != errno.ENOTDIR
    return False
