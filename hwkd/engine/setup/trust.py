"""Python files in a configuration: recorded by SHA-256, run only when the user names them.

A search that the user starts names its own files and records them. What is read back from a run
folder is data: its files run when the user names them again, and only as they were recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hwkd.core.errors import ConfigError
from hwkd.core.teacher_input import is_teacher_file
from hwkd.engine.setup.config import SearchConfig
from hwkd.io.trusted_code import digest_of, is_trusted, module_file, trust
from hwkd.train.teacher_factory import require_factory

_HOW = "is Python, which never runs because a file names it; give --trust if you trust this run"


def named_by_user(config: SearchConfig) -> SearchConfig:
    """Record and trust the files that the user's own options name.

    Raises:
        TeacherError: if a teacher is of a module that is not there.
    """
    for source in _teacher_files(config):
        require_factory(source)
    code = {}
    for name, path in (_space_files(config) | _teacher_files(config)).items():
        digest = None if path is None else digest_of(path)
        if digest is not None:
            trust(digest)
            code[name] = digest
    return config.model_copy(update={"code": code})


def trusted(
    config: SearchConfig,
    *,
    where: str,
    trusts: bool,
    with_teacher: bool = True,
    with_spaces: bool = True,
) -> SearchConfig:
    """Return a configuration that was read from a run, once its Python files may run.

    Args:
        trusts: the user named this run as trusted.
        with_spaces: whether its search spaces will make networks.

    Returns:
        The configuration with every file's digest, also of runs that recorded none.

    Raises:
        ConfigError: if a file is another than was recorded, or the user did not name it.
    """
    files = _space_files(config) if with_spaces else {}
    files |= _teacher_files(config) if with_teacher else {}
    found = _unchanged(config, files, where=where)
    for name, digest in found.items():
        if trusts:
            trust(digest)
        elif not is_trusted(digest):
            raise ConfigError(f"{where}: {name} {_HOW}")
    return config.model_copy(update={"code": {**config.code, **found}})


def _unchanged(
    config: SearchConfig, files: Mapping[str, Path | None], *, where: str
) -> dict[str, str]:
    """Return the digest of each file, once it is the recorded one."""
    found = {}
    for name, path in files.items():
        digest = None if path is None else digest_of(path)
        if digest is None:
            raise ConfigError(f"{where}: {name}: its Python file cannot be read; put it back")
        before = config.code.get(name, digest)
        if before != digest:
            raise ConfigError(
                f"{where}: {name} changed since the run began (SHA-256 {before[:12]}, now "
                f"{digest[:12]}); put the old file back or start a new run"
            )
        found[name] = digest
    return found


def _space_files(config: SearchConfig) -> dict[str, Path | None]:
    """Return the user's search spaces in a configuration: its entry -> its file."""
    return {name: Path(name) for name in config.spaces if name.endswith(".py")}


def _teacher_files(config: SearchConfig) -> dict[str, Path | None]:
    """Return the teachers that Python makes: "package.module:factory" -> the module's file."""
    return {
        source: module_file(source.partition(":")[0])
        for source in config.teacher.sources
        if not is_teacher_file(source)
    }
