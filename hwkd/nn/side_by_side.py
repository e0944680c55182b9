"""Networks of one shape as one network whose convolutions are in groups: the same sums, sooner.

Four students of 2,000 to 8,000 parameters take a step in 0.35 to 0.45 times the time (`python -m
benchmarks.speed.batched_peers`). Weights are held in that form, so nothing is copied in a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Layer, Layers
from hwkd.nn.build import StudentModule, build_module


def can_stand_side_by_side(layers: Layers) -> bool:
    """Tell whether networks of this shape become one: convolutions, and a linear end."""
    shapes = {layer.name: layer.shape for layer in layers.layers}
    vectors: set[str] = set()
    for layer in layers.layers:
        source = shapes.get(layer.inputs[0], layers.input_shape)
        flattens = layer.kind == "reshape" and len(layer.shape) == 1 and source[1:] == (1, 1)
        if flattens or (layer.kind == "linear" and layer.inputs[0] in vectors):
            vectors.add(layer.name)
        elif (
            not _stays_apart(layer.kind) or "input" in layer.inputs[1:] or vectors & {*layer.inputs}
        ):
            return False
    return len(layers.input_shape) == 3 and len(layers.heads) == 1


def _stays_apart(kind: str) -> bool:
    """Tell whether channels stay apart when those of several networks stand one after another."""
    row = LAYER_KINDS.get(kind)
    return kind == "conv" or row.is_channelwise or row.work == "elementwise"


def in_groups(layers: Layers, count: int) -> Layers:
    """Return a network `count` times in one; see `can_stand_side_by_side`."""
    return replace(
        layers,
        input_shape=(count * layers.input_shape[0], *layers.input_shape[1:]),
        layers=tuple(_in_groups(layer, count) for layer in layers.layers),
    )


def _in_groups(layer: Layer, count: int) -> Layer:
    if layer.kind == "reshape":  # a vector stays a picture of one place
        return replace(layer, shape=(count * layer.shape[0], 1, 1))
    if layer.kind == "linear":
        layer = replace(layer, kind="conv", shape=(layer.shape[0], 1, 1))
    groups = layer.groups * count if layer.kind == "conv" else layer.groups
    return replace(layer, shape=(count * layer.shape[0], *layer.shape[1:]), groups=groups)


class SideBySide(nn.Module):
    """Several networks in one.

    Attributes:
        layers: of each of them.
    """

    def __init__(self, layers: Layers, networks: Sequence[StudentModule]) -> None:
        """Take the weights of networks over.

        Args:
            layers: of each of them.
            networks: at least two.
        """
        super().__init__()
        self.layers, self._count = layers, len(networks)
        self.whole = build_module(in_groups(layers, len(networks)), seed=0)
        for index, network in enumerate(networks):
            self.load(index, network.state_dict())

    def forward_taps(self, inputs: Tensor) -> list[tuple[Tensor, dict[str, Tensor]]]:
        """Return logits and values at the taps of each network; see `StudentModule.forward_taps`.

        Args:
            inputs: that all see, shape [batch, *input_shape].
        """
        names = sorted(set(self.layers.taps.values()))
        wide = inputs.repeat(1, self._count, 1, 1)
        logits, values = self.whole.forward_taps(wide, names)
        assert isinstance(logits, Tensor)
        parts = {name: value.chunk(self._count, 1) for name, value in values.items()}
        return [
            (own.flatten(1), {name: part[index] for name, part in parts.items()})
            for index, own in enumerate(logits.chunk(self._count, 1))
        ]

    @torch.no_grad()
    def alone(self, index: int) -> StudentModule:
        """Return a copy of one of the networks by itself."""
        whole = self.whole.state_dict()
        device = next(self.parameters()).device
        found = build_module(self.layers, seed=0).train(self.training).to(device)
        for name, value in found.state_dict().items():
            place = whole[name]
            own = place.chunk(self._count, 0)[index] if place.dim() else place
            value.copy_(own.reshape(value.shape))
        return found

    @torch.no_grad()
    def load(self, index: int, state: Mapping[str, Tensor]) -> None:
        """Put the state of one of the networks in its place."""
        whole = self.whole.state_dict()
        for name, value in state.items():
            place = whole[name]
            own = place.chunk(self._count, 0)[index] if place.dim() else place
            own.copy_(value.reshape(own.shape))
