"""Options as users write them, `name:option=value,...`, read by the type of their default."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from hwkd.core.errors import ConfigError


def split_options(text: str, *, option: str, example: str) -> tuple[str, dict[str, str]]:
    """Return name and options of `name` or `name:option=value,...`.

    Args:
        text: as it was given.
        option: of the command line, for messages.
        example: how to write it, for messages.

    Raises:
        ConfigError: if a part is no option=value, or an option is given twice.
    """
    name, _, rest = text.partition(":")
    given: dict[str, str] = {}
    for part in rest.split(",") if rest else ():
        key, equals, value = part.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise ConfigError(
                f"{option} {text}: {part!r} is not option=value; write it as {example}"
            )
        if key.strip() in given:
            raise ConfigError(f"{option} {text}: {key.strip()} is given twice")
        given[key.strip()] = value.strip()
    return name.strip(), given


def configured_options(
    of: str, owner: Any, given: Mapping[str, Any], *, further: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the options that are fields of a data class, converted.

    Args:
        of: kind and name, for messages.
        owner: the data class.
        given: option -> value, as text or typed.
        further: options that are known and none of its fields.

    Raises:
        ConfigError: for an unknown option or a value it cannot have.
    """
    known = {entry.name: entry for entry in dataclasses.fields(owner)}
    for option in given:
        if option not in known and option not in further:
            raise ConfigError(_unknown_option(of, option, [*known, *further]))
    return {n: _converted(of, known[n], v) for n, v in given.items() if n in known}


def _unknown_option(of: str, option: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(option, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return f"{of}: unknown option {option!r}; {hint}"


def _converted(of: str, field: dataclasses.Field[Any], value: Any) -> Any:
    """Return a value of the option's type: that of its default, or a number where that is None."""
    if isinstance(field.default, bool):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if str(value).lower() not in words:
            raise ConfigError(f"{of}: {field.name}={value} must be true or false")
        return words[str(value).lower()]
    if isinstance(field.default, str):
        return str(value)
    real = number(of, field.name, value)
    is_integer = isinstance(field.default, int) or str(field.type).startswith("int")
    if is_integer:
        if real != round(real):
            raise ConfigError(f"{of}: {field.name}={value} must be a whole number")
        return round(real)
    return real


def number(of: str, option: str, value: Any) -> float:
    """Return a finite number.

    Raises:
        ConfigError: if it is none.
    """
    try:
        if isinstance(value, bool):  # TOML's true is no 1
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ConfigError(f"{of}: {option}={value} is not a number") from None
    if found != found or abs(found) == float("inf"):
        raise ConfigError(f"{of}: {option}={value} must be a finite number")
    return found


def written(value: Any) -> str:
    """Return a value as a user would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
