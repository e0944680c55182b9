"""Makes a command of a function of `hwkd`: its options, `--json`, `--config` and what is shown."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from hwkd.api.option import Declared, declared
from hwkd.api.record import plain_data
from hwkd.cli.completion import completion_of
from hwkd.cli.help_page import Page
from hwkd.cli.progress_bars import listening
from hwkd.core.errors import ConfigError

_JSON_HELP = "Print one JSON object at the end, nothing else."
_CONFIG_HELP = "TOML file with any of these options; an option on the command line wins over it."
_CONFIG, _JSON = "config", "as_json"


def _nothing_to_note(found: object) -> None:
    del found


def _done(found: object) -> int:
    del found
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A function as a command.

    Attributes:
        name: words on the command line, one or two.
        function: of `hwkd`, whose parameters declare the options.
        examples: whole lines for `--help`.
        more: returns arguments that are for Python alone, but for a listener.
        notes: says on standard error what a user must know of what the function returned.
        reads_config: whether `--config FILE.toml` may hold the options.
        instead: further options; with one of them the function needs nothing else.
    """

    name: str
    function: Callable[..., Any]
    show: Callable[[Any], None]
    examples: Sequence[str]
    more: Callable[[], Mapping[str, Any]] = dict
    notes: Callable[[Any], None] = _nothing_to_note
    exit_code: Callable[[Any], int] = _done
    reads_config: bool = False
    instead: tuple[Declared, ...] = ()

    @property
    def options(self) -> tuple[Declared, ...]:
        """The options, in the order of `--help`."""
        return (*declared(self.function), *self.instead)

    @property
    def paragraphs(self) -> list[str]:
        """What the function's docstring says before its sections."""
        paragraphs = (inspect.getdoc(self.function) or "").split("\n\n")
        ends = ("Args:", "Returns:", "Raises:")
        return [" ".join(text.split()) for text in paragraphs if not text.startswith(ends)]

    @property
    def help(self) -> str:
        """The paragraphs and the examples as one text."""
        word = "Example" if len(self.examples) == 1 else "Examples"
        shown = "\n\n".join(f"  {line}" for line in self.examples)
        return "\n\n".join([*self.paragraphs, f"{word}:\n{shown}"])

    @property
    def page(self) -> Page:
        """What `--help` says."""
        further = [("--config PATH", _CONFIG_HELP)] if self.reads_config else []
        return Page(
            name=self.name,
            paragraphs=self.paragraphs,
            examples=self.examples,
            options=self.options,
            further=[*further, ("--json", _JSON_HELP)],
            instead=[option.label for option in self.instead if bool not in option.kinds],
        )

    @property
    def _needs_all(self) -> bool:
        """Whether options without a default must be on the command line itself."""
        return not (self.reads_config or self.instead)

    def callback(self) -> Callable[..., None]:
        """Return the function that typer reads its parameters from and calls."""

        def run(context: typer.Context, **values: Any) -> None:
            given = {name: value for name, value in values.items() if _is_given(context, name)}
            self.run(given)

        parameters = [
            inspect.Parameter("context", _KEYWORD, annotation=typer.Context),
            *(_parameter(option, is_checked=self._needs_all) for option in self.options),
        ]
        if self.reads_config:
            parameters.append(_plain(_CONFIG, Path | None, None, "--config", _CONFIG_HELP))
        parameters.append(_plain(_JSON, bool, False, "--json", _JSON_HELP))
        shaped: Any = run  # typer reads the parameters from its signature
        shaped.__signature__ = inspect.Signature(parameters)
        shaped.__annotations__ = {}
        return run

    def run(self, given: dict[str, Any]) -> None:
        """Call the function with the options that were given, and print what it returns.

        Raises:
            typer.Exit: with the command's exit code, if it is not 0.
        """
        is_json = bool(given.pop(_JSON, False))
        config = given.pop(_CONFIG, None)
        if config is not None:
            from hwkd.cli.config_file import with_config

            given = with_config(config, given, self.options)
        if not any(option.name in given for option in self.instead):
            _require(self.options, given)
        with listening(self.function, quiet=is_json) as told:
            found = self.function(**given, **told, **self.more())
        self.notes(found)
        if is_json:
            typer.echo(json_text(found, self.function.__name__))
        else:
            self.show(found)
        if code := self.exit_code(found):
            raise typer.Exit(code)


_KEYWORD = inspect.Parameter.KEYWORD_ONLY


def _is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was typed; defaults are the function's own."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _plain(name: str, kind: Any, default: Any, flag: str, text: str) -> inspect.Parameter:
    annotation = Annotated[kind, typer.Option(flag, help=text)]
    return inspect.Parameter(name, _KEYWORD, default=default, annotation=annotation)


def _require(options: Sequence[Declared], given: Mapping[str, Any]) -> None:
    for option in options:
        if option.is_required and option.name not in given:
            raise ConfigError(f"{option.label} is missing: {option.option.help}")


def _parameter(option: Declared, *, is_checked: bool) -> inspect.Parameter:
    """Return the parameter that typer makes an option or an argument of.

    Args:
        is_checked: whether typer refuses the command when a required option is missing.
    """
    more: dict[str, Any] = {
        "help": option.option.help,
        "autocompletion": completion_of(option),
    }
    kind = _kind(option)
    if kind in (int, float):
        more |= {"min": option.option.minimum, "max": option.option.maximum}
    default = None if option.is_required or option.default == () else option.default
    if option.is_required and is_checked:
        default = inspect.Parameter.empty
    if option.option.metavar is not None:
        told: Any = typer.Argument(metavar=option.option.metavar, **more)
    else:
        is_on = kind is bool and option.default is True
        flags = f"--{option.word}" + (f"/--no-{option.word}" if is_on else "")
        told = typer.Option(flags, show_default=bool(default) or default == 0, **more)
    if default is None:
        kind = kind | None
    annotation: Any = Annotated[kind, told]
    return inspect.Parameter(option.name, _KEYWORD, default=default, annotation=annotation)


def _kind(option: Declared) -> Any:
    """Return the type that typer converts the text to."""
    if option.is_repeated:
        return list[Path] if option.is_path else list[str]
    if option.is_path:
        return Path
    (kind,) = (kind for kind in option.kinds if kind is not timedelta)
    return kind


def json_text(found: Any, name: str) -> str:
    """Return what `--json` prints of a function's record, or of its records under the name."""
    data = plain_data(found)
    return json.dumps({name: data} if isinstance(data, list) else data)
