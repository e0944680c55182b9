"""A table for a terminal of any width: what does not fit goes on in the next line."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table

_AMPLE_CELLS = 10_000
# Of a column that is wrapped beside others that are not.
_LEAST_CELLS = 12


class WrappedTable(Table):
    """A table that never cuts a cell off.

    Columns that are not to be wrapped are, where there would be no room beside them.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it; called by rich."""
        others = [(column, column.max_width) for column in self.columns if not column.no_wrap]
        for column, most in others:
            column.max_width = min(most or _LEAST_CELLS, _LEAST_CELLS)
        needed = self.__rich_measure__(console, options.update(width=_AMPLE_CELLS)).minimum
        for column, most in others:
            column.max_width = most
        for column in self.columns:
            column.overflow = "fold"
            column.no_wrap = column.no_wrap and needed <= options.max_width
        yield from super().__rich_console__(console, options)
