"""One declaration per option: the signature of a function of `hwkd`.

A parameter annotated `Annotated[TYPE, Option("help")]` is an option of the command of that name.
Its type, default and help stand there and nowhere else: the command line, `--config FILE.toml`, the
check of values and the docstring are made from the signature. What several functions take is
declared in `hwkd.api.common`, and a signature says with `Here` what it adds. A parameter without an
`Option` (a listener) is for Python alone. Modules that declare options import what is heavy inside
functions and do without postponed annotations, so that a signature holds types, not their names.
"""

import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import reduce, wraps
from operator import or_
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, ParamSpec, TypeVar, Union, get_args, get_origin

from hwkd.core.errors import ConfigError
from hwkd.core.units import duration_text

P = ParamSpec("P")
R = TypeVar("R")
_DOC_WIDTH = 96


@dataclass(frozen=True, slots=True)
class Option:
    """What a signature does not say about an option.

    Attributes:
        panel: heading under which `--help` shows it.
        flag: word on the command line, if it is not the parameter's name: "space" of `spaces`.
        tables: name of the tables that hold it in a file, as `[[distill]]`.
        metavar: of an argument without a flag, as "RUN"; None for an option.
        opens: what a user may give, of an option that names files to read; they are looked for
            before anything else happens. Empty where nothing is read.
        suffix: of the values that name files, where others do not, as ".onnx"; empty is all.
        minimum: least number allowed.
        maximum: greatest number allowed.
        amount: number and unit, of an option that is one, as "20ms": a bare number is refused, for
            it has been read in two units. Empty for any other.
    """

    help: str
    panel: str | None = field(default=None, kw_only=True)
    flag: str | None = field(default=None, kw_only=True)
    tables: str | None = field(default=None, kw_only=True)
    metavar: str | None = field(default=None, kw_only=True)
    opens: str = field(default="", kw_only=True)
    suffix: str | tuple[str, ...] = field(default="", kw_only=True)
    minimum: float | None = field(default=None, kw_only=True)
    maximum: float | None = field(default=None, kw_only=True)
    amount: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class Here:
    """What one function adds to an option that several share.

    Attributes:
        help: put behind the option's own: the default of this function, or what it is for.
        minimum: in place of the option's, if given.
    """

    help: str
    minimum: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """An option as a function declares it.

    Attributes:
        default: its default; `inspect.Parameter.empty` when it must be given.
    """

    name: str
    kind: Any
    default: Any
    option: Option

    @property
    def word(self) -> str:
        """Its name on the command line and in a file, without dashes in front."""
        return (self.option.flag or self.name).replace("_", "-")

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.option.metavar or f"--{self.word}"

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def kinds(self) -> tuple[Any, ...]:
        """The types that it accepts, without None."""
        is_union = get_origin(self.kind) in (Union, UnionType)
        members = get_args(self.kind) if is_union else (self.kind,)
        return tuple(member for member in members if member is not NoneType)

    @property
    def _may_be_none(self) -> bool:
        return self.default is None or NoneType in get_args(self.kind)

    @property
    def _origins(self) -> tuple[Any, ...]:
        return tuple(map(get_origin, self.kinds))

    @property
    def is_path(self) -> bool:
        """Whether it names a file or a folder."""
        return Path in self.kinds

    @property
    def is_repeated(self) -> bool:
        """Whether it takes several values."""
        return Sequence in self._origins

    def listed(self, value: object) -> object:
        """Return one value of an option that takes several as a list of it, and others as given."""
        is_one = self.is_repeated and isinstance(value, str | Path | Mapping)
        return [value] if is_one else value

    def check(self, value: object, *, label: str | None = None) -> None:
        """Refuse a value of another type, outside the choices or out of range.

        Args:
            value: that was given; None is allowed where it is the default, or a type of the option.
            label: what the message calls the option; None is its label.

        Raises:
            ConfigError: names option, value and what is allowed.
        """
        if value is None and self._may_be_none:
            return
        shown = self.label if label is None else label
        value = self.listed(value)
        if self.option.amount and not isinstance(value, str | timedelta):
            also = ", or give a datetime.timedelta" if timedelta in self.kinds else ""
            raise ConfigError(
                f'{shown}: {_seen(value)} has no unit; write text, as "{self.option.amount}"{also}'
            )
        from pydantic import Field, TypeAdapter, ValidationError

        bounds = Field(ge=self.option.minimum, le=self.option.maximum)
        is_bounded = (self.option.minimum, self.option.maximum) != (None, None)
        kind: Any = Annotated[self.kind, bounds] if is_bounded else self.kind
        try:
            TypeAdapter(kind).validate_python(value, strict=True)
        except ValidationError as error:
            problems = {item["msg"].removeprefix("Input should be ") for item in error.errors()}
            expected = f" should be {' or '.join(sorted(problems))}"
            if self.option.opens:
                expected = f"; expected {self.option.opens}"
                expected += ", or arrays as (inputs, labels)" if Mapping in self._origins else ""
            raise ConfigError(f"{shown}: {_seen(value)}{expected}") from None

    def require_there(self, value: Any) -> None:
        """Refuse a value that names a file to read where there is none.

        Args:
            value: that was given, of the right type.

        Raises:
            ConfigError: says what to give.
        """
        if not self.option.opens or value is None:
            return
        from hwkd.io.paths import require_there

        for each in value if self.is_repeated else (value,):
            if isinstance(each, str | Path) and str(each).lower().endswith(self.option.suffix):
                require_there(Path(each), self.option.opens, option=self.label)


