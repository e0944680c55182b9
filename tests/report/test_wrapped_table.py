"""A table at any width: nothing cut off, and no word broken while there is room for all words."""

import io

import pytest
from rich.console import Console

from hwkd.report.wrapped_table import WrappedTable

ROWS = (
    ("stage2_block1_shortcut", "FullyConnected", "a basis that is told in many words indeed"),
    ("stem", "Conv", "short"),
)
LONGEST_WORDS = len("stage2_block1_shortcut") + len("FullyConnected") + len("indeed")
BETWEEN = 6


def drawn(width, *, no_wrap=(), box=None):
    table = WrappedTable(box=box)
    for i, head in enumerate(("layer", "kind", "basis")):
        table.add_column(head, no_wrap=i in no_wrap)
    for row in ROWS:
        table.add_row(*row)
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(table)
    return out.getvalue()


@pytest.mark.parametrize("width", range(LONGEST_WORDS + BETWEEN, 100, 3))
def test_words_are_whole_where_all_of_them_fit(width):
    printed = drawn(width)
    words = {word for row in ROWS for cell in row for word in cell.split()}
    assert words <= set(printed.split())
    assert max(map(len, printed.splitlines())) <= width


@pytest.mark.parametrize("width", range(20, LONGEST_WORDS + BETWEEN))
def test_letters_are_all_there_where_words_do_not_fit(width):
    printed = drawn(width, no_wrap=(0, 1))
    assert sorted("".join(printed.split())) == sorted(
        "".join("".join(row) for row in (("layer", "kind", "basis"), *ROWS)).replace(" ", "")
    )
    assert max(map(len, printed.splitlines())) <= width


def test_a_wide_terminal_has_a_line_for_each_row():
    assert len(drawn(200).splitlines()) == len(ROWS) + 1


def test_a_table_that_was_drawn_narrow_is_drawn_wide_again():
    table = WrappedTable(box=None)
    table.add_column("what")
    table.add_row("many words of which a line holds few")
    out = io.StringIO()
    Console(file=out, width=12).print(table)
    narrow = len(out.getvalue().splitlines())
    Console(file=out, width=80).print(table)
    assert len(out.getvalue().splitlines()) - narrow == 2
