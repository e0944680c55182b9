"""How large the students of each space may be under the limits of a search.

Nothing is trained: random students are costed, a few dozen for each size that is tried.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import cast

from pydantic import Field

from hwkd import __version__
from hwkd.core.chooser import RandomChooser
from hwkd.core.input_sizes import stem_stride
from hwkd.core.limits import Limits
from hwkd.core.room import COARSENESSES, Coarseness, Room, RoomySpace, SizedSpace, takes_room
from hwkd.core.seen_input import WHOLE_INPUT, InputView, SeeingSpace, input_views
from hwkd.core.setting import SettingSpace
from hwkd.core.strict_model import StrictModel
from hwkd.core.student import SearchSpace
from hwkd.engine.setup.bisection import largest_fitting
from hwkd.engine.setup.screening import Screen, sample_candidate

# Scales are powers of the fourth root of two: from a sixteenth to twice the whole space.
_STEPS_PER_OCTAVE = 4
_LOWEST, _WHOLE, _HIGHEST = -16, 0, 4
SAMPLES_PER_ROOM = 60
# So that over a fifth fits for sure: the share of 60 samples is known to 0.06.
_WANTED_SHARE = 0.35
# Squeeze-excite, hard swish and sums are given up when that doubles the widths at least.
_LEAN_GAIN_STEPS = _STEPS_PER_OCTAVE
# Of their widths students keep so much (0.7) before their input is thinned out for them.
_ROOMY = -_STEPS_PER_OCTAVE // 2
# On each side, after the first convolution.
_LEAST_POSITIONS = 6


class KeptRooms(StrictModel):
    """Rooms that a search found when it began: finding them again takes each worker half a second.

    Attributes:
        key: of what they were found for (`rooms_key`); for anything else they are worth nothing.
        rooms: space -> `InputView.prefix` -> room.
        settings: those of each setting of features, where students choose one.
    """

    key: str
    rooms: dict[str, dict[str, Room]]
    settings: dict[str, KeptRooms] = Field(default_factory=dict)

    @classmethod
    def of(cls, fitted: Screen, *, input_shape: tuple[int, ...], num_outputs: int) -> KeptRooms:
        """Return the rooms of a screen that `fit_spaces` returned, for the same input."""
        if fitted.settings:
            settings = {
                features: cls.of(part, input_shape=shape, num_outputs=num_outputs)
                for features, shape, part in by_setting(fitted)
            }
            return cls(key="", rooms={}, settings=settings)
        rooms: dict[str, dict[str, Room]] = {}
        for name, space in fitted.spaces.items():
            ways = space.ways if isinstance(space, SeeingSpace) else {WHOLE_INPUT: space}
            for view, way in ways.items():
                if isinstance(way, RoomySpace):
                    rooms.setdefault(name, {})[view.prefix] = way.room
        return cls(key=rooms_key(fitted, input_shape, num_outputs), rooms=rooms)


def rooms_key(screen: Screen, input_shape: tuple[int, ...], num_outputs: int) -> str:
    """Return the SHA-256 of all that rooms follow from, beside the spaces themselves."""
    asked = screen.question
    question = [screen.device.model_dump(), asked.runtime, asked.clock_hz, asked.dtype]
    if screen.features is not None:
        question.append(asdict(screen.features))
    parts = [__version__, asdict(screen.limits), screen.risk, input_shape, num_outputs]
    # The order of a set differs from process to process.
    text = json.dumps([*parts, *question], sort_keys=True, default=sorted)
    return hashlib.sha256(text.encode()).hexdigest()


def fit_spaces(
    screen: Screen,
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
    kept: KeptRooms | None = None,
) -> Screen:
    """Return the screen with the bounds of every space fitted to its limits.

    Spaces that know no room, as a user's own may, stay as they are. Where students choose how they
    see their picture, every size of it has bounds of its own.

    Args:
        input_shape: without batch.
        kept: rooms found earlier; taken where they were found for the same.
    """
    if screen.settings:
        spaces_of: dict[str, SearchSpace] = {}
        for features, shape, part in by_setting(screen):
            own = None if kept is None else kept.settings.get(features)
            fitted_part = fit_spaces(part, input_shape=shape, num_outputs=num_outputs, kept=own)
            for space in fitted_part.spaces.values():
                in_it = SettingSpace(space=space, features=features, input_shape=shape)
                spaces_of[in_it.name] = in_it
        return replace(screen, spaces=spaces_of)
    is_same = kept is not None and kept.key == rooms_key(screen, input_shape, num_outputs)
    known = kept.rooms if kept is not None and is_same else {}

    def fitted(space: SearchSpace, view: InputView) -> SearchSpace:
        if not takes_room(space):
            return space
        sized = cast(SizedSpace, space)
        room = known.get(space.name, {}).get(view.prefix) or largest_room(
            screen, sized, view, input_shape=input_shape, num_outputs=num_outputs
        )
        return RoomySpace(space=sized, room=room)

    views = input_views(input_shape) if screen.searches_input else input_views(())
    spaces: dict[str, SearchSpace] = {}
    for name, space in screen.spaces.items():
        by_size = {view.prefix: fitted(space, view) for view in views if not view.is_grey}
        ways = {view: by_size[view.prefix] for view in views}
        spaces[name] = SeeingSpace(ways=ways) if len(ways) > 1 else by_size[""]
    return replace(screen, spaces=spaces)


def by_setting(screen: Screen) -> Iterator[tuple[str, tuple[int, ...], Screen]]:
    """Give each setting of the features, the shape of its inputs and the screen of its students."""
    shapes = {
        space.features: space.input_shape
        for space in screen.spaces.values()
        if isinstance(space, SettingSpace)
    }
    for features, shape in shapes.items():
        yield features, shape, screen.in_setting(features)


def largest_room(
    screen: Screen,
    space: SizedSpace,
    view: InputView = WHOLE_INPUT,
    *,
    input_shape: tuple[int, ...],
    num_outputs: int,
) -> Room:
    """Return the largest room in which a third of random students fits.

    Where limits would leave little of the widths, the input is thinned out first: a coarse look by
    many channels learns more than a fine one by few. Device memory alone never enlarges a space,
    since it does not say how long anyone wants to train; a limit on time, energy or weights that
    leaves more room does.

    Args:
        view: how they see their input; it costs something, too.
        input_shape: without batch.

    Returns:
        The room; the smallest there is when not even there a third fits.
    """
    best: tuple[int, Room] | None = None
    for coarse in _coarsenesses(view.shape(input_shape)):

        def fits(step: int, *, lean: bool, coarse: Coarseness = coarse) -> bool:
            room = _room(step, lean=lean, coarse=coarse)
            seen: SearchSpace = RoomySpace(space=space, room=room)
            if view != WHOLE_INPUT:
                seen = SeeingSpace(ways={view: seen})
            return _a_good_share_fits(screen, seen, input_shape, num_outputs)

        step, lean = _largest_step(fits, may_grow=_may_grow(screen.limits))
        if best is not None and step <= best[0]:
            break  # what limits it is not what a coarser look saves
        best = step, _room(step, lean=lean, coarse=coarse)
        if step >= _ROOMY and not lean:
            break
    assert best is not None  # the finest look is always tried
    return best[1]


def _room(step: int, *, lean: bool, coarse: Coarseness) -> Room:
    return Room(scale=2.0 ** (step / _STEPS_PER_OCTAVE), lean=lean, coarse=coarse)


def _coarsenesses(input_shape: tuple[int, ...]) -> tuple[Coarseness, ...]:
    """Return how far an input may be thinned out so that a map worth the name is left."""
    shortest = min(input_shape[1:]) // stem_stride(input_shape)
    return tuple(c for c in COARSENESSES if c == 1 or shortest // c >= _LEAST_POSITIONS)


def _largest_step(fits: Callable[..., bool], *, may_grow: bool) -> tuple[int, bool]:
    """Return the largest scale at which a third fits, as a step, and whether it has to be lean."""

    def best(lean: bool) -> int | None:
        if fits(_WHOLE, lean=lean):
            if not may_grow:
                return _WHOLE
            low, high = _WHOLE, _HIGHEST + 1
        elif fits(_LOWEST, lean=lean):
            low, high = _LOWEST, _WHOLE
        else:
            return None
        return largest_fitting(low, high, lambda step: fits(step, lean=lean))

    full = best(lean=False)
    if full is not None and full >= -_LEAN_GAIN_STEPS:
        return full, False
    lean = best(lean=True)
    if full is not None and (lean is None or lean < full + _LEAN_GAIN_STEPS):
        return full, False
    return (_LOWEST if lean is None else lean), True


def _a_good_share_fits(
    screen: Screen, space: SearchSpace, input_shape: tuple[int, ...], num_outputs: int
) -> bool:
    """Sample until the share is above or below the wanted one for certain."""
    chooser = RandomChooser(0)
    screen = replace(screen, spaces={space.name: space})
    wanted = round(_WANTED_SHARE * SAMPLES_PER_ROOM)
    fitting = 0
    for sampled in range(SAMPLES_PER_ROOM):
        candidate = sample_candidate(
            screen, space.name, chooser, input_shape=input_shape, num_outputs=num_outputs
        )
        fitting += not candidate.violations
        if fitting >= wanted:
            return True
        if fitting + SAMPLES_PER_ROOM - sampled - 1 < wanted:
            return False
    return False


def _may_grow(limits: Limits) -> bool:
    given = (limits.latency_s, limits.energy_j, limits.weight_bytes)
    return any(limit is not None for limit in given)
