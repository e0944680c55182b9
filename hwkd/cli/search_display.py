"""What `hwkd search` and `hwkd distill` say while they run, beside how far they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from rich.console import Console

from hwkd.core.metric import primary_text
from hwkd.core.progress import Progress
from hwkd.core.run_record import RunRecord, TeacherRecord
from hwkd.core.trial import TrialRecord
from hwkd.report import format as fmt
from hwkd.report.live import score_text, trial_text
from hwkd.report.tables import feasibility_view
from hwkd.tasks.base import describe

if TYPE_CHECKING:
    from hwkd.engine.setup.time_plan import Stage
    from hwkd.tasks.base import TaskData


@dataclass
class SearchDisplay:
    """Says how a search or a distillation goes; see `hwkd.engine.run.listener.SearchListener`.

    Attributes:
        tell: draws, or says, how far a stage is.
    """

    console: Console
    tell: Progress
    _printed: int = 0
    _note: str = ""
    _has_plan: bool = False

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance."""
        self.tell(stage, done, total, self._note if stage == "search" else note)

    def _say(self, what: str, text: str) -> None:
        self.console.print(f"{what:>16}  {text}", highlight=False, soft_wrap=True, markup=False)

    def on_data(self, data: TaskData) -> None:
        """Hear what the data is."""
        for what, value in describe(data):
            self._say(what, value)

    def on_feasibility(self, run: RunRecord) -> None:
        """Hear what share of each space fits."""
        self.console.print(feasibility_view(run))

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Hear which teacher there is."""
        origin = "from the cache" if teacher.from_cache else f"in {teacher.seconds:.0f} s"
        score = primary_text(teacher.scores.validation_float or {})
        self._say("teacher", f"{teacher.description}, {origin}; validation {score}")
        for member in teacher.members if len(teacher.members) > 1 else ():
            score = primary_text(member.scores.validation_float or {})
            self._say("member", f"{member.name}, shown {member.input}; validation {score}")
        for doubt in teacher.doubts:
            self._say("note", doubt)

    def on_plan(self, seconds: Mapping[Stage, float], left_s: float) -> None:
        """Hear how a time limit is divided."""
        shares = in_whole_seconds(seconds)
        parts = ", ".join(f"{stage} {_seconds_text(share)}" for stage, share in shares.items())
        anew = ", planned anew" if self._has_plan else ""
        self._has_plan = True
        self._say("time left", f"{_seconds_text(round(left_s))}{anew}: {parts}")

    def on_note(self, note: str) -> None:
        """Hear what was given up or left out."""
        self._say("note", note)

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        """Hear all records so far."""
        self._note = _summary(records)
        if total is not None:
            self.tell("candidates", len(records), total, self._note)
        if not self.console.is_terminal:
            for record in records[self._printed :]:
                self.console.print(trial_text(record), highlight=False, soft_wrap=True)
        self._printed = len(records)


def in_whole_seconds(seconds: Mapping[Stage, float]) -> dict[Stage, int]:
    """Round shares of a time so that they still add up to all of it."""
    ends = [0, *(round(end) for end in accumulate(seconds.values()))]
    return {stage: end - begin for stage, (begin, end) in zip(seconds, pairwise(ends), strict=True)}


def _seconds_text(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else fmt.duration(seconds)


def _summary(records: Sequence[TrialRecord]) -> str:
    feasible = sum(record.state in ("completed", "failed", "duplicate") for record in records)
    parts = [f"fit {feasible}/{len(records)}"]
    scored = [r for r in records if r.objective is not None and r.scores is not None]
    if scored:
        best = min(scored, key=lambda r: r.objective.value if r.objective else 0.0)
        parts.append(f"best trial {best.number}: int8 validation {score_text(best)}")
    return ", ".join(parts)
