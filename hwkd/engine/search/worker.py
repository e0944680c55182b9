"""One worker process; its arguments are RUN NAME [SHARE_S END_S SCORING_S].

SIGTERM interrupts the trial at hand, which stays open and is queued again on resume. A worker whose
parent is gone interrupts itself.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

import torch

from hwkd.core.errors import HwkdError, InterruptedTrial
from hwkd.engine.run.loaded_context import load_context
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.loop import run_trials
from hwkd.engine.search.trial_run import TrialRunner
from hwkd.io.machine import threads_per_worker
from hwkd.io.run_files import STATUS_FOLDER
from hwkd.io.run_text import write_text

# Between two looks whether a candidate came back, or others ended.
_POLL_S = 1.0


class _Signals:
    """What the parent has asked for so far."""

    def __init__(self, parent_pid: int) -> None:
        self._parent_pid = parent_pid
        self._interrupt = False
        signal.signal(signal.SIGTERM, self._on_terminate)
        # A Ctrl-C in the terminal reaches the whole group; the parent decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def keep_asking(self) -> bool:
        return not (self._interrupt or self._is_orphan())

    def check(self) -> None:
        if self._interrupt or self._is_orphan():
            raise InterruptedTrial

    def _is_orphan(self) -> bool:
        return os.getppid() != self._parent_pid

    def _on_terminate(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self._interrupt = True


def main(
    folder: Path,
    name: str,
    parent_pid: int,
    share_s: float | None = None,
    end_s: float | None = None,
    scoring_s: float = 0.0,
) -> int:
    """Run trials of the search in `folder` until it is over; returns the exit code.

    Args:
        name: of this worker, for records.
        share_s: time for one candidate; None is no bound.
        end_s: when the search ends, by the system's monotonic clock; None is no bound.
        scoring_s: what judging the first candidate takes at least.
    """
    signals = _Signals(parent_pid)
    store = RunFolder(folder, process=name)
    status_path = folder / STATUS_FOLDER / f"{name}.json"

    def on_start(trial: int, candidate: int) -> None:
        status = {"trial": trial, "candidate": candidate, "pid": os.getpid()}
        write_text(status_path, json.dumps(status))

    try:
        context = load_context(store)
        # More threads than cores spin against each other and slow small networks down tenfold.
        torch.set_num_threads(threads_per_worker(1))  # the pool has set this worker's share
        runner = TrialRunner(
            context=context,
            worker=name,
            artifacts=store.artifacts,
            check=signals.check,
            share_s=share_s,
            end_s=end_s,
            scoring_s=scoring_s,
        )
        run_to_the_end(store, runner, keep_asking=signals.keep_asking, on_start=on_start)
    except InterruptedTrial:
        return 0
    except HwkdError as error:
        with suppress(OSError):  # the log may lie on the disk that is full
            sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def run_to_the_end(
    store: RunFolder,
    runner: TrialRunner,
    *,
    keep_asking: Callable[[], bool],
    on_start: Callable[[int, int], None],
) -> None:
    """Run candidates as long as there may be some: one of a worker elsewhere that dies comes back.

    Args:
        keep_asking: as `run_trials` takes it.
        on_start: as `run_trials` takes it.

    Raises:
        InterruptedTrial: if the runner was told to stop; the candidate at hand is queued again
            where other machines could go on with it.
    """
    shared = store.shared
    if shared is None:
        run_trials(store.trials, store.lease, runner, keep_asking=keep_asking, on_start=on_start)
        return
    at_hand: list[int] = []

    def note(trial: int, candidate: int) -> None:
        at_hand[:] = [trial]
        on_start(trial, candidate)

    try:
        while keep_asking() and shared.state == "running":
            is_over = run_trials(
                store.trials, store.lease, runner, keep_asking=keep_asking, on_start=note
            )
            if not is_over:
                return
            if not store.trials.running():
                shared.set_state("over")
            time.sleep(_POLL_S)
    except (InterruptedTrial, HwkdError):
        with suppress(HwkdError):
            for trial in at_hand:
                store.give_back(trial)
        raise


def run(arguments: Sequence[str], parent_pid: int | str) -> int:
    """Be a worker; see `hwkd.engine.arms.children`."""
    folder, name, *times = arguments
    return main(Path(folder), name, int(parent_pid), *(float(text) for text in times))
