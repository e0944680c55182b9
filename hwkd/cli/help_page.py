"""What `--help` prints: readable at 80 columns, with each option's words beside what it does."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from rich.console import RenderableType

    from hwkd.api.option import Declared

_WIDEST_PAGE = 100
# Longer words stand on a line of their own, with what they mean below.
_WORDS_CELLS = 24
_ARGUMENTS, _NO_PANEL, _GENERAL = "Arguments", "Options", "General"
_HELP = "--help, -h"
_SAID_OF_HELP = "Show this page."

Row = tuple[str, str]


class GroupPage(TyperGroup):
    """A group of commands with a page of one line for each."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the page; called by typer."""
        del formatter
        options = [(", ".join(p.opts), str(getattr(p, "help", "") or "")) for p in self.params]
        options.append((_HELP, _SAID_OF_HELP))
        commands = [
            (name, command.help.partition("\n\n")[0])
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and command.help
        ]
        usage = f"{ctx.command_path} COMMAND ..."
        note = f"`{ctx.command_path} COMMAND --help` says what a command takes, with examples."
        _print(usage, [self.help or "", note], (), {"Commands": commands, _GENERAL: options})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What `--help` says of a command.

    Attributes:
        name: words of the command, without the program.
        paragraphs: what it does.
        examples: whole lines.
        options: of its function, in their order.
        further: words and meaning of what is not of the function.
        instead: labels of options with which nothing else must be given.
    """

    name: str
    paragraphs: Sequence[str]
    examples: Sequence[str]
    options: Sequence[Declared]
    further: Sequence[Row]
    instead: Sequence[str]

    @property
    def usage(self) -> str:
        """The order of the words of a call."""
        places = [_in_usage(o) for o in self.options if o.option.metavar is not None]
        return " ".join(["hwkd", self.name, *places, "[OPTIONS]"])

    @property
    def sections(self) -> dict[str, list[Row]]:
        """Words and meanings by heading."""
        found: dict[str, list[Row]] = {_ARGUMENTS: [], _NO_PANEL: []}
        for option in self.options:
            is_argument = option.option.metavar is not None
            heading = _ARGUMENTS if is_argument else option.option.panel or _NO_PANEL
            row = (words_of(option), self._meaning_of(option))
            found.setdefault(heading, []).append(row)
        found[_GENERAL] = [*self.further, (_HELP, _SAID_OF_HELP)]
        return {heading: rows for heading, rows in found.items() if rows}

    def _meaning_of(self, option: Declared) -> str:
        said = meaning_of(option)
        if not option.is_required or option.option.metavar is not None:
            return said
        unless = f", unless {' or '.join(self.instead)} is" if self.instead else ""
        return f"{said} Must be given{unless}."

    def command(self) -> type[TyperCommand]:
        """Return the kind of command whose `--help` prints this."""
        page = self

        class CommandPage(TyperCommand):
            def format_help(self, ctx: Any, formatter: Any) -> None:
                del ctx, formatter
                _print(page.usage, page.paragraphs, page.examples, page.sections)

        return CommandPage


def words_of(option: Declared) -> str:
    """Return how an option is typed, with a word for its value."""
    if option.option.metavar is not None:
        return option.option.metavar
    value = _value_of(option)
    words = f"--{option.word} {value}".rstrip()
    return f"{words}, --no-{option.word}" if not value and option.default is True else words


def meaning_of(option: Declared) -> str:
    """Return what an option does, its choices, range and default, as sentences."""
    said = [option.option.help]
    choices = _choices(option)
    if choices and _value_of(option) == "CHOICE":
        said.append(f"One of {', '.join(choices)}.")
    low, high = option.option.minimum, option.option.maximum
    if low is not None and high is not None:
        said.append(f"{low:g} to {high:g}.")
    elif low is not None and low > 0:
        said.append(f"At least {low:g}.")
    default, text = option.default, option.option.help
    is_shown = default not in (None, inspect.Parameter.empty, (), False, "")
    if is_shown and "Default:" not in text:
        said.append(f"Default: {'on' if default is True else default}.")
    if option.is_repeated and option.option.metavar is None and "repeat" not in text:
        said.append("May be repeated.")
    return " ".join(said)


def _in_usage(option: Declared) -> str:
    word = f"{option.label} ..." if option.is_repeated else option.label
    return word if option.is_required else f"[{word}]"


def _value_of(option: Declared) -> str:
    """Return the word that stands for the value; empty of a switch."""
    choices = _choices(option)
    if choices:
        shown = "|".join(choices)
        return shown if len(f"--{option.word} {shown}") <= _WORDS_CELLS else "CHOICE"
    if option.option.amount:
        return "AMOUNT"
    if bool in option.kinds:
        return ""
    if option.is_path:
        return "PATH"
    return "NUMBER" if {int, float} & set(option.kinds) else "TEXT"


def _choices(option: Declared) -> tuple[str, ...]:
    kinds = [*option.kinds, *(each for kind in option.kinds for each in get_args(kind))]
    return tuple(
        str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)
    )


def _print(
    usage: str,
    paragraphs: Sequence[str],
    examples: Sequence[str],
    sections: dict[str, list[Row]],
) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    console.width = min(console.width, _WIDEST_PAGE)
    console.print(Text.assemble(("Usage: ", "bold"), usage, "\n"))
    for paragraph in filter(None, paragraphs):
        console.print(Text(f"{paragraph}\n"))
    if examples:
        console.print(Text("Example" if len(examples) == 1 else "Examples", style="bold"))
        # One line each at any width: what is copied must run.
        for line in examples:
            console.print(Text(f"  {line}", style="green"), soft_wrap=True)
        console.print()
    for title, rows in sections.items():
        console.print(Text(title, style="bold"))
        cells = min(max(len(words) for words, _ in rows), _WORDS_CELLS)
        for part in _lines(rows, cells):
            console.print(Padding(part, (0, 0, 0, 2)))
        console.print()


def _lines(rows: Sequence[Row], cells: int) -> Iterator[RenderableType]:
    """Yield the rows as two columns, the words of `cells` cells."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    for words, meaning in rows:
        shown = Text(words, style="cyan")
        if len(words) > cells:
            yield shown
            yield Padding(Text(meaning), (0, 0, 0, cells + 2))
            continue
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=cells, no_wrap=True)
        row.add_column()
        row.add_row(shown, Text(meaning))
        yield row
