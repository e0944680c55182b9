"""A network in two: a trunk, and what follows it, which can be there several times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from hwkd.core.student import Layers


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


def joined_state(trunk: Mapping[str, Tensor], tail: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the state of a network of another network's trunk and a tail."""
    return {name: tail.get(name, value) for name, value in trunk.items()}
