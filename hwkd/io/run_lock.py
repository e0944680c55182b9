"""Who holds a run folder: a kernel lock that lasts as long as a process of its search lives."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

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


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine lives, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
