"""What `hwkd search` shows while it runs: a live table in a terminal, plain lines when piped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress, TaskID

from hwkd.cli.progress_bars import bars_on, says_what_is_saved
from hwkd.core.metric import primary_text
from hwkd.core.run_record import RunRecord, TeacherRecord
from hwkd.core.trial import TrialRecord
from hwkd.report import format as fmt
from hwkd.report.tables import feasibility_view
from hwkd.tasks.base import describe

if TYPE_CHECKING:
    from hwkd.engine.search.listener import SearchListener
    from hwkd.engine.setup.time_plan import Stage
    from hwkd.tasks.base import TaskData

__all__ = ["search_display"]


@contextmanager
def search_display(*, quiet: bool) -> Iterator[SearchListener | None]:
    """Give the listener for one search; None, which is silence, when `quiet`.

    Raises:
        StoppedByUserError: when the search was interrupted and said what it saved.
    """
    with says_what_is_saved():
        if quiet:
            yield None
            return
        console = Console(stderr=True)
        # Piped output gets the plain lines below and no bars.
        with bars_on(console) as bars:
            yield _Display(console=console, bars=bars)


@dataclass
class _Display:
    console: Console
    bars: Progress
    _tasks: dict[str, TaskID] = field(default_factory=dict)
    _printed: int = 0
    _note: str = ""
    _started: float = field(default_factory=time.monotonic)

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self.bars.add_task(stage, total=total, note=note)
            if not self.console.is_terminal:
                self.console.print(stage)
        shown = self._note if stage == "search" else note
        self.bars.update(self._tasks[stage], completed=done, total=total, note=shown)

    def _say(self, what: str, text: str) -> None:
        self.console.print(f"{what:>16}  {text}", highlight=False, soft_wrap=True, markup=False)

    def on_data(self, data: TaskData) -> None:
        for what, value in describe(data):
            # Folder and class names may hold brackets, which are no markup.
            self.console.print(
                f"{what:>16}  {value}", highlight=False, soft_wrap=True, markup=False
            )

    def on_feasibility(self, run: RunRecord) -> None:
        self.console.print(feasibility_view(run))

    def on_teacher(self, teacher: TeacherRecord) -> None:
        origin = "from the cache" if teacher.from_cache else f"in {teacher.seconds:.0f} s"
        self.console.print(
            f"{'teacher':>16}  {teacher.description}, {origin}; "
            f"validation {primary_text(teacher.scores.validation_float or {})}",
            highlight=False,
            soft_wrap=True,
        )

    def on_plan(self, seconds: Mapping[Stage, float], left_s: float) -> None:
        shares = ", ".join(f"{stage} {fmt.duration(share)}" for stage, share in seconds.items())
        self._say("time left", f"{fmt.duration(left_s)}: {shares}")

    def on_note(self, note: str) -> None:
        self._say("note", note)

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        self._note = _summary(records)
        if total is not None:
            self("candidates", len(records), total, note=self._note)
        if not self.console.is_terminal:
            for record in records[self._printed :]:
                self.console.print(_line(record), highlight=False, soft_wrap=True)
        self._printed = len(records)


def _summary(records: Sequence[TrialRecord]) -> str:
    feasible = sum(record.state in ("completed", "failed", "duplicate") for record in records)
    parts = [f"fit {feasible}/{len(records)}"]
    scored = [r for r in records if r.objective is not None and r.scores is not None]
    if scored:
        best = min(scored, key=lambda r: r.objective.value if r.objective else 0.0)
        parts.append(f"best trial {best.number}: int8 validation {_score(best)}")
    return ", ".join(parts)


def _line(record: TrialRecord) -> str:
    space = record.spec.space if record.spec else "?"
    if record.scores is None:
        return f"trial {record.number:>3} {space:<16} {record.state}: {record.reason}"
    suffix = f" ({record.reason})" if record.reason else ""
    return (
        f"trial {record.number:>3} {space:<16} {record.state}: int8 validation "
        f"{_score(record)} in {record.duration_s:.1f} s{suffix}"
    )


def _score(record: TrialRecord) -> str:
    scores = None if record.scores is None else record.scores.validation_int8
    return "unknown" if scores is None else primary_text(scores)
