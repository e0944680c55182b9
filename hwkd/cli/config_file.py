"""`--config FILE.toml`: options from a file, under their names on the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hwkd.api.option import Declared
from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.io.text_files import MalformedTextError, read_toml


def with_config(
    path: Path, given: Mapping[str, Any], options: Sequence[Declared]
) -> dict[str, Any]:
    """Return the options of a file with those of the command line over them.

    Where both say something different, one line on standard error says what holds.

    Raises:
        ConfigError: if the file cannot be read, names an unknown option (with the nearest), names
            one twice, or gives a value that the option cannot have.
    """
    try:
        content = read_toml(path)
    except MalformedTextError as error:
        raise ConfigError(f"--config {path}: cannot be read ({error})") from None
    known = {name: option for option in options for name in _names(option)}
    merged = dict(given)
    keys: dict[str, str] = {}
    for key, value in content.items():
        option = known.get(key.replace("_", "-"))
        if option is None:
            unknown = UnknownNameError("option", key, {option.word for option in options})
            raise ConfigError(f"--config {path}: {unknown}")
        if (other := keys.setdefault(option.name, key)) != key:
            raise ConfigError(
                f"--config {path}: {other} and {key} are one option; keep one of them"
            )
        option.check(value, label=f"--config {path}: {key}")
        value = option.listed(value)
        if option.name not in given:
            merged[option.name] = value
        elif _differ(given[option.name], value):
            shown = given[option.name]
            sys.stderr.write(
                f"note: --config {path} says {key} = {_shown(value)}; {option.label} "
                f"{_shown(shown)} holds\n"
            )
    return merged


def _names(option: Declared) -> set[str]:
    """Return what a file may call it: as on the command line, or as in Python."""
    names = {option.word, option.name.replace("_", "-")}
    return names if option.option.tables is None else names | {option.option.tables}


def _differ(given: Any, value: Any) -> bool:
    return bool((str(given) if isinstance(given, Path) else given) != value)


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
