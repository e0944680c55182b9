"""How long work tells that it advances; who listens decides what is shown."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called now and then by work that may take more than two seconds."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance.

        Args:
            stage: what is being done, for example "decode images"; stable while it lasts.
            done: steps finished, 0 to `total`.
            note: latest figures, for example "validation .931".
        """
        ...


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Hear nothing; the default listener."""
    del stage, done, total, note
