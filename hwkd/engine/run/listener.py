"""What a search tells while it runs: the command line draws, a notebook may do something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hwkd.core.run_record import RunRecord, TeacherRecord
from hwkd.core.trial import TrialRecord
from hwkd.engine.setup.time_plan import Stage
from hwkd.tasks.base import TaskData


class SearchListener(Protocol):
    """Is told how a search advances; the command line draws, a notebook may do something else."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance; see `hwkd.core.progress.Progress`."""
        ...

    def on_data(self, data: TaskData) -> None:
        """Hear what the data is."""
        ...

    def on_feasibility(self, run: RunRecord) -> None:
        """Hear what share of each space fits (`run.feasibility`)."""
        ...

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Hear which teacher there is and how good it is."""
        ...

    def on_plan(self, seconds: Mapping[Stage, float], left_s: float) -> None:
        """Hear how the rest of a time limit is divided, at the start and whenever it changes."""
        ...

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        """Hear all records so far, after each new one; no total when time ends the search."""
        ...

    def on_note(self, note: str) -> None:
        """Hear what was given up or left out, in one sentence."""
        ...


class SilentListener:
    """Is told everything and says nothing."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Ignore."""

    def on_data(self, data: TaskData) -> None:
        """Ignore."""

    def on_feasibility(self, run: RunRecord) -> None:
        """Ignore."""

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Ignore."""

    def on_plan(self, seconds: Mapping[Stage, float], left_s: float) -> None:
        """Ignore."""

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        """Ignore."""

    def on_note(self, note: str) -> None:
        """Ignore."""


class PassingListener:
    """Passes everything on to another listener; derived from by those that do more with a part."""

    def __init__(self, listener: SearchListener) -> None:
        """Pass on to `listener`."""
        self._listener = listener

    def _tell(self, name: str, *told: Any) -> None:
        """Call a method of the other listener."""
        getattr(self._listener, name)(*told)

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance."""
        self._tell("__call__", stage, done, total, note)

    def on_data(self, data: TaskData) -> None:
        """Hear what the data is."""
        self._tell("on_data", data)

    def on_feasibility(self, run: RunRecord) -> None:
        """Hear what share of each space fits."""
        self._tell("on_feasibility", run)

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Hear which teacher there is."""
        self._tell("on_teacher", teacher)

    def on_plan(self, seconds: Mapping[Stage, float], left_s: float) -> None:
        """Hear how a time limit is divided."""
        self._tell("on_plan", seconds, left_s)

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        """Hear all records so far."""
        self._tell("on_records", records, total)

    def on_note(self, note: str) -> None:
        """Hear what was given up or left out."""
        self._tell("on_note", note)


def noted(run: RunRecord, note: str, listener: SearchListener) -> RunRecord:
    """Return the record with one more event, of which the listener hears."""
    listener.on_note(note)
    return run.model_copy(update={"events": tuple(dict.fromkeys((*run.events, note)))})
