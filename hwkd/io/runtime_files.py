"""Reads `devices/runtimes/NAME.toml`, a user's own by path or from beside the device file.

A file may say `like = "NAME"`: what it does not say itself of fusion, memory and storage is then as
in that runtime; latencies are never taken over.
"""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.core.runtime_file import RuntimeFile
from hwkd.io.fact_files import checked, fact_names, fact_text, has_own, merged, parse_facts

# What a file says whatever the core.
RULES = ("fusion", "memory", "storage")


def runtime_names(beside: Path | None = None) -> tuple[str, ...]:
    """Return the names of the packaged runtimes and of those in a user's folder, sorted."""
    return fact_names("runtime", beside)


def fit_names(beside: Path | None = None) -> tuple[str, ...]:
    """Return every pair `<core>.<runtime>` that has a latency, sorted."""
    return tuple(
        sorted(
            f"{core}.{name}"
            for name in runtime_names(beside)
            for core in load_runtime(name, beside).cores
        )
    )


def load_runtime(name_or_path: str, beside: Path | None = None) -> RuntimeFile:
    """Read one runtime.

    Args:
        name_or_path: a packaged name such as "esp-nn", or the path of a TOML file.
        beside: folder of a user's device file; its `runtimes/` comes first.

    Raises:
        UnknownNameError: if it is neither.
        ConfigError: if the file cannot be read or a field is wrong; one line.
    """
    is_path = name_or_path.endswith(".toml")
    if not is_path and (beside is None or not has_own("runtime", beside)):
        return _load_packaged(name_or_path)
    text, origin = fact_text("runtime", name_or_path, beside)
    return parse_runtime(text, origin=origin, beside=beside)


def parse_runtime(text: str, *, origin: str, beside: Path | None = None) -> RuntimeFile:
    """Check the text of a runtime's file.

    Args:
        beside: where what it is `like` is looked for first.

    Raises:
        ConfigError: with file, key, what was given and what is allowed, in one line.
    """
    return checked("runtime", RuntimeFile, _table(text, origin, beside, ()), origin)


@cache
def _load_packaged(name: str) -> RuntimeFile:
    text, origin = fact_text("runtime", name)
    return parse_runtime(text, origin=origin)


@lru_cache(maxsize=64)
def _facts(text: str, origin: str) -> dict[str, Any]:
    """Parse a file once that others are like; nobody writes into what is returned."""
    return parse_facts(text, origin)


def _table(text: str, origin: str, beside: Path | None, above: tuple[str, ...]) -> dict[str, Any]:
    """Return a file's table on top of the one that it is like."""
    own = dict(_facts(text, origin))
    like = own.pop("like", None)
    if like is None:
        return own
    if like in above:
        raise ConfigError(f"{origin}: like = {like!r} leads back to itself; name another runtime")
    if not isinstance(like, str) or like not in runtime_names(beside):
        unknown = UnknownNameError("runtime", str(like), runtime_names(beside))
        raise ConfigError(f"{origin}: like: {unknown}")
    under = _table(*fact_text("runtime", like, beside), beside, (*above, like))
    taken = (*RULES, "memory_on")
    return merged({rule: under[rule] for rule in taken if rule in under}, own)
