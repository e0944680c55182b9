"""A listener that keeps beside the run what it hears, for those who look from another terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hwkd.core.metric import primary_text
from hwkd.core.run_record import TeacherRecord
from hwkd.core.trial import TrialRecord
from hwkd.engine.run.listener import PassingListener, SearchListener
from hwkd.io.run_log import LogLine, StageAt, note_line, note_stage

# Nobody reads it more often.
_BETWEEN_WRITES_S = 1.0


class Logged(PassingListener):
    """Passes everything on; stages, teachers and notes are written down.

    Candidates are not: their records say what became of them.
    """

    def __init__(self, listener: SearchListener, run: Path) -> None:
        """Listen for a run whose folder is there."""
        super().__init__(listener)
        self._run = run
        self._stage, self._since = "", ""
        self._written_s, self._at = 0.0, (0, 0)

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance."""
        super().__call__(stage, done, total, note)
        self._advance(stage, done, total, note)

    def on_teacher(self, teacher: TeacherRecord) -> None:
        """Hear which teacher there is."""
        super().on_teacher(teacher)
        score = primary_text(teacher.scores.validation_float or {})
        self._note(f"teacher {teacher.description}: validation {score}")

    def on_records(self, records: Sequence[TrialRecord], total: int | None) -> None:
        """Hear all records so far."""
        super().on_records(records, total)
        if total is not None:
            self._advance("candidates", len(records), total, "")

    def on_note(self, note: str) -> None:
        """Hear what was given up or left out."""
        super().on_note(note)
        self._note(note)

    def _advance(self, stage: str, done: int, total: int, note: str) -> None:
        now_s = time.monotonic()
        is_new = stage != self._stage
        has_ended = done >= total and (done, total) != self._at
        if not (is_new or has_ended or now_s - self._written_s >= _BETWEEN_WRITES_S):
            return
        if is_new:
            self._stage, self._since = stage, _now()
            self._note(f"{stage} begins")
        self._written_s, self._at = now_s, (done, total)
        at = StageAt(stage=stage, done=done, total=total, note=note, since=self._since)
        note_stage(self._run, at)

    def _note(self, text: str) -> None:
        note_line(self._run, LogLine(at=_now(), text=text))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
