"""A network in two: a trunk, and what follows it, which can be there several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from hwkd.core.errors import ConfigError
from hwkd.core.student import Layer, Layers
from hwkd.nn.build import StudentModule


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a network is cut.

    Attributes:
        after: name of the trunk's last layer; "input" where nothing can be shared.
        shape: of its output, without batch.
        tail: what follows, as a network of its own with the same names of layers.
    """

    after: str
    shape: tuple[int, ...]
    tail: Layers


def last_cut(layers: Layers) -> Cut:
    """Return the cut before the last stage that leaves a tail which reads nothing else."""
    for name in reversed(layers.stage_ends[:-1]):
        index = next(n for n, layer in enumerate(layers.layers) if layer.name == name)
        tail = layers.layers[index + 1 :]
        known = {name, *(layer.name for layer in tail)}
        if all(source in known for layer in tail for source in layer.inputs):
            return _cut(layers, name, layers.layers[index].shape, index + 1)
    return _cut(layers, "input", layers.input_shape, 0)


def _cut(layers: Layers, name: str, shape: tuple[int, ...], start: int) -> Cut:
    renamed = tuple(
        replace(layer, inputs=tuple("input" if i == name else i for i in layer.inputs))
        for layer in layers.layers[start:]
    )
    names = {layer.name for layer in renamed}
    taps = {tap: layer for tap, layer in layers.taps.items() if layer in names}
    tail = Layers(input_shape=shape, layers=renamed, taps=taps, outputs=layers.outputs)
    return Cut(after=name, shape=shape, tail=tail)


def part_between(layers: Layers, after: int, until: int) -> tuple[str, tuple[Layer, ...]]:
    """Return the layer that stages begin behind, and their layers.

    Args:
        after: stage that is not of the part, counted from 1; 0 is the input.
        until: its last stage; 0 is the end of the network.

    Raises:
        ConfigError: if there is no such stage, or it reads more than the stage before.
    """
    ends = layers.stage_ends
    if max(after, until) > len(ends):
        raise ConfigError(
            f"--scheme: stage {max(after, until)} of a student with {len(ends)}; give fewer stages"
        )
    places = {layer.name: n for n, layer in enumerate(layers.layers)}
    start = ends[after - 1] if after else "input"
    last = places[ends[until - 1]] if until else len(layers.layers) - 1
    part = layers.layers[places[start] + 1 if after else 0 : last + 1]
    known = {start, *(layer.name for layer in part)}
    outside = [name for layer in part for name in layer.inputs if name not in known]
    if outside:
        raise ConfigError(
            f"--scheme: what follows stage {after} also reads {outside[0]}, which is before it; "
            "give a student whose stages read the stage before alone"
        )
    return start, part


def run_between(module: StudentModule, maps: Tensor, after: int, until: int) -> Tensor:
    """Return what stages of a network make of maps: the last one's, or the logits.

    Args:
        maps: as stage `after` shows them, shape [batch, *shape]; for 0 inputs.
        after: see `part_between`.
        until: likewise.
    """
    start, part = part_between(module.layers, after, until)
    values = {start: maps}
    for layer in part:
        values[layer.name] = module.steps[layer.name](*(values[name] for name in layer.inputs))
    return values[part[-1].name]


def tail_state(module: StudentModule, after: int) -> dict[str, Tensor]:
    """Return the state of what follows a stage, counted from 1."""
    _, part = part_between(module.layers, after, 0)
    names = {layer.name for layer in part}
    return {k: v for k, v in module.state_dict().items() if k.split(".")[1] in names}


def head_state(module: StudentModule, until: int) -> dict[str, Tensor]:
    """Return the state of what leads to a stage, counted from 1, and of that stage."""
    tail = tail_state(module, until)
    return {name: value for name, value in module.state_dict().items() if name not in tail}


def joined_state(trunk: Mapping[str, Tensor], tail: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a network of another network's trunk and a tail."""
    return {name: tail.get(name, value) for name, value in trunk.items()}
