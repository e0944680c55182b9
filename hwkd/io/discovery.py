"""Finds devices, spaces, tasks, methods and export targets by name; no list is edited.

Modules of the catalogue packages are imported the first time that a catalogue is asked, so that
`import hwkd` stays light. Outside packages are found through the entry point group `hwkd.plugins`
unless the environment variable HWKD_NO_PLUGINS is set.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
from dataclasses import dataclass
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING

from hwkd.core.catalog import SEARCH_SPACES, STEPS
from hwkd.core.errors import ConfigError, HwkdError, typed_line
from hwkd.core.student import SearchSpace
from hwkd.io.trusted_code import digest_of

if TYPE_CHECKING:
    from hwkd.core.head import OutputKind


@cache
def discover(package: str) -> None:
    """Import every module of a catalogue package once, then the plugins.

    Args:
        package: for example "hwkd.search_spaces" or "hwkd.deploy.exporters".
    """
    import_catalogue(package)
    _load_plugins()


def import_catalogue(package: str) -> None:
    """Import every module of a catalogue package, and no plugin."""
    folder = importlib.import_module(package)
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{package}.{module.name}")


def load_user_space(path: Path) -> SearchSpace:
    """Import the user's own search-space file and return the one space that it registers.

    Args:
        path: a Python file that calls `SEARCH_SPACES.register(...)` once.

    Raises:
        ConfigError: if the file is missing, fails to import or registers no space or several.

    The space does not join the catalogue: a later search of all registered spaces, which starts
    processes that know nothing of this file, must not name it.
    """
    if not path.is_file():
        raise ConfigError(f"--space {path}: no such file; give a Python file or a registered name")
    return _import_user_space(path.resolve(), digest_of(path))


def registered_spaces(*, of_signals: bool = False) -> tuple[str, ...]:
    """Return the names of the registered search spaces, those aside that wait to be named.

    Args:
        of_signals: those for signals, too.
    """
    discover("hwkd.search_spaces")

    def is_searched(name: str) -> bool:
        space = SEARCH_SPACES.get(name)
        is_suited = of_signals or not getattr(space, "is_for_signals", False)
        return is_suited and getattr(space, "is_default", True)

    return tuple(name for name in SEARCH_SPACES.names() if is_searched(name))


def output_kind(name: str) -> OutputKind:
    """Return the kind of outputs that a record names.

    Raises:
        UnknownNameError: if no task is here that has such outputs.
    """
    from hwkd.core.head import OUTPUT_KINDS

    discover("hwkd.tasks")
    return OUTPUT_KINDS.get(name)


def step_details(kind: str) -> str:
    """Return what the formula of a preprocessing step leaves open; empty if nothing is known."""
    discover("hwkd.signals.steps")
    details: str = getattr(STEPS.get(kind), "details", "") if kind in STEPS else ""
    return details


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgram:
    """A step of the preprocessing as Python for readers without hwkd.

    Attributes:
        code: statements that make new `values` of `values` by `step`, its numbers; empty if none.
        reads_texts: `values` are bytes of texts then, ASCII capitals as small letters.
    """

    code: str = ""
    reads_texts: bool = False


def step_program(kind: str) -> StepProgram:
    """Return a step as Python with NumPy alone, as far as the step says it."""
    discover("hwkd.signals.steps")
    if kind not in STEPS:
        return StepProgram()
    step = STEPS.get(kind)
    return StepProgram(
        code=getattr(step, "python", ""), reads_texts=getattr(step, "reads_texts", False)
    )


@cache
def _import_user_space(path: Path, digest: str | None) -> SearchSpace:
    """Import a file once for each content that it has had."""
    before = set(SEARCH_SPACES.names())
    key = hashlib.sha256(bytes(path) + str(digest).encode()).hexdigest()[:8]
    module_name = f"hwkd_user_space_{path.stem}_{key}"
    loader = _SourceOnly(module_name, str(path))
    module_spec = importlib.util.spec_from_file_location(module_name, path, loader=loader)
    if module_spec is None or module_spec.loader is None or path.suffix != ".py":
        raise ConfigError(f"--space {path}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_name] = module  # dataclasses look their module up while they are made
    try:
        module_spec.loader.exec_module(module)
    except HwkdError:
        raise
    except Exception as error:
        raise ConfigError(f"--space {path}: {typed_line(error)}") from error
    finally:
        added = [SEARCH_SPACES.take(name) for name in set(SEARCH_SPACES.names()) - before]
    if len(added) != 1:
        raise ConfigError(
            f"--space {path}: registers {len(added)} search spaces, expected one "
            "SEARCH_SPACES.register(...) under a name that is not taken"
        )
    return added[0]


class _SourceOnly(SourceFileLoader):
    """Runs the source, whose content was recorded, and never compiled code that lies beside it."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file as it is."""
        del fullname  # the import system's; there is one file
        return self.source_to_code(self.get_data(self.path), self.path)


@cache
def _load_plugins() -> None:
    if os.environ.get("HWKD_NO_PLUGINS"):
        return
    for entry_point in entry_points(group="hwkd.plugins"):
        entry_point.load()
