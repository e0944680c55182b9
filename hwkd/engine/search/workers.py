"""Starts worker processes, watches them, replaces those that die."""

from __future__ import annotations

import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from hwkd.core.errors import HwkdError, RunFolderError, UnreachableError
from hwkd.engine.arms.children import Child, Nursery, end_now, last_line
from hwkd.engine.run.run_folder import RunFolder
from hwkd.io.machine import threads_per_worker
from hwkd.io.run_files import STATUS_FOLDER
from hwkd.io.text_files import read_number

# A candidate that kills two workers becomes a failed record; more deaths than this in one search
# mean that something else is wrong.
_MAX_DEATHS = 20
# What a worker has not saved by then is done again on resume.
_SECONDS_TO_STOP = 2.5


@dataclass
class WorkerPool:
    """The worker processes of one search.

    Attributes:
        descriptors: of the lease; every worker keeps them open, so that it lasts while one lives.
        share_s: time for one candidate under a time limit; None is no bound.
        end_s: when the search ends, by `time.monotonic`; None is no bound.
        scoring_s: what judging the first candidate of a worker takes at least.
    """

    store: RunFolder
    nursery: Nursery
    count: int
    descriptors: tuple[int, ...]
    share_s: float | None = None
    end_s: float | None = None
    scoring_s: float = 0.0
    _processes: dict[str, Child] = field(default_factory=dict)
    _deaths: int = 0
    _started: int = 0

    def start(self) -> None:
        """Start every worker."""
        folder = self.store.path / STATUS_FOLDER
        folder.mkdir(exist_ok=True)
        for stale in folder.glob("*.json"):  # of a search that was killed
            stale.unlink()
        for _ in range(self.count):
            self._start_one()

    def is_running(self) -> bool:
        """Replace workers that died; tell whether any is at work.

        Raises:
            HwkdError: what a worker reported in one line, or that too many died.
        """
        for name, process in list(self._processes.items()):
            code = process.poll()
            if code is None:
                continue
            del self._processes[name]
            if code == UnreachableError.exit_code:
                self.stop()
                raise UnreachableError(last_line(self._log_path(name)))
            if code == 2:
                self.stop()
                raise RunFolderError(last_line(self._log_path(name)) or self._no_space())
            if code != 0:
                self._replace_dead(name, process.pid, code)
        return bool(self._processes)

    def stop(self) -> None:
        """Interrupt the workers; the candidates at hand stay open."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS_TO_STOP
        for process in self._processes.values():
            try:
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                end_now(process)
        self._processes.clear()

    def _start_one(self) -> None:
        name = f"worker{self._started}"
        self._started += 1
        given = () if self.share_s is None else (self.share_s, self.end_s, self.scoring_s)
        # One thread per library and process: the workers share the cores among themselves.
        self._processes[name] = self.nursery.start(
            "hwkd.engine.search.worker",
            [str(self.store.path), name, *map(str, given)],
            log=self._log_path(name),
            threads=threads_per_worker(self.count),
            descriptors=self.descriptors,
        )

    def _replace_dead(self, name: str, pid: int, code: int) -> None:
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._deaths += 1
        if self._deaths > _MAX_DEATHS:
            self.stop()
            raise HwkdError(
                f"{self.store.path}: {_MAX_DEATHS} worker processes died, the last with {cause}: "
                f"{last_line(self._log_path(name)) or 'no message'}; see {self._log_path(name)}"
            )
        self.store.note_death(name, pid, self._trial_of(name))
        self._start_one()

    def _trial_of(self, name: str) -> int | None:
        """Return Optuna's number of the worker's last trial; None when it had none yet."""
        trial = read_number(self.store.path / STATUS_FOLDER / f"{name}.json", "trial")
        return None if trial is None else int(trial)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(number)

    def _log_path(self, name: str) -> Path:
        return self.store.path / STATUS_FOLDER / f"{name}.log"

    def _no_space(self) -> str:
        folder = self.store.path
        return (
            f"{folder}: a worker could not write there, not even why; finished trials are safe; "
            f"free some space and go on with --resume {folder}"
        )
