"""Reads `devices/cores/NAME.toml`, a user's own by path or from beside the device file."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

from hwkd.core.core_file import Core, Npu
from hwkd.core.errors import ConfigError, UnknownNameError
from hwkd.io.fact_files import checked, fact_names, fact_text, parse_facts

_Kind = TypeVar("_Kind", Core, Npu)


@cache
def core_names() -> tuple[str, ...]:
    """Return the names of the packaged processor cores, sorted."""
    return tuple(name for name in fact_names("core") if isinstance(load_core_file(name), Core))


@cache
def npu_names() -> tuple[str, ...]:
    """Return the names of the packaged NPUs, sorted."""
    return tuple(name for name in fact_names("core") if isinstance(load_core_file(name), Npu))


def load_core(name_or_path: str, beside: Path | None = None) -> Core:
    """Read one processor core.

    Args:
        name_or_path: a packaged name such as "cortex-m4", or the path of a TOML file.
        beside: folder of a user's device file; its `cores/` comes first.

    Raises:
        UnknownNameError: if it is no core that compilers and emulators are known for.
        ConfigError: if the file cannot be read or a field is wrong; one line.
    """
    return _of_kind(Core, name_or_path, beside, core_names())


def load_npu(name_or_path: str, beside: Path | None = None) -> Npu:
    """Read one NPU; see `load_core`."""
    return _of_kind(Npu, name_or_path, beside, npu_names())


def load_core_file(name_or_path: str, beside: Path | None = None) -> Core | Npu:
    """Read a file of a processor core or an NPU; see `load_core`."""
    if beside is None and not name_or_path.endswith(".toml"):
        return _load_packaged(name_or_path)
    text, origin = fact_text("core", name_or_path, beside)
    return parse_core(text, origin=origin)


def parse_core(text: str, *, origin: str) -> Core | Npu:
    """Check the text of a core's file.

    Raises:
        ConfigError: with file, key, what was given and what is allowed, in one line.
    """
    table = parse_facts(text, origin)
    if table.get("kind") == "npu":
        return checked("core", Npu, table, origin)
    return checked("core", Core, table, origin)


def _of_kind(
    kind: type[_Kind], name_or_path: str, beside: Path | None, known: tuple[str, ...]
) -> _Kind:
    word = "NPU" if kind is Npu else "emulated core"
    is_path = name_or_path.endswith(".toml")
    if not is_path and name_or_path not in fact_names("core", beside):
        raise UnknownNameError(word, name_or_path, known)
    found = load_core_file(name_or_path, beside)
    if isinstance(found, kind):
        return found
    if is_path:
        raise ConfigError(f"{name_or_path}: kind = {found.kind!r}; expected a file of an {word}")
    raise UnknownNameError(word, name_or_path, known)


@cache
def _load_packaged(name: str) -> Core | Npu:
    text, origin = fact_text("core", name)
    return parse_core(text, origin=origin)
