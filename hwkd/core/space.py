"""What the packaged search spaces begin with: choices of one student, with bounds as a room has."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias, cast

from hwkd.core.room import WHOLE, Room
from hwkd.core.student import Activation, Chooser, Layers, ParamValue, StudentSpec

Params: TypeAlias = dict[str, ParamValue]


@dataclass(frozen=True)
class Space(ABC):
    """See `hwkd.core.student.SearchSpace`.

    Attributes:
        name: registered name.
        summary: one line for `hwkd spaces list`.
        is_default: searched where the user names no space.
        is_for_signals: searched so only where inputs are signals.
    """

    name: str
    summary: str
    is_default: bool = True
    is_for_signals: bool = False

    @abstractmethod
    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample every choice of one student, always in the same order."""

    @abstractmethod
    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""

    def suggest(
        self,
        chooser: Chooser,
        *,
        input_shape: tuple[int, ...],
        num_outputs: int,
        room: Room = WHOLE,
    ) -> StudentSpec:
        """Sample one student of a room; see `SearchSpace.suggest`."""
        params = self.choose(chooser, input_shape, room)
        return StudentSpec(
            space=self.name, params=params, input_shape=input_shape, num_outputs=num_outputs
        )


def choose_width(
    chooser: Chooser, room: Room, name: str, bounds: tuple[int, int], *, step: int = 4
) -> Params:
    """Choose a number of channels, a multiple of `step`, for bounds of the whole space."""
    return {name: chooser.integer(name, *room.widths(*bounds, step=step), step=step)}


def activation_of(spec: StudentSpec) -> Activation:
    """Return the activation that a spec has chosen."""
    return cast(Activation, spec.params["activation"])
