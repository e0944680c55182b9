"""What `search`, `resume`, `finish`, `distill`, `report` and `open` return."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwkd.api.student import Student
from hwkd.core.errors import HwkdError
from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.io.student_folder import student_folder_of
from hwkd.report.build import build_report
from hwkd.report.columns import Columns, front_columns, trial_columns
from hwkd.report.document import Report
from hwkd.report.summary import summary_json

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go

    from hwkd.engine.search.result import SearchResult


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """What a search found, as its folder and its report hold it.

    Attributes:
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
    def best(self) -> Student | None:
        """The best student after full training, tested once; None without a final training."""
        if self.run.final is None:
            return None
        folder = student_folder_of(self.folder)
        return Student(folder=folder, final=self.run.final, data=self.run.data)

    @property
    def trials(self) -> pandas.DataFrame:
        """Every trial by number, in SI units; what is unknown is NA."""
        return _frame(trial_columns(self.page))

    @property
    def front(self) -> pandas.DataFrame:
        """Undominated students and the one that ships, fastest first, in SI units."""
        return _frame(front_columns(self.page))

    def plot_front(self, cost: str = "latency") -> go.Figure:
        """Return the error of every trial against a cost as a plotly figure.

        Args:
            cost: "latency", "peak RAM", "flash" or, where it is known, "energy".

        Raises:
            HwkdError: if no trial is completed, or the cost is another one.
        """
        from hwkd.report.pareto_figure import front_figure

        return front_figure(self.page, cost)

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it."""
        from hwkd.report.html import render_summary

        return render_summary(self.page)

    @property
    def report(self) -> Path:
        """The page to open in a browser."""
        return self.folder / "report.html"

    def as_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        found = summary_json(self.page, self.folder)
        return found if self.seconds is None else {**found, "seconds": self.seconds}


def _frame(columns: Columns) -> pandas.DataFrame:
    try:
        import pandas
    except ImportError:
        raise HwkdError(
            "a frame needs pandas; install it with pip install 'hwkd[notebook]'"
        ) from None
    return pandas.DataFrame(dict(columns)).convert_dtypes()


def outcome_of(result: SearchResult) -> SearchOutcome:
    """Return what a search found, with the report as data."""
    page = build_report(result.run, result.records)
    return SearchOutcome(folder=result.folder, seconds=result.seconds, page=page)
