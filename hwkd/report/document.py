"""A report as plain data, before it is a page, a terminal table or JSON.

A column or a headline number has one `Basis`, so an estimated and a measured number cannot stand
in the same column, and each renderer prints the basis beside the heading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord

# "measured": a clock or a test split gave it. "emulated": an emulated core executed it. Else the
# word of the device's cost backend, as "estimated". None: none applies (a name, a count, a limit).
Basis: TypeAlias = str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """Heading of a table column.

    Attributes:
        title: heading without the basis.
        is_number: aligned right.
        under: heading that neighbours share, which says the basis once for all; empty for none.
    """

    title: str
    basis: Basis = None
    is_number: bool = False
    under: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of a cell; `bar_ratio` (0 to 1) draws a bar behind it."""

    text: str
    bar_ratio: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of text under headings.

    Attributes:
        marked: indices of rows to stand out, for example the best trial.
        note: what a reader must know to read it.
        is_long: shown folded on the page.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: frozenset[int] = frozenset()
    note: str = ""
    is_long: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.title}: {len(row)} cells, {len(self.columns)} columns")

    @property
    def spans(self) -> tuple[tuple[Column, ...], ...]:
        """The columns, those together that share a heading."""
        runs: list[list[Column]] = []
        for column in self.columns:
            if column.under and runs and runs[-1][0].under == column.under:
                runs[-1].append(column)
            else:
                runs.append([column])
        return tuple(map(tuple, runs))

    @property
    def flat_title(self) -> str:
        """The title, with shared headings where a renderer has no cells that span columns."""
        shared = [run[0] for run in self.spans if run[0].under]
        said = (c.under if c.basis is None else f"{c.under}, {c.basis}" for c in shared)
        return self.title + "".join(f" ({text})" for text in said)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """One of several views of a chart, chosen by a button.

    Attributes:
        data: trace property -> one value per trace (plotly `restyle`).
        layout: layout property -> value (plotly `relayout`).
    """

    label: str
    data: Mapping[str, list[Any]]
    layout: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A plotly figure as plain data; the first view is the one that `figure` shows.

    Attributes:
        key: unique in the page; letters and dashes.
        figure: `{"data": [...], "layout": {...}}`.
        views: none, or at least two.
    """

    key: str
    title: str
    figure: Mapping[str, Any]
    views: tuple[ChartView, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Pairs of a name and a value."""

    title: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Sentences; a warning stands out."""

    lines: tuple[str, ...]
    is_warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures with a line below each; (PNG in base64, line) of them.

    Attributes:
        legend: (colour as "#rrggbb", what it stands for) in all of them.
    """

    title: str
    shown: tuple[tuple[str, str], ...]
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""


Block: TypeAlias = Table | Chart | Facts | Note | Pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled part of the report; `key` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """One of the large numbers at the top.

    Attributes:
        detail: runtime, interval or split that belongs to the number.
        used_ratio: part of its limit, 0 to more than 1; None without a limit.
    """

    label: str
    value: str
    detail: str = ""
    basis: Basis = None
    used_ratio: float | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that a page, a terminal or a model card shows of one run.

    Attributes:
        is_search: it is about a search with its candidates, and not about one finished student.
        drawn: those that charts and long tables show; all unless there are thousands.
        front: undominated trials, fastest first.
        best: the trial that was trained at full length, or the best so far.
        sections: in reading order.
        caveats: everything to know before using a number.
    """

    title: str
    run: RunRecord
    records: tuple[TrialRecord, ...]
    is_search: bool = True
    drawn: tuple[TrialRecord, ...] = ()
    front: tuple[FrontPoint, ...] = ()
    best: TrialRecord | None = None
    headlines: tuple[Headline, ...] = ()
    sections: tuple[Section, ...] = ()
    caveats: tuple[str, ...] = field(default=())
