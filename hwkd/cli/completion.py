"""What a shell offers for a value: names of the catalogues, and the runs that lie here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from hwkd.api.option import Declared
from hwkd.core import catalog
from hwkd.core.registry import Registry
from hwkd.io.device_catalog import device_names
from hwkd.io.discovery import discover
from hwkd.io.run_files import RUN_FILE

_Offer = Callable[[str], list[str]]
_RUNS = "runs"


def completion_of(option: Declared) -> _Offer | None:
    """Return what offers values of an option for what is typed so far; None leaves it to files."""
    if option.option.metavar is not None and option.option.metavar.startswith("RUN"):
        return _beginning(_runs_here)
    return None if option.word not in _NAMES else _beginning(_NAMES[option.word])


def _beginning(names: Callable[[], Iterable[str]]) -> _Offer:
    def offer(incomplete: str) -> list[str]:
        return sorted(name for name in names() if name.startswith(incomplete))

    return offer


def _registered(registry: Registry[Any], package: str) -> Callable[[], Iterable[str]]:
    def names() -> Iterable[str]:
        discover(package)
        return registry.names()

    return names


def _runs_here() -> Iterable[str]:
    """Return the run folders in this folder, and in `runs` where searches put them."""
    files = (*Path().glob(f"*/{RUN_FILE}"), *Path(_RUNS).glob(f"*/{RUN_FILE}"))
    return [str(path.parent) for path in files]


# By the word of the option.
_NAMES: Mapping[str, Callable[[], Iterable[str]]] = {
    "device": device_names,
    "task": _registered(catalog.TASKS, "hwkd.tasks"),
    "space": _registered(catalog.SEARCH_SPACES, "hwkd.search_spaces"),
    "method": _registered(catalog.METHODS, "hwkd.distill.losses"),
    "scheme": _registered(catalog.SCHEMES, "hwkd.distill.schemes"),
    "student": _runs_here,
}
