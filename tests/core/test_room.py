from __future__ import annotations

from itertools import pairwise

import pytest

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.room import WHOLE, Room, takes_room


def test_the_whole_room_leaves_bounds_as_they_are():
    assert WHOLE.widths(8, 24) == (8, 24)
    assert WHOLE.most(1, 3) == 3
    assert WHOLE.stem_strides(2) == (2, 4)
    assert WHOLE.stem_windows() == ("overlapping",)
    assert WHOLE.affordable(("relu", "hard_swish"), lean=1) == ("relu", "hard_swish")


@pytest.mark.parametrize("scale", [2.0**step for step in (-4, -2.5, -1, -0.25, 0.5, 1)])
def test_bounds_stay_on_the_grid_and_small_students_stay_inside(scale):
    room = Room(scale=scale)
    for low, high in ((8, 24), (16, 64), (4, 12)):
        fewest, most = room.widths(low, high)
        assert fewest % 4 == most % 4 == 0
        assert 4 <= fewest <= min(most, low)
    assert room.most(1, 3) >= 1


def test_a_smaller_room_is_never_larger_in_any_bound():
    rooms = [Room(scale=2.0 ** (step / 4)) for step in range(-16, 5)]
    for smaller, larger in pairwise(rooms):
        assert smaller.widths(8, 40)[1] <= larger.widths(8, 40)[1]
        assert smaller.most(1, 4) <= larger.most(1, 4)
        assert max(smaller.stem_strides(1)) >= max(larger.stem_strides(1))


def test_a_lean_room_keeps_what_needs_no_kernel_of_its_own():
    assert Room(lean=True).affordable(("none", "last", "all"), lean=1) == ("none",)


def test_only_spaces_with_the_argument_take_a_room():
    class Without:
        name = summary = "x"

        def suggest(self, chooser, *, input_shape, num_outputs):
            raise NotImplementedError

    class With(Without):
        def suggest(self, chooser, *, input_shape, num_outputs, room=WHOLE):
            raise NotImplementedError

    assert not takes_room(Without())
    assert takes_room(With())


@pytest.mark.parametrize(
    ("window", "kernel", "pads"),
    [("overlapping", 5, (2, 2, 2, 2)), ("patches", 4, (0, 0, 0, 0)), ("sparse", 3, (0, 0, 0, 0))],
)
def test_a_stem_of_stride_four_reads_the_image_in_three_ways(window, kernel, pads):
    builder = LayersBuilder((3, 30, 32))
    builder.classifier(builder.stem(8, stride=4, window=window), 2)
    stem = builder.build().layers[0]
    assert (stem.kernel, stem.pads, stem.stride) == ((kernel, kernel), pads, (4, 4))
    # 30 rows hold seven windows of 4 without padding and, with two zeros on each side, eight of 5.
    assert stem.shape == (8, 8 if window == "overlapping" else 7, 8)


def test_patches_of_a_signal_are_one_row_high():
    builder = LayersBuilder((6, 50))
    builder.classifier(builder.stem(8, stride=4, window="patches"), 2)
    stem = builder.build().layers[1]
    assert (stem.kernel, stem.stride, stem.shape) == ((1, 4), (1, 4), (8, 1, 12))
