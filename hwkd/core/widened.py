"""A network with other channels: what teaches a student, is trained around it or follows it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from math import prod

from hwkd.core.errors import ConfigError
from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Layer, Layers

_Shape = tuple[int, ...]
_LARGEST_DIVISOR = 8


def widened(layers: Layers, width: float, *, only: Collection[str] | None = None) -> Layers:
    """Return a network whose layers have `width` times the channels; inputs and outputs stay.

    Args:
        layers: the network.
        width: at least a channel is left of each layer.
        only: layers with weights whose channels change, and what follows them; None is all.

    Raises:
        ConfigError: if a layer's shape does not follow from its inputs in a way known here.
    """
    if width == 1.0:
        return layers
    kept = outputs_of(layers)
    old: dict[str, _Shape] = {"input": layers.input_shape}
    new: dict[str, _Shape] = {"input": layers.input_shape}
    found = []
    for layer in layers.layers:
        own = width if only is None or layer.name in only else 1.0
        changed = _widened_layer(layer, own, layer.name in kept, old, new)
        old[layer.name], new[layer.name] = layer.shape, changed.shape
        found.append(changed)
    return replace(layers, layers=tuple(found))


def is_cheap(layers: Layers) -> bool:
    """Tell whether a network has convolutions in groups."""
    return any(layer.groups > 1 for layer in layers.layers)


def made_dense(layers: Layers) -> Layers:
    """Return a network with dense convolutions in place of those in groups."""
    return replace(layers, layers=tuple(replace(layer, groups=1) for layer in layers.layers))


def with_outputs(layers: Layers, size: int) -> Layers:
    """Return a network with another number of outputs, the same up to its classifier.

    Raises:
        ConfigError: if its outputs are not one vector behind a layer of weights.
    """
    kept = outputs_of(layers)
    old = next(layer.shape[0] for layer in layers.layers if layer.name in layers.heads)
    found = []
    for layer in layers.layers:
        if layer.name in kept and (layer.shape[0] != old or layer.groups != 1):
            raise ConfigError(
                f"layer {layer.name}: its outputs {layer.shape} are not the {old} of the network, "
                "so that they cannot become others"
            )
        shape = (size, *layer.shape[1:]) if layer.name in kept else layer.shape
        found.append(replace(layer, shape=shape))
    return replace(layers, layers=tuple(found))


def outputs_of(layers: Layers) -> set[str]:
    """Return the layers whose channels are the network's outputs."""
    described = {layer.name: layer for layer in layers.layers}
    kept, ahead = set(), list(layers.heads)
    while ahead:
        name = ahead.pop()
        if name == "input" or name in kept:
            continue
        kept.add(name)
        if not LAYER_KINDS.get(described[name].kind).has_weights:
            ahead += described[name].inputs
    return kept


def _widened_layer(
    layer: Layer,
    width: float,
    keeps: bool,
    old: Mapping[str, _Shape],
    new: Mapping[str, _Shape],
) -> Layer:
    before, after = old[layer.inputs[0]], new[layer.inputs[0]]
    if LAYER_KINDS.get(layer.kind).is_lookup:
        features = layer.shape[-1] if keeps else _channels(layer.shape[-1], width)
        return replace(layer, shape=(*after[:-1], features))
    if LAYER_KINDS.get(layer.kind).has_weights:
        is_depthwise = layer.groups > 1 and layer.groups == before[0]
        channels = _channels(layer.shape[0], width)
        if is_depthwise:
            channels = layer.shape[0] // before[0] * after[0]
        shape = layer.shape if keeps else (channels, *layer.shape[1:])
        return replace(layer, shape=shape, groups=after[0] if is_depthwise else layer.groups)
    if keeps:
        return layer
    return replace(layer, shape=_following_shape(layer, old, new))


def _channels(base: int, width: float) -> int:
    """Return the channels of a widened layer, divisible by what the base was (up to 8).

    Where fewer than that are left, by what still leaves some.
    """
    left = max(1.0, base * width)
    divisor = next(d for d in (_LARGEST_DIVISOR, 4, 2, 1) if base % d == 0 and d <= left)
    return max(1, round(base * width / divisor)) * divisor


def _following_shape(layer: Layer, old: Mapping[str, _Shape], new: Mapping[str, _Shape]) -> _Shape:
    sources = [new[name] for name in layer.inputs]
    if len(sources) == 1 and layer.shape == old[layer.inputs[0]]:
        return sources[0]
    before, after = old[layer.inputs[0]], sources[0]
    if layer.kind == "reshape":
        return _reshaped(layer, before, after)
    if layer.kind == "transpose":
        return tuple(after[axis] for axis in layer.permutation)
    if layer.kind == "matmul":
        return (*after[:-1], sources[1][-1])
    if layer.kind == "concat":
        axes = list(after)
        axes[layer.axis] = sum(source[layer.axis] for source in sources)
        return tuple(axes)
    largest = max(sources, key=lambda source: source[0])
    return (largest[0], *layer.shape[1:])


def _reshaped(layer: Layer, before: _Shape, after: _Shape) -> _Shape:
    shape = layer.shape
    if before == after:
        return shape
    if len(shape) == 1:
        return (prod(after),)
    axis = 1 if shape[0] * shape[1] == before[0] else 0
    rest = prod(size for index, size in enumerate(shape) if index != axis)
    if prod(after) % rest:
        raise ConfigError(
            f"layer {layer.name}: its shape {shape} does not follow from {before} once there are "
            "more channels; give a scheme that trains no wider network"
        )
    return (*shape[:axis], prod(after) // rest, *shape[axis + 1 :])