def declared(function: Callable[..., object]) -> tuple[Declared, ...]:
    """Return the options of a function, in the order of its signature."""
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if isinstance(parameter.annotation, str) and "Option(" in parameter.annotation:
            raise ValueError(
                f"{function.__name__}: {parameter.name} is a text, not a type; leave out "
                "`from __future__ import annotations` where options are declared"
            )
        kind, option = _unwrapped(parameter.annotation)
        if option is not None:
            found.append(
                Declared(name=parameter.name, kind=kind, default=parameter.default, option=option)
            )
    return tuple(found)


def _unwrapped(annotation: Any) -> tuple[Any, Option | None]:
    """Return the type of an annotation, and its option with all that was added to it."""
    if get_origin(annotation) in (Union, UnionType):
        kinds, options = zip(*map(_unwrapped, get_args(annotation)), strict=True)
        return reduce(or_, kinds), next((option for option in options if option is not None), None)
    if get_origin(annotation) is not Annotated:
        return annotation, None
    inner, *extra = get_args(annotation)
    kind, option = _unwrapped(inner)
    for item in extra:
        if isinstance(item, Option):
            option = item
        elif isinstance(item, Here) and option is not None:
            least = option.minimum if item.minimum is None else item.minimum
            option = replace(option, help=f"{option.help} {item.help}", minimum=least)
    return kind, option


def command_line(
    words: str, function: Callable[..., object], given: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the command that does what a call of a function does, word by word.

    Args:
        words: of the command, as "hwkd search".
        given: values by the name of their parameter; a default is left out.
    """
    line = words.split()
    for option in declared(function):
        value = given.get(option.name, option.default)
        if value == option.default or (option.is_repeated and not value):
            continue
        if isinstance(value, bool):
            line.append(f"--{option.word}" if value else f"--no-{option.word}")
            continue
        for each in value if option.is_repeated else (value,):
            line += [*([] if option.option.metavar else [f"--{option.word}"]), _typed(each)]
    return tuple(line)


def _typed(value: Any) -> str:
    """Return a value as the command line takes it; a table begins with its name."""
    if isinstance(value, timedelta):
        return duration_text(value)
    if not isinstance(value, Mapping):
        return str(value)
    name, *options = value.values()
    pairs = zip(list(value)[1:], options, strict=True)
    given = ",".join(
        f"{key}={str(each).lower() if isinstance(each, bool) else each}" for key, each in pairs
    )
    return f"{name}:{given}" if given else str(name)


def declares_options(function: Callable[P, R]) -> Callable[P, R]:
    """Check options and the files that they name at every call; list them in the docstring."""
    parameters = inspect.signature(function).parameters.values()
    places = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    options = declared(function)

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> R:
        by_place = dict(zip(places, args, strict=False))
        for option in options:
            for given in (by_place, kwargs):
                if option.name in given:
                    option.check(given[option.name])
                    given[option.name] = option.listed(given[option.name])
        for option in options:
            option.require_there({**by_place, **kwargs}.get(option.name))
        return function(*by_place.values(), *args[len(by_place) :], **kwargs)

    checked.__doc__ = _documented(inspect.getdoc(function) or "", options)
    return checked


def _documented(text: str, options: Sequence[Declared]) -> str:
    """Put the options before the sections of a docstring, as its `Args`."""
    entries = [
        textwrap.fill(
            f"{option.name}: {option.option.help}",
            _DOC_WIDTH, initial_indent="    ", subsequent_indent="        ",
        )
        for option in options
    ]  # fmt: skip
    if "\nArgs:\n" in text:  # of parameters that are no options
        return text.replace("\nArgs:\n", "\n".join(["\nArgs:", *entries, ""]))
    parts = text.split("\n\n")
    sections = [index for index, part in enumerate(parts) if part.startswith(("Ret", "Rai"))]
    first = sections[0] if sections else len(parts)
    return "\n\n".join([*parts[:first], "\n".join(["Args:", *entries]), *parts[first:]])


def _seen(value: object) -> str:
    """Return a value in one line of an error; of an array its shape."""
    if shape := getattr(value, "shape", None):
        return f"{type(value).__name__} of shape {shape}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]}..."
