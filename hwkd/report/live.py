"""What a page or a terminal shows of a run beside its report: how far it is, who works, its log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hwkd.core.metric import primary_text
from hwkd.core.trial import TrialRecord
from hwkd.io.run_log import LogLine, StageAt
from hwkd.report import format as fmt
from hwkd.report.document import Block, Cell, Column, Facts, Note, Section, Table

# Read first while a search runs; the rest of the report follows in its own order.
_FIRST = ("front", "history")
_SHOWN_LINES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A process at work, as text for people."""

    worker: str
    host: str
    pid: int
    trial: str
    since: str
    version: str


def worker_table(workers: Sequence[Working]) -> Table:
    """List who is at work, and on which candidate."""
    rows = tuple(
        tuple(map(Cell, (w.worker, w.host, str(w.pid), w.trial, w.since, w.version)))
        for w in workers
    )
    names = ("worker", "host", "process", "trial", "for", "hwkd")
    return Table(title="Workers", columns=tuple(Column(title=n) for n in names), rows=rows)


def whole_log(log: Sequence[LogLine], records: Sequence[TrialRecord]) -> tuple[LogLine, ...]:
    """Return what was said and what became of every candidate, in the order of time."""
    lines = [*log, *map(trial_line, records)]
    return tuple(sorted(lines, key=lambda line: line.at))


def trial_line(record: TrialRecord) -> LogLine:
    """Say what became of a candidate, at the moment when it was known."""
    begun = datetime.fromisoformat(record.started_at)
    ended = (begun + timedelta(seconds=record.duration_s)).astimezone(UTC)
    return LogLine(at=ended.isoformat(timespec="seconds"), text=trial_text(record))


def trial_text(record: TrialRecord) -> str:
    """Say what became of a candidate."""
    space = record.spec.space if record.spec else "?"
    said = f"trial {record.number:>3} {space:<16} {record.state}: "
    if record.scores is None:
        return f"{said}{record.reason}"
    reason = f" ({record.reason})" if record.reason else ""
    return f"{said}int8 validation {score_text(record)} in {record.duration_s:.1f} s{reason}"


def score_text(record: TrialRecord) -> str:
    """Return the score by which a candidate is known."""
    scores = None if record.scores is None else record.scores.validation_int8
    return "unknown" if scores is None else primary_text(scores)


def log_table(lines: Sequence[LogLine]) -> Table:
    """List the last lines of a log, the newest first."""
    rows = tuple(
        (Cell(clock(line.at)), Cell(line.text)) for line in lines[: -_SHOWN_LINES - 1 : -1]
    )
    note = f"The last {len(rows)} of {len(lines)} lines, newest first; times are UTC."
    columns = (Column(title="time"), Column(title="what"))
    return Table(title="Log", columns=columns, rows=rows, note=note)


def clock(at: str) -> str:
    """Return the time of day of a moment."""
    return at[11:19]


def stage_text(stage: StageAt | None, now: datetime) -> str:
    """Say how far the stage at hand is and how long it takes, as `search: 30 of 40 after 2 min`."""
    if stage is None:
        return "begins"
    taken_s = max(0.0, (now - datetime.fromisoformat(stage.since)).total_seconds())
    parts = [f"{stage.stage}: {stage.done:,} of {stage.total:,} after {fmt.duration(taken_s)}"]
    if stage.note:
        parts.append(stage.note)
    return ", ".join(parts)


def live_sections(
    sections: Sequence[Section], *, doing: str, workers: Sequence[Working], log: Sequence[LogLine]
) -> tuple[Section, ...]:
    """Return the sections of a report with what happens now: front and history, then workers, log.

    Args:
        doing: how far the run is.
    """
    first = [section for section in sections if section.key in _FIRST]
    rest = [section for section in sections if section.key not in _FIRST]
    nobody = Note(lines=("Nobody is at work.",))
    at_work: tuple[Block, ...] = (worker_table(workers),) if workers else (nobody,)
    now = Facts(title="Now", rows=(("stage", doing),))
    return (
        *first,
        Section(key="workers", title="At work", blocks=(now, *at_work)),
        Section(key="log", title="Log", blocks=(log_table(log),)),
        *rest,
    )
