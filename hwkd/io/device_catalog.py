"""Reads device descriptors: packaged ones by name, the user's own by path.

A descriptor may spell out a runtime's coefficients or name a fit to take them from, so that boards
with the same core share one (docs/decisions/device-files.md): `fit = "<core>.<runtime>"` is a file
in `devices/runtimes/`, `fit = "<device>/<runtime>"` what a packaged device makes of it.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hwkd.core.device import Device, Runtime
from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.io.text_files import MalformedTextError, parse_toml

__all__ = ["device_names", "fit_names", "load_device", "parse_device"]

_PACKAGE = "hwkd.devices"


@cache
def device_names() -> tuple[str, ...]:
    """Return the names of the packaged devices, sorted."""
    return _stems(_folder())


@cache
def fit_names() -> tuple[str, ...]:
    """Return the names of the packaged fits, `<core>.<runtime>`, sorted."""
    return _stems(_folder() / "runtimes")


def load_device(name_or_path: str) -> Device:
    """Read one device.

    Args:
        name_or_path: a packaged name such as "cortex-m4", or the path of a TOML file.

    Raises:
        UnknownNameError: if it is neither.
        ConfigError: if the file cannot be read or a field is wrong; one line.
    """
    if name_or_path in device_names():
        return _load_packaged(name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise UnknownNameError("device", name_or_path, device_names())
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a null in the name
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError(
            f"device file {path}: {reason}; give a TOML file or one of {', '.join(device_names())}"
        ) from error
    return parse_device(text, origin=str(path))


def parse_device(text: str, *, origin: str) -> Device:
    """Check a descriptor's text.

    Args:
        text: TOML.
        origin: the file's name, for messages.

    Raises:
        ConfigError: with file, key, what was given and what is allowed, in one line.
    """
    data = _parse_toml(text, origin)
    runtimes = data.get("runtimes")
    if isinstance(runtimes, dict):
        data["runtimes"] = {
            name: _complete_runtime(name, table, origin) for name, table in runtimes.items()
        }
    try:
        return Device.model_validate(data)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_first_line(error)}") from error


@cache
def _load_packaged(name: str) -> Device:
    file = _folder() / f"{name}.toml"
    return parse_device(file.read_text(encoding="utf-8"), origin=f"devices/{name}.toml")


def _complete_runtime(name: str, table: Any, origin: str) -> Any:
    """Return a runtime's table with the shared fit that it names merged under its own keys."""
    if not isinstance(table, dict):
        return table
    own = {"name": name, **table}
    fit = own.pop("fit", None)
    return (
        own if fit is None else _merge(_fit_table(str(fit), f"{origin}: runtimes.{name}.fit"), own)
    )


def _fit_table(fit: str, place: str) -> dict[str, Any]:
    """Return what `fit` names: `<core>.<runtime>`, or `<device>/<runtime>` of a packaged device."""
    if "/" not in fit:
        if fit not in fit_names():
            raise ConfigError(f"{place}: {UnknownNameError('fit', fit, fit_names())}")
        return _load_fit(fit)
    device, runtime = fit.split("/", 1)
    if device not in device_names():
        raise ConfigError(f"{place}: {UnknownNameError('device', device, device_names())}")
    found = _load_packaged(device).runtimes.get(runtime)
    if found is None:
        known = ", ".join(sorted(_load_packaged(device).runtimes))
        raise ConfigError(f"{place}: {device} has no runtime {runtime!r}; it has {known}")
    # Power belongs to the board that it was measured on.
    return found.model_dump(mode="json", exclude={"active_power_w"}, exclude_unset=True)


def _merge(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return both tables, `over` winning key by key at every depth."""
    merged = {**under, **over}
    for key in under.keys() & over.keys():
        both_are_tables = isinstance(under[key], dict) and isinstance(over[key], dict)
        # A table with cycles is a whole fit of its own: mixing two would predict nonsense.
        if both_are_tables and not ("cycles" in over[key] and "cycles" in under[key]):
            merged[key] = _merge(under[key], over[key])
    return merged


@cache
def _load_fit(name: str) -> dict[str, Any]:
    file = _folder() / "runtimes" / f"{name}.toml"
    return _parse_toml(file.read_text(encoding="utf-8"), f"devices/runtimes/{name}.toml")


def _parse_toml(text: str, origin: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except MalformedTextError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from None


def _folder() -> Traversable:
    try:
        return files(_PACKAGE)
    except ModuleNotFoundError as error:
        raise ConfigError(
            "hwkd is not installed; run `pip install -e .` in the checkout"
        ) from error


def _stems(folder: Traversable) -> tuple[str, ...]:
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def _first_line(error: ValidationError) -> str:
    """Describe the first wrong field; an unknown one first, as it explains what is missing."""
    details = error.errors()
    unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
    return _describe((unknown or details)[0])


def _describe(detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "device"
    if detail["type"] == "missing":
        return f"{place} is missing; every device file needs it"
    if detail["type"] == "extra_forbidden":
        known = _fields_at(detail["loc"][:-1])
        given = str(detail["loc"][-1])
        near = [name for name in known if name.startswith(f"{given}_")]
        near += [name for name in difflib.get_close_matches(given, known, n=2) if name not in near]
        hint = f"did you mean {' or '.join(near)}?" if near else f"allowed: {', '.join(known)}"
        return f"{place} is not a field; {hint}"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "value_error":
        return f"{place}: {message}" if detail["loc"] else message
    unit = _unit_of(str(detail["loc"][-1])) if detail["loc"] else ""
    return f"{place} = {detail['input']!r}: {message[0].lower()}{message[1:]}{unit}"


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    """Return the fields allowed at a place in the file."""
    model: type[BaseModel] = Device
    for part in place:
        annotation = str(model.model_fields[part].annotation) if part in model.model_fields else ""
        if part == "runtimes":
            model = Runtime
        elif annotation:
            found = model.model_fields[str(part)].annotation
            if isinstance(found, type) and issubclass(found, BaseModel):
                model = found
            elif part == "latency":
                model = _latency_model()
    return sorted(model.model_fields)


def _latency_model() -> type[BaseModel]:
    from hwkd.core.device import LatencyModel

    return LatencyModel


def _unit_of(field: str) -> str:
    units = {"_hz": "hertz", "_bytes": "bytes", "_s": "seconds", "_w": "watts", "_ratio": "a ratio"}
    for suffix, unit in units.items():
        if field.endswith(suffix):
            return f"; write a plain number of {unit}"
    return ""
