"""When a command began: its limit counts from there, not from where its own code is reached.

Python's start and the imports of the command line take half a second on an idle machine, and were
16 s where seven others computed on two cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_BEGAN_S: ContextVar[float | None] = ContextVar("command began", default=None)
# In the fields after the name, which may hold blanks: clock ticks since the machine began.
_STAT, _START_FIELD = Path("/proc/self/stat"), 19


@contextmanager
def command_since(began_s: float) -> Iterator[None]:
    """Say meanwhile when the command began, by `time.monotonic`."""
    token = _BEGAN_S.set(began_s)
    try:
        yield
    finally:
        _BEGAN_S.reset(token)


def command_began_s() -> float:
    """Return when the command began, by `time.monotonic`: now, where Python code calls."""
    began_s = _BEGAN_S.get()
    return time.monotonic() if began_s is None else began_s


def process_began_s() -> float:
    """Return when this process began, by `time.monotonic`: now, where the system does not say."""
    now_s = time.monotonic()
    try:
        fields = _STAT.read_text().rpartition(")")[2].split()
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[_START_FIELD]) / os.sysconf(
            "SC_CLK_TCK"
        )
    except (AttributeError, IndexError, OSError, ValueError):  # not on Linux
        return now_s
    return now_s - max(0.0, age_s)
