"""What every registered search space must keep: one student from description to int8 file."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import onnx
import pytest
import torch
from pydantic import TypeAdapter

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.room import WHOLE, Room, RoomySpace, SizedSpace, takes_room
from hwkd.core.student import Layers, StudentSpec
from hwkd.core.trial import StoredSpec
from hwkd.cost.graph import build_graph
from hwkd.deploy.sessions import open_session, predict
from hwkd.deploy.to_int8 import assert_int8, quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.io.discovery import discover, registered_spaces
from hwkd.nn.build import StudentModule, build_module
from hwkd.trace.macs import count_macs
from hwkd.trace.onnx_file import load_graph

discover("hwkd.search_spaces")

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (6, 128), (1, 49, 10)]
EXTREME_SHAPES = [(1, 1, 1), (2, 3), (1, 2, 2), (3, 96, 96), (1, 16000), (4, 40, 1)]
QUICK_SHAPES = ((1, 8, 8), (6, 128))
CLASSES = 7
ROOMS = (WHOLE, Room(scale=1 / 16, lean=True), Room(scale=0.6), Room(scale=1.5))

each_space = pytest.mark.parametrize("space_name", SEARCH_SPACES.names())
# An autoencoder answers with its input: its code is plain, and its size follows from the input's.
each_space_of_answers = pytest.mark.parametrize(
    "space_name",
    [n for n in SEARCH_SPACES.names() if "autoencoder" not in n and n != "discrepancy"],
)
# Each space meets each shape and each room, each shape half of the rooms: the other half is that of
# the next space. What depends on all three is arithmetic on shapes, which tests below try fully.
MEETINGS = [
    pytest.param(
        space,
        shape,
        room,
        id=f"{space}-{shape}-{name}",
        marks=() if shape in QUICK_SHAPES else pytest.mark.slow,
    )
    for first, space in enumerate(SEARCH_SPACES.names())
    for second, shape in enumerate(SHAPES)
    for third, (name, room) in enumerate(
        zip(("whole", "tiny", "small", "large"), ROOMS, strict=True)
    )
    if (first + second + third) % 2 == 0
]
each_shape = pytest.mark.parametrize("input_shape", SHAPES, ids=str)


def sample(
    space_name: str, input_shape: tuple[int, ...], seed: int, room: Room = WHOLE
) -> tuple[StudentSpec, Layers]:
    space = SEARCH_SPACES.get(space_name)
    if takes_room(space):
        space = RoomySpace(space=cast(SizedSpace, space), room=room)
    spec = space.suggest(RandomChooser(seed), input_shape=input_shape, num_outputs=CLASSES)
    return spec, space.layers(spec)


def small_sample(space_name: str, input_shape: tuple[int, ...], room: Room = WHOLE) -> Layers:
    """The cheapest of a few samples: what is checked does not depend on the size."""
    candidates = [sample(space_name, input_shape, seed, room)[1] for seed in range(12)]
    return min(candidates, key=lambda layers: build_graph(layers).macs)


def settled(layers: Layers, inputs: torch.Tensor) -> StudentModule:
    """A module whose normalisation statistics have seen data, in evaluation mode."""
    module = build_module(layers, seed=0)
    norms = [m for m in module.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = None  # the plain mean over all batches
    with torch.no_grad():
        for _ in range(3):
            module(inputs)
    return module.eval()


def inputs_of(input_shape: tuple[int, ...], samples: int = 24) -> torch.Tensor:
    return torch.randn(samples, *input_shape, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("space_name", "input_shape", "room"), MEETINGS)
def test_student_runs_exports_and_quantises(
    space_name: str, input_shape: tuple[int, ...], room: Room, tmp_path: Path
) -> None:
    layers = small_sample(space_name, input_shape, room)
    inputs = inputs_of(input_shape)
    module = settled(layers, inputs)
    with torch.no_grad():
        expected = module(inputs).numpy()
    assert expected.shape[:2] == (len(inputs), CLASSES)

    float_path, int8_path = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    export_onnx(module, layers, float_path)
    graph = build_graph(layers)
    assert load_graph(float_path) == graph
    assert graph.macs == count_macs(module, input_shape)
    exported = predict(open_session(float_path), inputs.numpy())
    np.testing.assert_allclose(exported, expected, atol=1e-4)

    quantise_int8(float_path, int8_path, inputs.numpy())
    assert_int8(onnx.load(int8_path), name="student")
    quantised = predict(open_session(int8_path), inputs.numpy())
    assert np.corrcoef(quantised.ravel(), expected.ravel())[0, 1] > 0.95


@each_space
@pytest.mark.parametrize("input_shape", [*SHAPES, *EXTREME_SHAPES], ids=str)
@pytest.mark.parametrize("room", ROOMS[:2], ids=["whole", "tiny"])
def test_description_and_module_have_the_same_shapes(
    space_name: str, input_shape: tuple[int, ...], room: Room
) -> None:
    layers = small_sample(space_name, input_shape, room)
    module = build_module(layers, seed=0).eval()
    names = [layer.name for layer in layers.layers]
    with torch.no_grad():
        logits, outputs = module.forward_taps(inputs_of(input_shape, samples=2), names)
    assert {name: tuple(value.shape[1:]) for name, value in outputs.items()} == {
        layer.name: layer.shape for layer in layers.layers
    }
    assert logits.shape[:2] == (2, CLASSES)


@each_space
@each_shape
def test_taps_go_from_the_input_to_the_embedding(
    space_name: str, input_shape: tuple[int, ...]
) -> None:
    for seed in range(20):
        _, layers = sample(space_name, input_shape, seed)
        positions = {layer.name: index for index, layer in enumerate(layers.layers)}
        places = [positions[name] for name in layers.taps.values()]
        stages = [place for place in layers.taps if place != "embedding"]
        assert stages == [f"stage{number}" for number in range(1, len(stages) + 1)]
        gives_maps = len(layers.layers[-1].shape) == 3
        assert (list(layers.taps)[-1] == "embedding") != gives_maps
        assert places == sorted(places)
        assert len(layers.layers[places[-1]].shape) == (3 if gives_maps else 1)


@each_space
@each_shape
def test_same_params_give_the_same_network(space_name: str, input_shape: tuple[int, ...]) -> None:
    spec, layers = sample(space_name, input_shape, seed=3)
    stored = TypeAdapter(StoredSpec)
    restored = stored.validate_json(stored.dump_json(spec))
    assert restored == spec
    assert restored.key == spec.key
    again = SEARCH_SPACES.get(space_name).layers(restored)
    assert build_graph(again) == build_graph(layers)

    first, second = build_module(layers, seed=1), build_module(again, seed=1)
    other = build_module(layers, seed=2)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))
    assert not all(map(torch.equal, first.state_dict().values(), other.state_dict().values()))


@each_space_of_answers
def test_every_weighted_layer_is_normalised_except_gates_and_classifier(space_name: str) -> None:
    for seed in range(30):
        _, layers = sample(space_name, (1, 28, 28), seed)
        bare = {
            layer.name
            for layer in layers.layers
            if LAYER_KINDS.get(layer.kind).has_weights and not layer.norm
        }
        bare = {name for name in bare if not name.endswith(("_se_reduce", "_se_gate"))}
        # Levels that answer, too, say logits.
        assert {name for name in bare if not name.startswith("says")} == {"logits"}


@each_space_of_answers
def test_a_fifth_of_the_students_for_small_images_has_at_most_20_kilobytes(space_name: str) -> None:
    sizes = [build_graph(sample(space_name, (1, 28, 28), seed)[1]).params for seed in range(200)]
    assert sum(size <= 16_500 for size in sizes) >= 40
    assert max(sizes) > 25_000


@each_space
def test_names_are_stable_and_choices_are_asked_once(space_name: str) -> None:
    class Recorder(RandomChooser):
        asked: list[str]

        def categorical(self, name, choices):
            self.asked.append(name)
            return super().categorical(name, choices)

        def integer(self, name, low, high, *, step=1, log=False):
            self.asked.append(name)
            return super().integer(name, low, high, step=step, log=log)

    chooser = Recorder(0)
    space = cast(SizedSpace, SEARCH_SPACES.get(space_name))
    for turn in range(20):
        chooser.asked = []
        spec = space.suggest(
            chooser, input_shape=(1, 28, 28), num_outputs=CLASSES, room=ROOMS[turn % len(ROOMS)]
        )
        assert sorted(chooser.asked) == sorted(set(chooser.asked)) == sorted(spec.params)


@each_space
def test_one_training_step_reaches_every_weight(space_name: str) -> None:
    layers = small_sample(space_name, (1, 8, 8))
    module = build_module(layers, seed=0)
    module(inputs_of((1, 8, 8))).logsumexp(dim=1).sum().backward()
    learning = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    idle = [name for name, p in learning if p.grad is None]
    assert idle == []


def test_a_space_that_waits_to_be_named_is_in_no_search_without_its_name() -> None:
    waiting = {
        "autoencoder", "broadcast", "conv_autoencoder", "detector", "discrepancy",
        "drawer", "local_attention", "segmenter", "shuffle", "streaming", "temporal", "text",
    }  # fmt: skip
    assert set(registered_spaces()) == set(SEARCH_SPACES.names()) - waiting
    assert set(registered_spaces(of_signals=True)) - set(registered_spaces()) == {"temporal"}


@pytest.mark.parametrize("input_shape", [(20, 8), (1, 6, 9)], ids=str)
def test_an_autoencoder_of_convolutions_makes_each_value_from_its_own_stretch_of_time(
    input_shape: tuple[int, ...], tmp_path: Path
) -> None:
    space = SEARCH_SPACES.get("conv_autoencoder")
    size, time = int(np.prod(input_shape)), input_shape[-1]
    spec = space.suggest(RandomChooser(1), input_shape=input_shape, num_outputs=size)
    layers, by = space.layers(spec), int(spec.params["shortened"])
    inputs = inputs_of(input_shape)
    module = settled(layers, inputs)
    with torch.no_grad():
        outputs, taps = module.forward_taps(inputs, ["decode2"])
    made = taps["decode2"].reshape(len(inputs), size // time, by, time // by).permute(0, 1, 3, 2)
    torch.testing.assert_close(outputs.reshape(len(inputs), size // time, time // by, by), made)
    float_path, int8_path = tmp_path / "float.onnx", tmp_path / "int8.onnx"
    export_onnx(module, layers, float_path)
    quantise_int8(float_path, int8_path, inputs.numpy())
    assert_int8(onnx.load(int8_path), name="student")
    quantised = predict(open_session(int8_path), inputs.numpy())
    assert np.corrcoef(quantised.ravel(), outputs.numpy().ravel())[0, 1] > 0.95


@pytest.mark.parametrize("stride", [1, 2])
def test_every_level_of_a_segmenter_adds_what_it_says(stride: int) -> None:
    params: dict[str, int | str] = {
        "activation": "relu", "stem_stride": stride, "levels": 3, "convolutions": "dense",
        "answers": "every level",
    }  # fmt: skip
    for level, channels in enumerate((8, 12, 16), 1):
        params |= {f"level{level}_channels": channels, f"level{level}_blocks": 1}
    shape = (3, 16, 24)
    spec = StudentSpec(space="segmenter", params=params, input_shape=shape, num_outputs=CLASSES)
    inputs = inputs_of(shape)
    module = settled(SEARCH_SPACES.get("segmenter").layers(spec), inputs)
    names = ["says3", "says2", "logits"]
    with torch.no_grad():
        outputs, taps = module.forward_taps(inputs, names)
    said = [torch.nn.functional.interpolate(taps[name], shape[1:]) for name in names]
    torch.testing.assert_close(outputs, said[0] + said[1] + said[2])
    assert all(each.std() > 0 for each in said)
