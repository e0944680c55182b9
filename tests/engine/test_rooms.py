"""Random proposals fit wherever a small depthwise network does, on any device and input."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from hwkd.core.chooser import RandomChooser
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.limits import Limits
from hwkd.core.room import Room, RoomySpace
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.graph import build_graph
from hwkd.engine.setup import rooms as rooms_module
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.feasibility import survey
from hwkd.engine.setup.resolve import screen_of
from hwkd.engine.setup.rooms import KeptRooms, fit_spaces
from hwkd.io.discovery import registered_spaces

CONVOLUTIONAL = ("depthwise", "narrow_deep", "plain")
ALL = ("latency", "ram", "flash", "weights")
CASES = [
    ("cortex-m4", (1, 28, 28), ALL),
    ("cortex-m4", (1, 8, 8), ("flash",)),
    ("cortex-m4", (3, 96, 96), ("ram",)),
    ("cortex-m4", (3, 96, 96), ALL),
    ("cortex-m0plus", (3, 32, 32), ("latency",)),
    ("cortex-m0plus", (6, 128), ALL),
    ("cortex-m7", (3, 96, 96), ("ram",)),
    ("cortex-m7", (1, 40, 49), ("weights",)),
    ("esp32-s3", (1, 40, 49), ALL),
    ("esp32-p4", (3, 96, 96), ("latency",)),
    ("raspberry-pi-4", (3, 32, 32), ("weights", "latency")),
]


def width_8_network(input_shape):
    """Depthwise separable: a stem, three blocks, 8 channels throughout."""
    builder = LayersBuilder(input_shape)
    x = builder.conv(builder.image, "stem", 8, kernel=3, stride=2, activation="relu")
    for block, stride in enumerate((1, 2, 1)):
        x = builder.depthwise(x, f"spatial{block}", kernel=3, stride=stride, activation="relu")
        x = builder.conv(x, f"point{block}", 8, activation="relu")
    builder.classifier(x, 10)
    return build_graph(builder.build())


def limits_that_it_just_meets(device, input_shape, names):
    cost = estimate_cost(width_8_network(input_shape), device)
    needs = {
        "latency": ("latency_s", cost.latency.high_s),
        "ram": ("ram_bytes", cost.peak_ram_bytes),
        "flash": ("flash_bytes", cost.flash_bytes),
        "weights": ("weight_bytes", cost.weight_bytes),
    }
    return Limits(**dict(needs[name] for name in names))


@pytest.mark.slow
@pytest.mark.parametrize(("device", "input_shape", "names"), CASES, ids=str)
def test_a_fifth_of_the_proposals_fits_where_a_network_of_width_8_does(device, input_shape, names):
    screen = screen_of(SearchConfig(device=device, spaces=CONVOLUTIONAL))
    limits = limits_that_it_just_meets(screen.device, input_shape, names)
    shapes = {"input_shape": input_shape, "num_outputs": 10}
    fitted = fit_spaces(replace(screen, limits=limits), **shapes)
    shares = {
        space.space: space.feasible / space.sampled
        for space in survey(fitted, **shapes, seed=3, samples=60)
    }
    assert min(shares.values()) >= 0.2, shares


@pytest.mark.slow
def test_a_quarter_of_every_space_fits_the_limits_of_the_front_page():
    """20 ms and 64 KiB on a Cortex-M4 leave nothing of the whole spaces but a few tiny ones."""
    limits = Limits(latency_s=0.02, ram_bytes=65_536)
    screen = replace(
        screen_of(SearchConfig(device="cortex-m4", spaces=registered_spaces())), limits=limits
    )
    shapes = {"input_shape": (1, 28, 28), "num_outputs": 10}
    whole = {s.space: s.feasible for s in survey(screen, **shapes, seed=0, samples=60)}
    fitted = {
        s.space: s.feasible
        for s in survey(fit_spaces(screen, **shapes), **shapes, seed=0, samples=60)
    }
    assert whole["depthwise"] == whole["narrow_deep"] == 0
    assert set(fitted) == {"depthwise", "linear_attention", "narrow_deep", "plain"}
    assert min(fitted.values()) >= 15


def rooms(device, limits, input_shape=(1, 28, 28)):
    screen = screen_of(SearchConfig(device=device, spaces=("narrow_deep", "plain")))
    screen = replace(screen, limits=limits)
    fitted = fit_spaces(screen, input_shape=input_shape, num_outputs=10)
    return {name: getattr(space, "room") for name, space in fitted.spaces.items()}  # noqa: B009


def test_device_memory_alone_leaves_the_spaces_whole_and_a_generous_time_enlarges_them():
    memory = Limits(ram_bytes=2**20, flash_bytes=2**21)
    assert set(rooms("cortex-m7", memory).values()) == {Room()}
    assert all(room.scale > 1 for room in rooms("cortex-m7", Limits(latency_s=1.0)).values())


@pytest.mark.slow
def test_rooms_repeat_exactly_and_shrink_with_the_limit():
    some = rooms("cortex-m4", Limits(latency_s=0.02))
    assert rooms("cortex-m4", Limits(latency_s=0.02)) == some
    less = rooms("cortex-m4", Limits(latency_s=0.01))
    assert all(less[name].scale <= some[name].scale for name in some)


def test_a_space_that_knows_no_room_stays_as_it_is():
    class Own:
        name = "own"
        summary = ""

        def suggest(self, chooser, *, input_shape, num_outputs):
            raise AssertionError("not asked")

    screen = screen_of(SearchConfig(device="cortex-m4", spaces=("plain",)))
    own: Any = Own()
    mixed = replace(screen, spaces={"own": own, **screen.spaces}, limits=Limits(latency_s=0.01))
    fitted = fit_spaces(mixed, input_shape=(1, 8, 8), num_outputs=4)
    assert fitted.spaces["own"] is own
    assert isinstance(fitted.spaces["plain"], RoomySpace)


def test_smaller_pictures_get_wider_students():
    screen = screen_of(SearchConfig(device="cortex-m4", spaces=("plain",), search_input=True))
    tight = replace(screen, limits=Limits(latency_s=0.005))
    fitted = fit_spaces(tight, input_shape=(1, 32, 32), num_outputs=4)
    space: Any = fitted.spaces["plain"]
    scales = {view.label: way.room.scale for view, way in space.ways.items()}
    assert list(scales) == ["whole", "pooled2", "pooled4"]
    assert scales["whole"] < scales["pooled2"] < scales["pooled4"]
    (signal,) = fit_spaces(tight, input_shape=(6, 128), num_outputs=4).spaces.values()
    assert isinstance(signal, RoomySpace)


def test_the_smallest_linear_attention_student_is_a_tenth_of_the_smallest_whole_one():
    (space,) = screen_of(
        SearchConfig(device="cortex-m4", spaces=("linear_attention",))
    ).spaces.values()

    def smallest(room):
        sized = RoomySpace(space=space, room=room)
        chooser = RandomChooser(0)
        return min(
            build_graph(
                sized.layers(sized.suggest(chooser, input_shape=(1, 28, 28), num_outputs=10))
            ).macs
            for _ in range(100)
        )

    assert smallest(Room(scale=1 / 16)) < smallest(Room()) / 10


@pytest.mark.slow
def test_kept_rooms_are_taken_for_the_same_limits_and_input_alone(monkeypatch):
    shape = {"input_shape": (1, 12, 24), "num_outputs": 4}
    config = SearchConfig(device="cortex-m4", spaces=("narrow_deep", "plain"), search_input=True)
    screen = screen_of(config)
    screen = replace(screen, limits=replace(screen.limits, weight_bytes=3_000))
    fitted = fit_spaces(screen, **shape)
    kept = KeptRooms.model_validate_json(KeptRooms.of(fitted, **shape).model_dump_json())
    wider = replace(screen, limits=replace(screen.limits, weight_bytes=30_000))
    wider_fitted = fit_spaces(wider, **shape)

    assert wider_fitted != fitted
    assert fit_spaces(wider, **shape, kept=kept) == wider_fitted
    assert fit_spaces(screen, **{**shape, "num_outputs": 400}, kept=kept) != fitted
    monkeypatch.setattr(rooms_module, "largest_room", lambda *_, **__: pytest.fail("found again"))
    assert fit_spaces(screen, **shape, kept=kept) == fitted


def test_a_kept_room_that_no_search_finds_is_refused():
    with pytest.raises(ValueError, match="less than or equal to 2"):
        KeptRooms.model_validate({"key": "", "rooms": {"plain": {"": {"scale": 1e9}}}})


# Prints the key of the rooms on a device whose description holds sets.
_KEY = """
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.resolve import screen_of
from hwkd.engine.setup.rooms import rooms_key
print(rooms_key(screen_of(SearchConfig(device="cortex-m4")), (1, 8, 8), 10))
"""


@pytest.mark.slow
def test_rooms_have_the_same_key_in_every_process():
    keys = {
        subprocess.run(
            [sys.executable, "-c", _KEY],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1
