"""Processes of a benchmark that end when the benchmark does, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ProcessPoolExecutor

_POLL_S = 0.5


def worker_pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool of fresh interpreters with one thread each.

    A killed parent cannot tell its workers, and they would train on for nobody: each looks itself.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    return ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_end_with,
        initargs=(os.getpid(),),
    )


def _end_with(parent_pid: int) -> None:
    threading.Thread(target=_watch, args=(parent_pid,), daemon=True).start()


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(_POLL_S)
    os._exit(1)
