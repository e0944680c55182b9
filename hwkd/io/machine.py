"""The machine that we run on: cores and versions of packages."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version


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


@cache
def package_versions() -> Mapping[str, str]:
    """Return the versions of what a result depends on."""
    packages = ("hwkd", "torch", "onnx", "onnxruntime", "optuna", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
