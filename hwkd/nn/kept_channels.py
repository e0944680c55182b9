"""Which channels a narrower form of a network keeps of it, and what these weigh."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Layer, Layers

# Torch's name of a parameter of a layer -> value; and these of each layer.
Parameters: TypeAlias = Mapping[str, NDArray[np.float32]]
Weights: TypeAlias = Mapping[str, Parameters]
_Channels: TypeAlias = NDArray[np.int64]
# torch's normalisation divides by the root of the variance and this.
_EPSILON = 1e-5
_KERNEL = "core.weight"


def kept_weights(whole: Layers, narrow: Layers, weights: Weights) -> dict[str, Parameters]:
    """Return weights of a narrower network, out of those of the one that it is a form of.

    Of channels that are added to each other the same are kept, those with the largest weights.

    Args:
        whole: the network.
        narrow: the same layers with fewer channels.
        weights: of `whole`.

    Returns:
        Layer -> parameter -> value. A layer whose inputs cannot be told from the shapes (the heads
        of an attention, whose channels are divided) is left out.
    """
    kept = kept_channels(whole, narrow, weights)
    sizes = {"input": whole.input_shape[0]} | {each.name: each.shape[0] for each in whole.layers}
    shapes = {layer.name: layer.shape for layer in narrow.layers}
    found: dict[str, Parameters] = {}
    for layer in whole.layers:
        if _is_table(layer):  # whole or not at all: no channel of its rows is told apart
            if layer.shape == shapes[layer.name] and layer.name in weights:
                found[layer.name] = weights[layer.name]
            continue
        rows, columns = kept.get(layer.name), kept.get(layer.inputs[0])
        if layer.name not in weights or rows is None or columns is None:
            continue
        values = {name: value[rows] for name, value in weights[layer.name].items()}
        read = sizes[layer.inputs[0]]
        if layer.groups == 1:
            values[_KERNEL] = values[_KERNEL][:, columns]
        elif layer.groups != read and (len(rows), len(columns)) != (layer.shape[0], read):
            continue
        found[layer.name] = values
    return found


def kept_channels(whole: Layers, narrow: Layers, weights: Weights) -> dict[str, _Channels]:
    """Return which places along the first axis of each layer are kept; unknown ones are left out.

    Args:
        whole: the network.
        narrow: the same layers with fewer channels.
        weights: of `whole`.
    """
    sizes = {"input": whole.input_shape[0]} | {each.name: each.shape[0] for each in narrow.layers}
    leader = _leaders(whole)
    strengths: dict[str, NDArray[np.float64]] = {}
    for layer in whole.layers:
        if layer.name in weights and not _is_table(layer):
            strength = _strength(weights[layer.name])
            known = strengths.get(leader[layer.name], np.zeros(len(strength)))
            strengths[leader[layer.name]] = known + strength / (strength.mean() or 1.0)
    shapes = {"input": whole.input_shape} | {each.name: each.shape for each in whole.layers}
    chosen: dict[str, _Channels] = {}
    kept: dict[str, _Channels] = {"input": np.arange(sizes["input"])}
    for layer in whole.layers:
        group, before, after = leader[layer.name], layer.shape[0], sizes[layer.name]
        derived = _derived(layer, shapes, kept)
        if before == after:
            kept[layer.name] = np.arange(before)
        elif derived is not None:
            kept[layer.name] = derived
        elif group in strengths:
            if group not in chosen:
                chosen[group] = np.sort(np.argsort(-strengths[group], kind="stable")[:after])
            kept[layer.name] = chosen[group]
        if layer.name in kept and len(kept[layer.name]) != after:
            del kept[layer.name]
    return kept


def _is_table(layer: Layer) -> bool:
    return LAYER_KINDS.get(layer.kind).is_lookup


def _leaders(layers: Layers) -> dict[str, str]:
    """Return for each tensor the first one that has its channels, one by one."""
    leader = {"input": "input"}
    shapes = {"input": layers.input_shape}
    for layer in layers.layers:
        leader[layer.name] = layer.name
        for source in _alike(layer, shapes):
            one, other = leader[layer.name], leader[source]
            for name, first in leader.items():
                if first == one:
                    leader[name] = other
        shapes[layer.name] = layer.shape
    return leader


def _alike(layer: Layer, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    """Yield the inputs of a layer whose channels are its own, one by one."""
    for name in layer.inputs:
        shape = shapes[name]
        if shape[0] != layer.shape[0]:
            continue
        if layer.kind == "reshape":
            is_alike = prod(shape) == shape[0] or shape[1:] == layer.shape[1:]
        elif layer.kind == "conv":
            is_alike = _is_depthwise(layer, shape)
        else:
            kind = LAYER_KINDS.get(layer.kind)
            is_alike = kind.is_channelwise or layer.kind in ("add", "mul")
        if is_alike:
            yield name


def _is_depthwise(layer: Layer, source: tuple[int, ...]) -> bool:
    return layer.kind == "conv" and 1 < layer.groups == source[0]


def _derived(
    layer: Layer, shapes: Mapping[str, tuple[int, ...]], kept: Mapping[str, _Channels]
) -> _Channels | None:
    """Return the places of a layer that follow from its inputs' in another number."""
    sources = [kept.get(name) for name in layer.inputs]
    if any(source is None for source in sources):
        return None
    inputs = [source for source in sources if source is not None]
    shape = shapes[layer.inputs[0]]
    if layer.kind == "concat" and layer.axis == 0:
        starts = np.cumsum([0, *(shapes[name][0] for name in layer.inputs)])
        return np.concatenate([each + at for each, at in zip(inputs, starts, strict=False)])
    is_flat = layer.kind == "reshape" and layer.shape == (prod(shape),)
    if not (is_flat or _is_depthwise(layer, shape)) or layer.shape[0] == shape[0]:
        return None
    times = layer.shape[0] // shape[0]
    return (inputs[0][:, None] * times + np.arange(times)).ravel()


def _strength(values: Parameters) -> NDArray[np.float64]:
    """Return the length of what makes each channel, its normalisation counted."""
    kernel = values[_KERNEL].astype(np.float64)
    length: NDArray[np.float64] = np.sqrt(np.square(kernel.reshape(len(kernel), -1)).sum(axis=1))
    if "norm.weight" in values:
        spread = np.sqrt(values["norm.running_var"].astype(np.float64) + _EPSILON)
        length = length * np.abs(values["norm.weight"]) / spread
    return length
