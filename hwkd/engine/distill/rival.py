"""What stands beside distillation: a training of another network, or from other weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.student import Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival:
    """One other way.

    Attributes:
        layers: of its network.
        begin: repetition -> file of weights in a folder.
        says: what it is, for people.
    """

    name: str
    layers: Layers
    begin: Callable[[int, Path], None]
    says: str
