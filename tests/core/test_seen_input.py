"""Students that see a smaller picture: the network of the space, behind what makes it smaller."""

import pytest

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.seen_input import (
    WHOLE_INPUT,
    InputView,
    SeeingSpace,
    input_views,
    viewed_layers,
)
from hwkd.cost.graph import build_graph
from hwkd.io.discovery import discover

discover("hwkd.search_spaces")
PLAIN = SEARCH_SPACES.get("plain")
COLOUR = (3, 32, 32)


@pytest.mark.parametrize(
    ("shape", "labels"),
    [
        (
            (3, 32, 32),
            ["whole", "pooled2", "pooled4", "whole grey", "pooled2 grey", "pooled4 grey"],
        ),
        ((1, 28, 28), ["whole", "pooled2"]),
        ((3, 8, 40), ["whole", "whole grey"]),
        ((1, 49, 10), ["whole", "signal"]),
        ((6, 128), ["whole"]),
    ],
)
def test_views_leave_eight_pixels_and_mix_colours_where_there_are_any(shape, labels):
    assert [view.label for view in input_views(shape)] == labels


def test_only_the_whole_picture_is_seen_by_an_unmarked_spec():
    spec = PLAIN.suggest(RandomChooser(0), input_shape=COLOUR, num_outputs=5)
    assert viewed_layers(PLAIN, spec) == PLAIN.layers(spec)


def test_the_network_behind_the_smaller_picture_is_that_of_the_space():
    view = InputView(pool=2, is_grey=True)
    space = SeeingSpace(ways={view: PLAIN})
    spec = space.suggest(RandomChooser(0), input_shape=COLOUR, num_outputs=5)
    assert (spec.input_shape, spec.params["input_pool"], spec.params["input_grey"]) == (
        COLOUR, 2, True,
    )  # fmt: skip
    seen, own = space.layers(spec), viewed_layers(PLAIN, spec)
    assert seen.key == own.key
    pool, grey, *rest = seen.layers
    assert (pool.kind, pool.shape, grey.kind, grey.shape) == (
        "avg_pool", (3, 16, 16), "conv", (1, 16, 16),
    )  # fmt: skip
    small = space.suggest(RandomChooser(0), input_shape=COLOUR, num_outputs=5)
    params = {n: v for n, v in small.params.items() if not n.startswith("input_")}
    chooser = RandomChooser(0)
    chooser.categorical("input_view", (view.label,))
    alone = PLAIN.suggest(chooser, input_shape=(1, 16, 16), num_outputs=5)
    assert params == dict(alone.params)
    macs = build_graph(PLAIN.layers(alone)).macs
    assert build_graph(seen).macs == macs + 3 * 16 * 16
    assert [layer.name for layer in rest] == [layer.name for layer in PLAIN.layers(alone).layers]


def test_a_spectrogram_seen_as_a_signal_has_its_bands_as_channels():
    space = SeeingSpace(ways={InputView(is_signal=True): PLAIN})
    spec = space.suggest(RandomChooser(0), input_shape=(1, 49, 10), num_outputs=5)
    layers = space.layers(spec).layers
    assert (layers[0].kind, layers[0].shape) == ("transpose", (10, 1, 49))
    assert layers[1].name == "stem" and layers[1].inputs == ("input_signal",)
    assert spec.input_shape == (1, 49, 10)


def test_choices_of_one_name_have_the_same_bounds_for_every_view():
    class Recorder(RandomChooser):
        def categorical(self, name, choices):
            assert asked.setdefault(name, tuple(choices)) == tuple(choices)
            return super().categorical(name, choices)

    asked: dict[str, tuple[object, ...]] = {}
    space = SeeingSpace(ways=dict.fromkeys(input_views(COLOUR), PLAIN))
    chooser = Recorder(0)
    seen = set()
    for _ in range(60):
        spec = space.suggest(chooser, input_shape=COLOUR, num_outputs=5)
        seen.add((spec.params.get("input_pool", 1), spec.params.get("input_grey", False)))
    assert len(seen) == 6
    assert WHOLE_INPUT.params == {}
