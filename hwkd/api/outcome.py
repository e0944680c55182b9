"""What `search`, `resume` and `finish` return."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwkd.core.final_record import FinalRecord
from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.report.build import build_report
from hwkd.report.document import Report
from hwkd.report.summary import summary_json

if TYPE_CHECKING:
    from hwkd.engine.search.result import SearchResult


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """What a search found, as its folder and its report hold it.

    Attributes:
        folder: the run folder.
        page: the report as data; its files are written.
        seconds: wall time of the search; None when it only was read.
    """

    folder: Path
    page: Report
    seconds: float | None = None

    @property
    def run(self) -> RunRecord:
        """Facts of the search."""
        return self.page.run

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        """Every trial, by number; tables per operator and epoch are the best one's alone."""
        return tuple(self.page.records)

    @property
    def pareto(self) -> tuple[FrontPoint, ...]:
        """Undominated students, fastest first."""
        return tuple(self.page.front)

    @property
    def best(self) -> FinalRecord | None:
        """The best student after full training, tested once; None without a final training."""
        return self.run.final

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        return self.folder / "report.html"

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        found = summary_json(self.page, self.folder)
        return found if self.seconds is None else {**found, "seconds": self.seconds}


def outcome_of(result: SearchResult) -> SearchOutcome:
    """Return what a search found, with the report as data."""
    page = build_report(result.run, result.records)
    return SearchOutcome(folder=result.folder, seconds=result.seconds, page=page)
