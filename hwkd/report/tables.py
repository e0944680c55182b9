"""Tables of a report for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Group, JustifyMethod, RenderableType
from rich.text import Text

from hwkd.core.run_record import RunRecord
from hwkd.io.discovery import output_kind
from hwkd.report.class_tables import class_tables
from hwkd.report.document import Column, Headline, Report, Table
from hwkd.report.exit_table import exit_tables
from hwkd.report.ladder_tables import ladder_tables
from hwkd.report.provenance_sections import command_line
from hwkd.report.search_sections import feasibility_table, front_table
from hwkd.report.verdict_section import arm_table, pair_tables
from hwkd.report.wrapped_table import WrappedTable


def front_view(report: Report) -> RenderableType:
    """Show the front, fastest first; the best trial stands out."""
    if not report.front:
        return Text("No candidate has completed, so there is no front.")
    return table_view(front_table(report.run, report.front, report.records, report.best))


def best_view(report: Report) -> RenderableType:
    """Show the headline numbers of the best student and how to repeat the search."""
    command = Text(f"repeat with: {command_line(report.run)}", style="dim")
    return Group(headline_view(report.headlines), command)


def headline_view(headlines: Sequence[Headline]) -> RenderableType:
    """Show numbers, how each came about, and what belongs to it."""
    grid = WrappedTable(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(style="cyan", no_wrap=True)
    grid.add_column(style="dim")
    for line in headlines:
        grid.add_row(
            *(Text(part) for part in (line.label, line.value, line.basis or "")), line.detail
        )
    return grid


def verdict_view(report: Report) -> RenderableType:
    """Show every way of training the best student, what was gained, which ships, each class."""
    final, data = report.run.final, report.run.data
    if final is None:
        return Text("No student was trained in full.", style="dim")
    lines = [Text(line) for line in final.verdict.sentences]
    arms = [table_view(arm_table(final.verdict))] if final.verdict.arms else []
    ladders = map(table_view, (*exit_tables(final.exits), *ladder_tables(report.run)))
    # A mean over classes hides those that fare badly; accuracy of examples is no such mean.
    by_class = () if output_kind(data.kind).of_classes else class_tables(final, data)
    return Group(*map(table_view, (*pair_tables(final), *by_class)), *arms, *lines, *ladders)


def feasibility_view(run: RunRecord) -> RenderableType:
    """Show what share of each space fits, and which limit binds."""
    return table_view(feasibility_table(run))


def table_view(table: Table) -> RenderableType:
    """Show any table of a report."""
    view = WrappedTable(
        title=Text(table.flat_title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for index, column in enumerate(table.columns):
        justify: JustifyMethod = "right" if column.is_number else "left"
        # The name of a row is what another command is given.
        view.add_column(_heading(column), justify=justify, no_wrap=index == 0)
    for index, row in enumerate(table.rows):
        style = "bold cyan" if index in table.marked else ""
        # Text, not str: square brackets in names are no markup.
        view.add_row(*(Text(cell.text) for cell in row), style=style)
    return Group(view, Text(table.note, style="dim")) if table.note else view


def _heading(column: Column) -> Text:
    heading = Text(column.title)
    if column.basis is not None and not column.under:
        heading.append(f"\n{column.basis}", style="dim")
    return heading
