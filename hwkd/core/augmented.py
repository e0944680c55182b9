"""Networks around another one: with more channels inside its blocks, and with more layers."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Layer, Layers
from hwkd.core.widened import outputs_of, widened


def augmented(layers: Layers, *, width: float, expansion: float, depth: int) -> Layers:
    """Return a network that has another one as its first channels and without its further layers.

    Args:
        layers: the network.
        width: of all its channels, at least 1.
        expansion: of those inside inverted bottlenecks, at least 1, times `width`.
        depth: residual blocks behind the end of each stage.

    Source:
        Cai et al. 2022, arXiv:2110.08890, section 3.3; depth is ours.
    """
    inner = inner_layers(layers)
    expanded = widened(layers, expansion, only=inner) if inner else layers
    return _deepened(widened(expanded, width), depth)


def inner_layers(layers: Layers) -> frozenset[str]:
    """Return the first layers of inverted bottlenecks, whose width nothing outside sees.

    Depthwise convolutions carry their channels on, and then a dense one reads them.
    """
    ends = {*layers.taps.values(), *outputs_of(layers)}
    shapes = {"input": layers.input_shape} | {each.name: each.shape for each in layers.layers}
    found = set()
    for layer in layers.layers:
        if not LAYER_KINDS.get(layer.kind).has_weights or layer.groups != 1:
            continue
        group, ahead, is_deep, is_inner = {layer.name}, [layer.name], False, True
        while ahead and is_inner:
            name = ahead.pop()
            for user in (each for each in layers.layers if name in each.inputs):
                is_depthwise = 1 < user.groups == shapes[name][0] == user.shape[0]
                if is_depthwise or LAYER_KINDS.get(user.kind).is_channelwise:
                    is_deep = is_deep or is_depthwise
                    group.add(user.name)
                    ahead.append(user.name)
                elif not LAYER_KINDS.get(user.kind).has_weights:
                    is_inner = False  # added to, multiplied with or put beside others
        if is_inner and is_deep and not group & ends:
            found.add(layer.name)
    return frozenset(found)


def _deepened(layers: Layers, depth: int) -> Layers:
    """Return a network with residual blocks behind the end of each stage."""
    if not depth:
        return layers
    ends = {name for name in layers.stage_ends if name not in outputs_of(layers)}
    now: dict[str, str] = {}
    found: list[Layer] = []
    for layer in layers.layers:
        found.append(replace(layer, inputs=tuple(now.get(name, name) for name in layer.inputs)))
        if layer.name not in ends or len(layer.shape) != 3:
            continue
        source = layer.name
        for number in range(depth):
            block = _block(f"{layer.name}__deeper{number}", source, layer.shape)
            found += block
            source = block[-1].name
        now[layer.name] = source
    return replace(layers, layers=tuple(found))


def _block(name: str, source: str, shape: tuple[int, ...]) -> list[Layer]:
    """Return a separable convolution and the sum of what it reads and says."""
    return [
        Layer(
            name=f"{name}_window", kind="conv", inputs=(source,), shape=shape, kernel=(3, 3),
            pads=(1, 1, 1, 1), groups=shape[0], norm=True, activation="relu",
        ),
        Layer(
            name=f"{name}_point", kind="conv", inputs=(f"{name}_window",), shape=shape, norm=True
        ),
        Layer(name=name, kind="add", inputs=(source, f"{name}_point"), shape=shape),
    ]  # fmt: skip
