"""What a search says while it runs, beside the run: its notes line by line, and how far it is.

Only people read these files (`hwkd watch`, `hwkd serve`): a search goes on when they cannot be
written, and what cannot be read of them is left out.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hwkd.core.errors import RunFolderError
from hwkd.io.run_text import append_line, write_text

LOG_FILE = "log.jsonl"
PROGRESS_FILE = "progress.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A sentence and when it was said.

    Attributes:
        at: UTC, ISO 8601, to the second.
    """

    at: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StageAt:
    """How far a stage was when it was last heard of; see `hwkd.core.progress.Progress`.

    Attributes:
        since: when the stage began; UTC, ISO 8601.
    """

    stage: str
    done: int
    total: int
    note: str
    since: str


_LINE, _STAGE = TypeAdapter(LogLine), TypeAdapter(StageAt)


def note_line(run: Path, line: LogLine) -> None:
    """Append a line to the log of a run."""
    with suppress(RunFolderError):
        append_line(run / LOG_FILE, json.dumps(asdict(line)))


def note_stage(run: Path, stage: StageAt) -> None:
    """Say how far the stage at hand is."""
    with suppress(RunFolderError):
        write_text(run / PROGRESS_FILE, json.dumps(asdict(stage)))


def read_log(run: Path) -> tuple[LogLine, ...]:
    """Return what a search said, in its order; nothing where it is not on this machine."""
    found = []
    with suppress(OSError):
        for line in (run / LOG_FILE).read_bytes().splitlines():
            with suppress(ValidationError):  # cut by a kill
                found.append(_LINE.validate_json(line))
    return tuple(found)


def read_stage(run: Path) -> StageAt | None:
    """Return how far a search was when it last said so; None where nothing is known."""
    try:
        return _STAGE.validate_json((run / PROGRESS_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
