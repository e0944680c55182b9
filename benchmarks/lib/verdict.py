"""Prints what was reached beside what must be, keeps it, and turns misses into an exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.lib.results import Reached, program_name, record_result

_OF_A_PART = {"--quick", "--only", "--format"}


@dataclass(frozen=True)
class Target:
    """One number with the limit it must keep.

    Attributes:
        what: the quantity in words.
        reached: measured by the benchmark.
        limit: at most this, or at least this.
        at_least: True when larger is better.
        scale: multiplies both for printing.
        unit: printed after them.
    """

    what: str
    reached: float
    limit: float
    at_least: bool = False
    scale: float = 100.0
    unit: str = "%"

    @property
    def is_met(self) -> bool:
        """True when the limit is kept."""
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    def __str__(self) -> str:
        """Return the line that is printed."""
        relation = "at least" if self.at_least else "at most"
        verdict = "met" if self.is_met else "MISSED"
        return (
            f"{self.what}: {self.reached * self.scale:.4g}{self.unit} "
            f"({relation} {self.limit * self.scale:.4g}{self.unit}: {verdict})"
        )

    def stored(self) -> Reached:
        """Return what the file of results holds, in the units that are printed."""
        return Reached(
            what=self.what,
            reached=self.reached * self.scale,
            limit=self.limit * self.scale,
            relation="at least" if self.at_least else "at most",
            unit=self.unit.strip(),
            is_met=self.is_met,
        )


def count(what: str, reached: float, limit: float, *, at_least: bool = False) -> Target:
    """Return a target on a number of things."""
    return Target(what, reached, limit, at_least=at_least, scale=1.0, unit="")


def report(targets: Sequence[Target], values: Mapping[str, Any] | None = None) -> int:
    """Print every target, keep a whole run's numbers, and return the exit code: 0 when all are met.

    A run of a part (`--quick`, `--only`, `--format`) is not kept.

    Args:
        targets: with what was reached.
        values: further numbers of the run, for the page: text, numbers and tables of them.
    """
    for target in targets:
        print(target)
    name = program_name()
    if name is not None and not _OF_A_PART & set(sys.argv):
        record_result(name, [target.stored() for target in targets], values or {})
    return 0 if all(target.is_met for target in targets) else 1
