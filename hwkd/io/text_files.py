"""The one way from bytes to JSON or TOML: whatever the bytes are, a value or one reason comes back.

Python's parsers raise more than their documentation says: `RecursionError` for brackets nested
deeply, a bare `ValueError` for an integer of 5,000 digits, `UnicodeDecodeError` for other bytes.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LONGEST_REASON = 200


class MalformedTextError(ValueError):
    """A file cannot be read or is no JSON or TOML; the message is the reason alone, in one line."""


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        MalformedTextError: if it cannot be read or is no JSON.
    """
    return parse_json(_content(path))


def read_number(path: Path, key: str) -> float | None:
    """Read one number of a small JSON object that a process leaves; None where there is none.

    A damaged file counts as absent: what it says is for watching and is written again soon.
    """
    try:
        content = read_json(path)
    except MalformedTextError:
        return None
    value = content.get(key) if isinstance(content, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if math.isfinite(value) else None


def parse_json(content: bytes | str) -> Any:
    """Parse JSON; bytes are UTF-8.

    Raises:
        MalformedTextError: if it is no JSON.
    """
    return _parsed(content, json.loads)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        MalformedTextError: if it cannot be read or is no TOML.
    """
    return parse_toml(_content(path))


def parse_toml(content: bytes | str) -> dict[str, Any]:
    """Parse TOML; bytes are UTF-8.

    Raises:
        MalformedTextError: if it is no TOML.
    """
    table: dict[str, Any] = _parsed(content, tomllib.loads)
    return table


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise MalformedTextError(getattr(error, "strerror", None) or str(error)) from None


def _parsed(content: bytes | str, parse: Callable[[str], Any]) -> Any:
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return parse(text)
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is not UTF-8 text"
    except RecursionError:
        reason = "is nested too deeply"
    except ValueError as error:
        reason = " ".join(str(error).split())
    raise MalformedTextError(reason[:_LONGEST_REASON])
