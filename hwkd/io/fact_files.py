"""Files of facts (devices, runtimes, cores): where they lie, and the one line when one is wrong.

A folder of facts is laid out as the packaged `devices/`: device files, and beside them the folders
`runtimes` and `cores`. What a user's own device file names is looked for in its folder first.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.io.text_files import MalformedTextError, parse_toml

FactKind: TypeAlias = Literal["device", "runtime", "core"]

_PACKAGE = "hwkd.devices"
_FOLDERS: dict[FactKind, str] = {"device": "", "runtime": "runtimes", "core": "cores"}
# What a file says in `kind` -> the catalogue that it belongs to.
_KINDS: dict[str, FactKind] = {
    "device": "device", "runtime": "runtime", "core": "core", "npu": "core",
}  # fmt: skip
_UNITS = {"_hz": "hertz", "_bytes": "bytes", "_s": "seconds", "_w": "watts", "_ratio": "a ratio"}

_Model = TypeVar("_Model", bound=BaseModel)


def fact_names(kind: FactKind, beside: Path | None = None) -> tuple[str, ...]:
    """Return the names of the packaged files of a kind, and of those in a user's folder; sorted."""
    names = _packaged_names(kind)
    if beside is None or not has_own(kind, beside):
        return names
    return tuple(sorted({*names, *_stems(beside / _FOLDERS[kind])}))


def has_own(kind: FactKind, beside: Path) -> bool:
    """Tell whether a user's folder may hold files of a kind; without, the packaged ones count."""
    return (beside / _FOLDERS[kind]).is_dir()


def fact_text(kind: FactKind, name_or_path: str, beside: Path | None = None) -> tuple[str, str]:
    """Return a file's text and what to call the file.

    Args:
        name_or_path: a name such as "cortex-m4", or the path of a user's own TOML file.
        beside: folder of the user's device file, whose own files come first.

    Raises:
        UnknownNameError: if it is neither; offers the nearest names.
        ConfigError: if the file cannot be read.
    """
    if name_or_path.endswith(".toml"):
        return _read(kind, Path(name_or_path)), name_or_path
    if name_or_path not in fact_names(kind, beside):
        raise UnknownNameError(kind, name_or_path, fact_names(kind, beside))
    own = None if beside is None else beside / _FOLDERS[kind] / f"{name_or_path}.toml"
    if own is not None and own.is_file():
        return _read(kind, own), str(own)
    file = _packaged(kind) / f"{name_or_path}.toml"
    place = "/".join(part for part in ("devices", _FOLDERS[kind], file.name) if part)
    return file.read_text(encoding="utf-8"), place


def kind_of_file(path: Path) -> FactKind:
    """Return what a user's file says that it describes; a device if it says nothing.

    Raises:
        ConfigError: if it cannot be read, or says what hwkd does not know.
    """
    origin = str(path)
    facts = parse_facts(_read("device", path), origin)
    if "kind" not in facts and path.resolve().parent.name in {*_FOLDERS.values()} - {""}:
        raise ConfigError(
            f"{origin}: kind is missing; only device files do without, and this lies in "
            f"{path.resolve().parent.name}/"
        )
    kind = facts.get("kind", "device")
    if kind not in _KINDS:
        raise ConfigError(f"{origin}: kind = {kind!r}; expected {', '.join(_KINDS)}")
    return _KINDS[kind]


def parse_facts(text: str, origin: str) -> dict[str, Any]:
    """Parse a file's TOML.

    Raises:
        ConfigError: if it is none.
    """
    try:
        return parse_toml(text)
    except MalformedTextError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from None


def checked(kind: FactKind, model: type[_Model], table: dict[str, Any], origin: str) -> _Model:
    """Return the table as a model.

    Raises:
        ConfigError: with file, key, what was given and what is allowed, in one line.
    """
    try:
        return model.model_validate(table)
    except ValidationError as error:
        raise ConfigError(f"{origin}: {_first_line(kind, model, error)}") from error


def merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return both tables, `over` winning key by key at every depth."""
    found = {**under, **over}
    for key in under.keys() & over.keys():
        both_are_tables = isinstance(under[key], dict) and isinstance(over[key], dict)
        # A table with cycles is a whole fit of its own: mixing two would predict nonsense.
        if both_are_tables and not ("cycles" in over[key] and "cycles" in under[key]):
            found[key] = merged(under[key], over[key])
    return found


def _read(kind: FactKind, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a null in the name
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise ConfigError(
            f"{kind} file {path}: {reason}; give a TOML file or one of "
            f"{', '.join(fact_names(kind))}"
        ) from error


@cache
def _packaged_names(kind: FactKind) -> tuple[str, ...]:
    return _stems(_packaged(kind))


def _packaged(kind: FactKind) -> Traversable:
    try:
        return files(_PACKAGE) / _FOLDERS[kind]
    except ModuleNotFoundError as error:
        raise ConfigError(
            "hwkd is not installed; run `pip install -e .` in the checkout"
        ) from error


def _stems(folder: Traversable) -> tuple[str, ...]:
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def _first_line(kind: FactKind, model: type[BaseModel], error: ValidationError) -> str:
    """Describe the first wrong field; an unknown one first, as it explains what is missing."""
    details = error.errors()
    unknown = [detail for detail in details if detail["type"] == "extra_forbidden"]
    return _describe(kind, model, (unknown or details)[0])


def _describe(kind: FactKind, model: type[BaseModel], detail: ErrorDetails) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or kind
    if detail["type"] == "missing":
        return f"{place} is missing; every {kind} file needs it"
    if detail["type"] == "extra_forbidden":
        known = _fields_at(model, detail["loc"][:-1])
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


def _fields_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    """Return the fields allowed at a place in the file."""
    at: Any = model
    for part in place:
        at = at.model_fields[part].annotation if _is_model(at) else get_args(at)[-1]
        while get_origin(at) in (Annotated, Union, UnionType):
            at = get_args(at)[0]
    return sorted(at.model_fields) if _is_model(at) else []


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _unit_of(field: str) -> str:
    for suffix, unit in _UNITS.items():
        if field.endswith(suffix):
            return f"; write a plain number of {unit}"
    return ""
