"""The machine that we run on: cores and versions of packages."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

# Nanoseconds on a core, then of waiting for one, of the main thread.
_SCHEDULED = Path("/proc/self/schedstat")
_TELLING_NS = 100_000_000


def available_cores() -> int:
    """Return how many cores this process may use; containers and `taskset` count."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_per_worker(workers: int) -> int:
    """Return how many threads one of `workers` processes uses: one, unless the user wants more.

    Small networks gain little by a second thread, and threads that wait for each other beside
    other work lose nearly everything. OMP_NUM_THREADS is shared by all processes.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    if not given.isdigit():
        return 1
    return max(1, min(available_cores(), int(given)) // workers)


def waiting_ratio() -> float | None:
    """Return the time that this process ran and waited for a core, over that in which it ran.

    Files that are read from a disk are no waiting. None where the system does not say, or nothing
    has run long enough to tell.
    """
    try:
        ran_ns, waited_ns = map(int, _SCHEDULED.read_text().split()[:2])
    except (OSError, ValueError):  # not on Linux
        return None
    return 1.0 + waited_ns / ran_ns if ran_ns > _TELLING_NS else None


@cache
def package_versions() -> Mapping[str, str]:
    """Return the versions of what a result depends on."""
    packages = ("hwkd", "torch", "onnx", "onnxruntime", "optuna", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
