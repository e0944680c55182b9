"""A look at a run that may be going on: its report so far, how far it is, who works, its log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwkd.core.errors import RunFolderError, StoppedByUserError, UnreachableError
from hwkd.io.run_files import PLACE_FILE, RUN_FILE, TRIALS_FILE
from hwkd.io.run_lock import is_held
from hwkd.io.run_log import LOG_FILE, PROGRESS_FILE, LogLine, StageAt, read_log, read_stage
from hwkd.io.student_folder import holds_student
from hwkd.report.document import Report
from hwkd.report.format import duration
from hwkd.report.live import Working, live_sections, stage_text, whole_log
from hwkd.report.read import read_report
from hwkd.report.summary import summary_json

if TYPE_CHECKING:
    from hwkd.engine.run.at_work import AtWork

# What is short is compared whole, what only grows by its size.
_SHORT, _GROWING = (RUN_FILE, PROGRESS_FILE), (TRIALS_FILE, LOG_FILE)


@dataclass(frozen=True, kw_only=True)
class Look:
    """A run at one moment.

    Attributes:
        page: its report so far.
        stage: how far the search was when it last said so; None where this machine does not know.
        log: what it said and what became of every candidate, in the order of time.
        is_over: nobody is at work on it, so it changes no more.
        trouble: why this look is an old one; empty when it is not.
    """

    folder: Path
    page: Report
    stage: StageAt | None
    workers: tuple[AtWork, ...]
    log: tuple[LogLine, ...]
    is_over: bool
    trouble: str = ""

    @property
    def doing(self) -> str:
        """What goes on, as a line for people."""
        if self.trouble:
            return self.trouble
        if self.is_over:
            return self.page.run.status
        return stage_text(self.stage, datetime.now(UTC))

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints: what `hwkd report` does, and what goes on."""
        from hwkd.api.record import plain_data

        return {
            **summary_json(self.page, self.folder),
            "is_over": self.is_over,
            "stage": None if self.stage is None else asdict(self.stage),
            "workers": plain_data(self.workers),
            "log": plain_data(self.log),
        }

    @property
    def live_page(self) -> Report:
        """Its report with what goes on as sections of their own."""
        sections = live_sections(
            self.page.sections, doing=self.doing, workers=shown(self.workers), log=self.log
        )
        return replace(self.page, sections=sections)


def shown(workers: Sequence[AtWork]) -> tuple[Working, ...]:
    """Return who is at work as text for people."""
    found = []
    for worker in workers:
        late = f", silent for {duration(worker.silent_s)}" if worker.silent_s else ""
        found.append(
            Working(
                worker=worker.worker,
                host=worker.host or "this one",
                pid=worker.pid,
                trial="-" if worker.trial is None else str(worker.trial),
                since=("-" if worker.busy_s is None else duration(worker.busy_s)) + late,
                version=worker.hwkd_version or "-",
            )
        )
    return tuple(found)


class Watched:
    """A run that is looked at again and again; only what changed is read again.

    Several threads may look at once.
    """

    def __init__(self, run: Path) -> None:
        """Look for the first time.

        Raises:
            RunFolderError: if the folder is no run of `hwkd search`.
            UnreachableError: if the run is in a database that does not answer.
        """
        self._folder = run
        if holds_student(run):
            raise RunFolderError(
                f"{run}: is a finished student, which changes no more; see `hwkd report {run}`"
            )
        self._lock = threading.Lock()
        self._seen: object = None
        self._last = self._read()

    def look(self) -> Look:
        """Return how it is now; when its database is away, how it was."""
        with self._lock:
            try:
                self._last = self._read()
            except UnreachableError as error:
                self._last = replace(self._last, trouble=str(error))
            return self._last

    def _read(self) -> Look:
        from hwkd.engine.run.at_work import at_work
        from hwkd.engine.run.join import read_again

        run = self._folder
        is_shared = (run / PLACE_FILE).is_file()
        if is_shared:
            read_again(run, None, None)
        workers = at_work(str(run), None)
        is_over = not (workers or is_held(run))
        seen = (is_over, *(_content(run / n) for n in _SHORT), *(_size(run / n) for n in _GROWING))
        if seen == self._seen:
            return replace(self._last, workers=workers, trouble="")
        page = read_report(run)
        self._seen = seen
        return Look(
            folder=run,
            page=page,
            stage=read_stage(run),
            workers=workers,
            log=whole_log(read_log(run), page.records),
            is_over=is_over,
        )


def wait_for(
    run: Path, *, pause_s: float, bound_s: float | None, on_wait: Callable[[str], None] | None
) -> None:
    """Wait while a search has not begun to write into its folder.

    Args:
        pause_s: between two looks.
        bound_s: to wait at most; None waits as long as it takes.
        on_wait: hears once what is waited for.

    Raises:
        RunFolderError: if it has not begun in time.
        StoppedByUserError: on Ctrl-C, one line.
    """
    began_s, is_told = time.monotonic(), False
    try:
        while _is_ahead(run):
            if bound_s is not None and time.monotonic() - began_s > bound_s:
                raise RunFolderError(f"{run}: no search began there in {duration(bound_s)}")
            if on_wait is not None and not is_told:
                on_wait(f"waiting for {run}: no search has begun there (Ctrl-C ends the waiting)")
            is_told = True
            time.sleep(pause_s)
    except KeyboardInterrupt:
        raise StoppedByUserError(f"{run}: no search began there while it was waited for") from None


def _is_ahead(run: Path) -> bool:
    """Whether nothing is there yet, or nothing but the lock of a search that prepares its data."""
    try:
        names = {path.name for path in run.iterdir()}
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # what is wrong with it is said where it is read
        return False
    return not names or (not names & {RUN_FILE, PLACE_FILE} and is_held(run))


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
