"""Prints what was reached beside what must be, and turns misses into an exit code."""

from __future__ import annotations

from dataclasses import dataclass


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


def report(targets: list[Target]) -> int:
    """Print every target and return the exit code: 0 when all are met."""
    for target in targets:
        print(target)
    return 0 if all(target.is_met for target in targets) else 1
