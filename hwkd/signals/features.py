"""Features as a user asks for them: `log-mel:bins=40,window=30ms`, a recipe and its settings.

A recipe is a frozen dataclass that `FEATURES` has under its name. Its fields are its settings: one
whose name ends in `_s` or `_hz` is typed without that ending and with a unit.
"""

from __future__ import annotations

import difflib
from dataclasses import fields
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from hwkd.core.catalog import FEATURES
from hwkd.core.errors import ConfigError
from hwkd.core.progress import Progress, silent
from hwkd.core.units import parse_duration_s, parse_frequency_hz
from hwkd.io.discovery import discover
from hwkd.signals.step import Shape, Step
from hwkd.signals.steps.band_pass import BandPass
from hwkd.signals.steps.decimate import Decimate

# What every task takes where nothing is asked for.
RAW = "raw"
_OPTION = "--features"
# Of the filter before it, whose length grows with it.
_MOST_DECIMATION = 16
_UNITS = {"_s": parse_duration_s, "_hz": parse_frequency_hz}


class Features(Protocol):
    """Steps from raw values to what is normalised."""

    def steps(self, shape: Shape, rate_hz: float | None) -> tuple[Step, ...]:
        """Return the steps for raw inputs of a shape; none leaves them as they are.

        Args:
            shape: of a raw input, without batch: (channels, time) for signals.
            rate_hz: samples per second; None where the source does not say.

        Raises:
            ConfigError: if a setting does not fit the signal.
        """
        ...

    def after(self, shape: Shape) -> tuple[Step, ...]:
        """Return the steps behind what standardises, which move values and change none.

        Args:
            shape: of a raw input.
        """
        ...


class NothingAfter:
    """Features behind which nothing is moved; see `Features.after`."""

    __slots__ = ()

    def after(self, shape: Shape) -> tuple[Step, ...]:
        """Return nothing."""
        del shape
        return ()


@runtime_checkable
class FittedFeatures(Features, Protocol):
    """Features that follow from the examples, as which words are worth knowing."""

    def fitted(
        self, inputs: NDArray[Any], labels: NDArray[Any], progress: Progress = silent
    ) -> tuple[Step, ...]:
        """Return the steps for raw inputs of train and their classes.

        Args:
            progress: told how far that is, where it takes long.

        Raises:
            ConfigError: if a setting does not fit them.
        """
        ...


@runtime_checkable
class OfferedSettings(Features, Protocol):
    """Features of which a search may choose the setting."""

    def settings(self) -> tuple[Features, ...]:
        """Return the settings that are offered, itself first: four to eight recipes."""
        ...


def settings_of(text: str) -> tuple[str, ...]:
    """Return the settings of a recipe that a search may choose among, that of the text first.

    Args:
        text: as `features_named` takes it; it comes back alone where its recipe offers none.

    Raises:
        ConfigError: as `features_named`.
    """
    features, name = features_named(text), text.partition(":")[0].strip()
    if not isinstance(features, OfferedSettings):
        return (text,)
    others = (_text_of(name, other) for other in features.settings() if other != features)
    return tuple(dict.fromkeys((text, *others)))


def _text_of(name: str, features: Any) -> str:
    """Return what names a recipe with its settings, the usual ones left out."""
    found = ((field, getattr(features, field.name)) for field in fields(features))
    parts = [
        f"{_typed(field.name)}={_typed_value(field.name, value)}"
        for field, value in found
        if value != field.default
    ]
    return f"{name}:{','.join(parts)}" if parts else name


def _typed_value(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if field.endswith("_s"):
        return f"{1e3 * value:.6g}ms"
    return f"{value:.9g}Hz" if field.endswith("_hz") else str(value)


def checked_signal(
    shape: Shape, rate_hz: float | None, given_hz: float, name: str, *, usual: str = "16kHz"
) -> float:
    """Return the rate of a signal.

    Args:
        shape: of a raw input.
        rate_hz: samples per second that the data says; None if it says none.
        given_hz: that the user says; 0 if none.
        name: of the features.
        usual: rate of what they are mostly computed from, for the message.

    Raises:
        ConfigError: if raw inputs are no signals, or their rate is not known, or known as another.
    """
    if len(shape) != 2:
        raise ConfigError(
            f"{_OPTION} {name}: inputs have shape {' x '.join(map(str, shape))}; features are "
            "those of signals, channels x time"
        )
    if given_hz and rate_hz not in (None, given_hz):
        raise ConfigError(
            f"{_OPTION} {name}: rate={given_hz:g}Hz, but the data was recorded at {rate_hz:g} Hz; "
            "leave rate out"
        )
    rate = rate_hz or given_hz
    if not rate:
        raise ConfigError(
            f"{_OPTION} {name}: the data does not say its sampling rate; "
            f"add the samples per second, as rate={usual}"
        )
    return rate


def filters(
    rate_hz: float, *, decimate: int = 1, low_hz: float = 0.0, high_hz: float = 0.0
) -> tuple[tuple[Step, ...], float]:
    """Return steps that filter samples and the rate after them.

    Args:
        rate_hz: before.
        decimate: one of so many samples remains.
        low_hz: where a band begins that passes; 0 is no limit.
        high_hz: where it ends; 0 is no limit.

    Raises:
        ConfigError: if there is no such filter.
    """
    if not 1 <= decimate <= _MOST_DECIMATION:
        raise ConfigError(f"{_OPTION}: decimate={decimate}; expected 1 to {_MOST_DECIMATION}")
    steps: tuple[Step, ...] = (Decimate(factor=decimate),) if decimate > 1 else ()
    rate = rate_hz / decimate
    if low_hz or high_hz:
        steps = (*steps, BandPass.between(low_hz, high_hz or rate, rate))
    return steps, rate


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
