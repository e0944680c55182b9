"""`hwkd worker`: one process that works on a search which lies in a database.

It checks at the door that it would do what the search's own workers do (version, data, teacher,
code), and then takes candidates until the search is over, its own time is, or it is told to stop.
A told or a short-lived worker ends well within half a minute: it files what is nearly finished and
gives back what is not.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import torch

from hwkd import __version__
from hwkd.core.errors import HwkdError, InterruptedTrial
from hwkd.engine.run.database import Database
from hwkd.engine.run.join import joined, localised
from hwkd.engine.run.loaded_context import load_context
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.run.shared_study import SharedStudy
from hwkd.engine.search.trial_run import TrialRunner
from hwkd.engine.search.worker import run_to_the_end
from hwkd.io.machine import threads_per_worker

# After SIGTERM: a candidate may end within the first, is given back then, and the process is gone
# after the second, whatever it does.
_FINISH_S, _GONE_S = 12.0, 25.0
_POLL_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerWishes:
    """What a worker was started with.

    Attributes:
        max_s: seconds until it stops; None is no bound.
        idle_s: seconds without a candidate until it stops; None waits as long as the search lives.
        scratch: folder for its files; None is the system's temporary one.
        data: where the data lies here; None is where the search read it.
        spaces: the search's own search spaces, as files here.
        trusts: whether Python files that the search recorded may run.
    """

    max_s: float | None = None
    idle_s: float | None = None
    scratch: Path | None = None
    data: Path | None = None
    spaces: Sequence[Path] = ()
    trusts: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerResult:
    """What a worker did."""

    study: str
    candidates: int
    ended: str
    seconds: float


def work_on(
    database: Database, study: str, wishes: WorkerWishes, *, say: Callable[[str], None]
) -> WorkerResult:
    """Work on a search until it is over.

    Args:
        say: hears a line about each step.

    Raises:
        ConfigError: if this hwkd, its data or its code is not the search's.
        RunFolderError: if there is no such search, its data changed or an artifact is damaged.
        UnreachableError: if a server does not answer; the candidate at hand was given back, or runs
            out.
    """
    begun = time.monotonic()
    shared = SharedStudy.find(database, study)
    shared.require_version()
    until = _Until.of(wishes.max_s)
    with (
        TemporaryDirectory(prefix="hwkd-worker-", dir=wishes.scratch) as folder,
        until.listening(),
    ):
        worker = _Worker(shared, Path(folder), wishes, until, say)
        ended = worker.work()
    return WorkerResult(
        study=study,
        candidates=worker.candidates,
        ended=ended,
        seconds=time.monotonic() - begun,
    )


@dataclass
class _Worker:
    shared: SharedStudy
    folder: Path
    wishes: WorkerWishes
    until: _Until
    say: Callable[[str], None]
    candidates: int = 0
    store: RunFolder | None = None
    at_hand: list[int] = field(default_factory=list)

    def work(self) -> str:
        """Wait for the search, run candidates, wait again; returns why that ended."""
        runner: TrialRunner | None = None
        idle_since, taken = time.monotonic(), 0
        while True:
            if self.until.is_over():
                return self.until.why
            state = self.shared.state
            if state == "over":
                if runner is None and self.wishes.data is not None:
                    self._runner()  # other data is refused, though there is no work for it
                return "the search is over"
            if state == "running":
                runner = runner or self._runner()
                self._run(runner)
            if self.candidates > taken:
                idle_since, taken = time.monotonic(), self.candidates
            idle_s = self.wishes.idle_s
            if idle_s is not None and time.monotonic() - idle_since > idle_s:
                return f"there was no candidate for {idle_s:.0f} s"
            time.sleep(_POLL_S)

    def _runner(self) -> TrialRunner:
        """Check at the door, and load what trainings share."""
        name = f"worker-{os.environ.get('SLURM_PROCID', os.getpid())}"
        self.store = joined(self.shared, self.folder, process=name)
        localised(self.store, data=self.wishes.data, spaces=self.wishes.spaces)
        context = load_context(self.store, trusts=self.wishes.trusts)
        torch.set_num_threads(threads_per_worker(1))
        self.say(f"study {self.shared.place.study}: data, teacher and code are the search's")
        return TrialRunner(
            context=context,
            worker=name,
            artifacts=self.store.artifacts,
            check=self.until.check,
        )

    def _run(self, runner: TrialRunner) -> None:
        left_s, share_s = self.shared.times()
        end_s = None if left_s is None else time.monotonic() + left_s
        runner = replace(runner, share_s=share_s, end_s=end_s)
        store = self.store
        if store is None:
            raise ValueError("the run was not joined")
        try:
            with (
                store.lease.present(_note(runner)),
                self.until.leaving(lambda: self._give_back(store)),
            ):
                run_to_the_end(
                    store,
                    runner,
                    keep_asking=lambda: not self.until.is_over(),
                    on_start=self._started,
                )
        except InterruptedTrial:
            self.say("the candidate at hand was given back")

    def _started(self, trial: int, candidate: int) -> None:
        self.candidates += 1
        self.at_hand[:] = [trial]
        self.say(f"candidate {candidate}")

    def _give_back(self, store: RunFolder) -> None:
        for trial in self.at_hand:
            store.give_back(trial)


@dataclass
class _Until:
    """When a worker ends: its time, the time of its Slurm job, or a signal.

    Attributes:
        end_s: by `time.monotonic`; None is no bound.
        why: it ends.
    """

    end_s: float | None
    why: str = "its time is over"
    _leave: Callable[[], None] | None = None

    @classmethod
    def of(cls, max_s: float | None) -> _Until:
        """Return the earlier of the worker's own time and that of its Slurm job."""
        ends = [] if max_s is None else [max_s]
        job_end = os.environ.get("SLURM_JOB_END_TIME", "")
        if job_end.isdigit():
            ends.append(float(job_end) - time.time())
        return cls(time.monotonic() + min(ends) - _GONE_S if ends else None)

    def is_over(self) -> bool:
        """Tell whether no further candidate may begin."""
        return self.end_s is not None and time.monotonic() >= self.end_s

    def check(self) -> None:
        """Raise InterruptedTrial once the candidate at hand has had its time to end."""
        if self.end_s is not None and time.monotonic() >= self.end_s + _FINISH_S:
            raise InterruptedTrial

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Stop soon after SIGTERM or SIGINT."""
        before = {n: signal.signal(n, self._on_signal) for n in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def leaving(self, leave: Callable[[], None]) -> Iterator[None]:
        """Name what to do when the process has to go although the work does not stop."""
        self._leave = leave
        timer = None
        if self.end_s is not None:
            timer = self._timer(self.end_s + _GONE_S - time.monotonic() - 2.0)
        try:
            yield
        finally:
            self._leave = None
            if timer is not None:
                timer.cancel()

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        del frame
        self.why = f"{signal.Signals(signum).name} was sent"
        self.end_s = time.monotonic()
        self._timer(_GONE_S)

    def _timer(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(max(0.0, seconds), self._go)
        timer.daemon = True
        timer.start()
        return timer

    def _go(self) -> None:
        """End the process: scoring a student, say, is not interrupted by a check."""
        if self._leave is None:
            return
        try:
            self._leave()
        except HwkdError:
            pass  # what it held runs out by itself
        finally:
            os._exit(0)


def _note(runner: TrialRunner) -> Mapping[str, str]:
    return {"hwkd": __version__, "accelerator": str(runner.context.accelerator)}
