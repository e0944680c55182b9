"""How large the students of a space may be: bounds that follow the limits and the input.

A space writes its bounds down for a search without limits and lets a `Room` scale them. The engine
finds the largest room in which a good share of random students fits (`hwkd.engine.setup.rooms`), so
that a search neither rejects nearly all that it proposes nor stays far below what the limits allow.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from math import sqrt
from typing import Annotated, Literal, Protocol, TypeAlias, TypeVar, get_args

from pydantic import Field

from hwkd.core.layers_builder import OVERLAPPING, PATCHES, SPARSE
from hwkd.core.strict_model import STORED
from hwkd.core.student import Chooser, Layers, SearchSpace, StudentSpec

_Choice = TypeVar("_Choice")
Coarseness: TypeAlias = Literal[1, 2, 3, 4]
COARSENESSES: tuple[Coarseness, ...] = get_args(Coarseness)

# Below this scale the fewest layers that make a network are what they can pay for.
_TINY_BELOW = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How far the bounds of a space are stretched or shrunk.

    Attributes:
        scale: factor on the largest widths, from a sixteenth; depths follow its square root. Lower
            bounds only ever go down, so that every room holds small students.
        coarse: the first convolution thins its input out at least so many times as for students
            without limits.
        lean: leave out blocks that bring further kernels into flash (squeeze-excite, hard swish,
            sums); they take room that weights then lack.
    """

    __pydantic_config__ = STORED

    scale: Annotated[float, Field(ge=2.0**-4, le=2.0)] = 1.0
    coarse: Coarseness = 1
    lean: bool = False

    def widths(self, low: int, high: int, *, step: int = 4) -> tuple[int, int]:
        """Return the (fewest, most) channels, multiples of `step`, for bounds of the whole space.

        Bounds off the grid of `step` are rounded to it unless the scale is 1.
        """
        if self.scale == 1.0:
            return low, high
        most = max(step, step * round(high * self.scale / step))
        fewest = low if self.scale > 1.0 else max(step, step * int(low * self.scale / step))
        return min(fewest, most), most

    def fewest_stages(self, most: int) -> int:
        """Return the lower bound of the number of stages, of which there are at most `most`."""
        return min(2 if self.scale > _TINY_BELOW else 1, most)

    def most(self, low: int, high: int) -> int:
        """Return the upper bound of a depth or an expansion that is `low` to `high` in whole."""
        return max(low, round(high * sqrt(self.scale)))

    def stem_strides(self, base: int) -> tuple[int, ...]:
        """Return the strides of the first convolution; `base` is the one for large students."""
        finest = self.coarse * base
        if self.coarse > 1:
            return tuple(finest + more * base for more in (0, 1, 2))
        return (base, 2 * base) if self.scale >= 1.0 else (base, 2 * base, 3 * base, 4 * base)

    def stem_windows(self) -> tuple[str, ...]:
        """Return how the first convolution may read the input; see `LayersBuilder.stem`."""
        if self.scale >= 1.0 and self.coarse == 1:
            return (OVERLAPPING,)
        return (OVERLAPPING, PATCHES) if self.scale > _TINY_BELOW else (PATCHES, SPARSE)

    def affordable(self, choices: tuple[_Choice, ...], *, lean: int) -> tuple[_Choice, ...]:
        """Return `choices`, or the first `lean` of them in a lean room."""
        return choices[:lean] if self.lean else choices


WHOLE = Room()


class SizedSpace(SearchSpace, Protocol):
    """A search space whose bounds follow a room."""

    def suggest(
        self,
        chooser: Chooser,
        *,
        input_shape: tuple[int, ...],
        num_outputs: int,
        room: Room = WHOLE,
    ) -> StudentSpec:
        """Sample one student of a room; see `SearchSpace.suggest`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomySpace:
    """A sized space in one room: a search space like any other to whoever samples from it."""

    space: SizedSpace
    room: Room

    @property
    def name(self) -> str:
        """Registered name."""
        return self.space.name

    @property
    def summary(self) -> str:
        """One line for `hwkd spaces list`."""
        return self.space.summary

    def suggest(
        self, chooser: Chooser, *, input_shape: tuple[int, ...], num_outputs: int
    ) -> StudentSpec:
        """Sample one student that lies in the room."""
        return self.space.suggest(
            chooser, input_shape=input_shape, num_outputs=num_outputs, room=self.room
        )

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        return self.space.layers(spec)


def takes_room(space: SearchSpace) -> bool:
    """Tell whether a space's `suggest` has the argument `room`; a user's own need not."""
    return "room" in inspect.signature(space.suggest).parameters
