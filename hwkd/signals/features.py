"""Features as a user asks for them: `log-mel:bins=40,window=30ms`, a recipe and its settings.

A recipe is a frozen dataclass that `FEATURES` has under its name. Its fields are its settings: one
whose name ends in `_s` or `_hz` is typed without that ending and with a unit.
"""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import Any, Protocol

from hwkd.core.catalog import FEATURES
from hwkd.core.errors import ConfigError
from hwkd.core.units import parse_duration_s, parse_frequency_hz
from hwkd.io.discovery import discover
from hwkd.signals.pipeline import Step

# What every task takes where nothing is asked for.
RAW = "raw"
_OPTION = "--features"
_UNITS = {"_s": parse_duration_s, "_hz": parse_frequency_hz}


class Features(Protocol):
    """Steps from raw values to what is normalised."""

    def steps(self, shape: tuple[int, ...], rate_hz: float | None) -> tuple[Step, ...]:
        """Return the steps for raw inputs of a shape; none leaves them as they are.

        Args:
            shape: of a raw input, without batch: (channels, time) for signals.
            rate_hz: samples per second; None where the source does not say.

        Raises:
            ConfigError: if a setting does not fit the signal.
        """
        ...


def features_named(text: str) -> Features:
    """Return the recipe with its settings.

    Args:
        text: name, then settings after a colon: `log-mel:bins=40,window=30ms`.

    Raises:
        ConfigError: if a setting is unknown or out of range.
        UnknownNameError: if there is no such recipe.
    """
    name, _, given = text.partition(":")
    discover("hwkd.signals.recipes")
    kind = FEATURES.get(name.strip())
    known = {_typed(field.name): field for field in fields(kind)}
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in given.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(
                f"{_OPTION} {text}: {part!r} is no setting of {name}; expected one of "
                f"{', '.join(f'{k}=...' for k in known) or 'none'}{meant}"
            )
        values[known[key].name] = _value(value, known[key].name, type(known[key].default), text)
    features: Features = kind(**values)
    return features


def _typed(field: str) -> str:
    for ending in _UNITS:
        if field.endswith(ending):
            return field.removesuffix(ending)
    return field


def _value(text: str, field: str, kind: type, whole: str) -> Any:
    for ending, parse in _UNITS.items():
        if field.endswith(ending):
            return parse(text, option=f"{_OPTION} {whole}: {_typed(field)}")
    if kind is bool and text in ("yes", "no"):
        return text == "yes"
    try:
        return kind(text) if kind is not bool else int("")
    except ValueError:
        expected = {int: "a whole number", float: "a number", bool: "yes or no"}.get(kind, "a word")
        raise ConfigError(f"{_OPTION} {whole}: {field}={text!r}; expected {expected}") from None
