"""A table for a terminal of any width: what does not fit goes on in the next line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

_AMPLE_CELLS = 10_000
# Of a column that is wrapped beside others that are not.
_LEAST_CELLS = 12


class WrappedTable(Table):
    """A table that never cuts a cell off, and breaks no word where there is room for all.

    Columns that are not to be wrapped are, where there would be no room beside them.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; called by rich."""
        ample = options.update(width=_AMPLE_CELLS)
        needs = [_need(column, console, ample) for column in self.columns]
        between = self.__rich_measure__(console, ample).maximum - sum(n.maximum for n in needs)
        room = options.max_width - between
        asked = [column.width for column in self.columns]
        for column in self.columns:
            column.overflow = "fold"
        if sum(need.maximum for need in needs) > room:
            self._fit(needs, room)
        yield from super().__rich_console__(console, options)
        # The same table may be drawn again for another width.
        for column, width in zip(self.columns, asked, strict=True):
            column.width = width

    def _fit(self, needs: Sequence[Measurement], room: int) -> None:
        """Give each column its width, whole words first; rich divides where no words fit."""
        whole = [
            need.maximum if column.no_wrap else need.minimum
            for column, need in zip(self.columns, needs, strict=True)
        ]
        if sum(whole) > room:
            whole = [need.minimum for need in needs]
        if sum(whole) > room:
            kept = sum(
                need.maximum if column.no_wrap else min(need.maximum, _LEAST_CELLS)
                for column, need in zip(self.columns, needs, strict=True)
            )
            for column in self.columns:
                column.no_wrap = column.no_wrap and kept <= room
            return
        widths = _shared(whole, needs, room)
        for column, need, cells in zip(self.columns, needs, widths, strict=True):
            column.width = cells
            column.no_wrap = column.no_wrap and cells == need.maximum


def _need(column: Column, console: Console, ample: ConsoleOptions) -> Measurement:
    """Return the longest word and the longest line of a column, heading included."""
    found = [
        Measurement.get(console, ample, cell)
        for cell in (*([column.header] if column.header else []), *column.cells)
    ]
    most = column.max_width or _AMPLE_CELLS
    longest = max((each.maximum for each in found), default=0)
    word = max((each.minimum for each in found), default=0)
    least = column.min_width or 0
    return Measurement(max(min(word, most), least), max(min(longest, most), least))


def _shared(whole: Sequence[int], needs: Sequence[Measurement], room: int) -> list[int]:
    """Give what is left to the columns that are furthest from a line for each cell."""
    widths, left = list(whole), room - sum(whole)
    while left > 0:
        short = [i for i, need in enumerate(needs) if widths[i] < need.maximum]
        if not short:
            break
        least = min(short, key=lambda i: widths[i] / needs[i].maximum)
        widths[least] += 1
        left -= 1
    return widths
