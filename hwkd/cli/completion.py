"""What a shell offers for a value: names of the catalogues, and the runs that lie here.

A command that completes nothing does not import the catalogues: a sixth of the start of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from hwkd.api.option import Declared

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


def _registered(registry: str, package: str) -> Callable[[], Iterable[str]]:
    def names() -> Iterable[str]:
        from hwkd.core import catalog
        from hwkd.io.discovery import discover

        discover(package)
        found: Iterable[str] = getattr(catalog, registry).names()
        return found

    return names


def _devices() -> Iterable[str]:
    from hwkd.io.device_catalog import device_names

    return device_names()


def _runs_here() -> Iterable[str]:
    """Return the run folders in this folder, and in `runs` where searches put them."""
    from hwkd.io.run_files import RUN_FILE

    files = (*Path().glob(f"*/{RUN_FILE}"), *Path(_RUNS).glob(f"*/{RUN_FILE}"))
    return [str(path.parent) for path in files]


# By the word of the option.
_NAMES: Mapping[str, Callable[[], Iterable[str]]] = {
    "device": _devices,
    "task": _registered("TASKS", "hwkd.tasks"),
    "space": _registered("SEARCH_SPACES", "hwkd.search_spaces"),
    "method": _registered("METHODS", "hwkd.distill.losses"),
    "scheme": _registered("SCHEMES", "hwkd.distill.schemes"),
    "student": _runs_here,
}
