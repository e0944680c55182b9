"""What a search hands to whoever called it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """What a finished search leaves.

    Attributes:
        run: facts of the search; `run.final` is the best student.
        seconds: wall time of this call.
    """

    folder: Path
    run: RunRecord
    records: tuple[TrialRecord, ...]
    front: tuple[FrontPoint, ...]
    seconds: float
