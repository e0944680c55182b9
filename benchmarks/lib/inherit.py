"""Weights of a trained network in a relative of it: channels by importance, kernels cropped."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from hwkd.core.student import Layer, Layers
from hwkd.nn.build import StudentModule, Weighted

__all__ = ["inherit"]

# Kinds whose output has the channels of their inputs, in their order.
_SAME_CHANNELS = frozenset(
    {"add", "mul", "hard_swish", "avg_pool", "max_pool", "global_avg_pool", "reshape"}
)
_FRESH = -1


@torch.no_grad()
def inherit(child: StudentModule, parent: StudentModule) -> float:
    """Copy what fits by name; the statistics of normalisation are the caller's to estimate.

    A narrower layer keeps the channels of the largest scale (or weights), a wider one all of them
    and some new ones, whose weights into old channels begin at zero so that what these compute
    stays. Kernels are cropped, or bordered by zeros.

    Args:
        child: with random weights; changed.
        parent: trained.

    Returns:
        Share of the child's weights that were copied.
    """
    shapes = {"input": child.layers.input_shape, **{x.name: x.shape for x in child.layers.layers}}
    known = {layer.name: layer for layer in parent.layers.layers}
    known_shapes = {"input": parent.layers.input_shape, **{n: x.shape for n, x in known.items()}}
    ties = _tied(child.layers, shapes)
    chosen: dict[str, Tensor] = {ties["input"]: torch.arange(shapes["input"][0])}
    copied = total = 0
    for layer in child.layers.layers:
        step, old = child.steps[layer.name], known.get(layer.name)
        source = parent.steps[layer.name] if old is not None else None
        if not isinstance(step, Weighted):
            if ties[layer.name] not in chosen:
                chosen[ties[layer.name]] = _first_ones(layer, old)
            continue
        total += step.core.weight.numel()
        if (
            old is None
            or not isinstance(source, Weighted)
            or not _alike(layer, old, shapes, known_shapes)
        ):
            chosen.setdefault(ties[layer.name], torch.full(layer.shape[:1], _FRESH))
            continue
        group = ties[layer.name]
        if group not in chosen or bool((chosen[group] >= old.shape[0]).any()):
            chosen[group] = _most_important(source, layer.shape[0])
        into = chosen.get(ties[layer.inputs[0]])
        if into is None or bool((into >= known_shapes[old.inputs[0]][0]).any()):
            into = _first_ones_of(shapes[layer.inputs[0]][0], known_shapes[old.inputs[0]][0])
        copied += _copy(step, source, chosen[group], into, is_depthwise=layer.groups > 1)
    return copied / max(1, total)


def _tied(layers: Layers, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Return a name for every output, the same for outputs whose channels correspond."""
    parent = {name: name for name in shapes}

    def root(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for layer in layers.layers:
        is_depthwise = layer.groups > 1 and layer.groups == layer.shape[0]
        if layer.kind in _SAME_CHANNELS or is_depthwise:
            for name in layer.inputs:
                if shapes[name][0] == layer.shape[0]:
                    parent[root(name)] = root(layer.name)
    return {name: root(name) for name in shapes}


def _alike(
    layer: Layer,
    old: Layer,
    shapes: Mapping[str, tuple[int, ...]],
    known_shapes: Mapping[str, tuple[int, ...]],
) -> bool:
    if layer.kind != old.kind or layer.norm != old.norm:
        return False
    if layer.groups == old.groups == 1:
        return True
    depthwise = layer.groups == layer.shape[0] == shapes[layer.inputs[0]][0]
    was = old.groups == old.shape[0] == known_shapes[old.inputs[0]][0]
    same = (layer.groups, layer.shape[0]) == (old.groups, old.shape[0])
    return (depthwise and was) or (same and layer.kernel == old.kernel)


def _first_ones(layer: Layer, old: Layer | None) -> Tensor:
    return _first_ones_of(layer.shape[0], 0 if old is None else old.shape[0])


def _first_ones_of(count: int, old: int) -> Tensor:
    places = torch.arange(count)
    return torch.where(places < old, places, _FRESH)


def _most_important(source: Weighted, count: int) -> Tensor:
    weight = source.core.weight
    norm = source.norm
    size = norm.weight.abs() if norm is not None else weight.abs().flatten(1).sum(1)
    if count >= len(size):
        return _first_ones_of(count, len(size))
    return size.topk(count).indices.sort().values


def _copy(
    step: Weighted, source: Weighted, out: Tensor, into: Tensor, *, is_depthwise: bool
) -> int:
    new, old = step.core.weight, _resized(source.core.weight, step.core.weight.shape[2:])
    kept_out = out >= 0
    if is_depthwise or (old.shape[1] != len(into) and new.shape[1] != len(into)):
        kept_in = torch.ones(new.shape[1], dtype=torch.bool)
        into = torch.arange(new.shape[1]).clamp(max=old.shape[1] - 1)
    else:
        kept_in = into >= 0
    filled = old[out.clamp(min=0)][:, into.clamp(min=0)].clone()
    filled[:, ~kept_in] = 0.0
    new[kept_out] = filled[kept_out]
    pairs: list[tuple[Tensor | None, Tensor | None]] = [(step.core.bias, source.core.bias)]
    if step.norm is not None and source.norm is not None:
        pairs += [
            (step.norm.weight, source.norm.weight),
            (step.norm.bias, source.norm.bias),
            (step.norm.running_mean, source.norm.running_mean),
            (step.norm.running_var, source.norm.running_var),
        ]
    for mine, theirs in pairs:
        if mine is not None and theirs is not None:
            mine[kept_out] = theirs[out[kept_out]]
    return int(kept_out.sum() * kept_in.sum()) * int(new[0, 0].numel() if new.dim() > 2 else 1)


def _resized(weight: Tensor, size: torch.Size) -> Tensor:
    """Crop kernels around their centre, or put zeros around them."""
    for axis, length in enumerate(size, start=2):
        have = weight.shape[axis]
        if have > length:
            weight = weight.narrow(axis, (have - length) // 2, length)
        elif have < length:
            before = (length - have) // 2
            shape = list(weight.shape)
            shape[axis] = length
            wider = torch.zeros(shape)
            wider.narrow(axis, before, have).copy_(weight)
            weight = wider
    return weight
