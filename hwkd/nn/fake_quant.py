"""A student that computes in float what its int8 file computes in integers, and can be trained.

Every tensor that the exporter quantises is held as whole steps of its scale, every weight as whole
steps of its channel's scale: convolutions add up the same integers as the int8 kernels, and the
sums are rescaled and rounded in the same order. Rounding passes gradients straight through, so
weights and ranges learn what rounding does to them.

Sources:
    Jacob et al. 2018, arXiv:1712.05877 (training with simulated quantisation); Bengio et al. 2013,
    arXiv:1308.3432 (straight-through gradients); Bhalgat et al. 2020, arXiv:2004.09576 (learned
    scale and offset).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from hwkd.core.kinds import ACTIVATIONS, LAYER_KINDS, activated_name, is_rectifier
from hwkd.core.student import Activation, Layer, Layers
from hwkd.nn.build import Outputs, StudentModule, alone_or_all
from hwkd.nn.lines import drawn_larger

Range: TypeAlias = tuple[float, float]

_STEPS = 255
_WEIGHT_STEPS = 127
# The exporter widens a channel's scale until its bias fits into 32 bits, with this much room.
_BIAS_STEPS = (2**32 - 2) / (2 * 1.0001)


def round_straight_through(x: Tensor) -> Tensor:
    """Round half to even; the gradient passes as if nothing had been rounded."""
    return x + (x.round() - x).detach()


class _Clipped(torch.autograd.Function):
    """Rounds straight through and keeps what is inside `_STEPS` steps from the first.

    What lies outside moves the ends, and what lies on an end both, by half, as the gradients of
    `torch.minimum` and `torch.maximum` do, for less than half of the time of these.
    """

    @staticmethod
    def forward(ctx: Any, unrounded: Tensor, first: Tensor) -> Tensor:
        steps = unrounded.round()
        ctx.save_for_backward(steps, first)
        return steps.clamp(first, first + _STEPS)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        (gradient,), (steps, first) = gradients, ctx.saved_tensors
        above = steps - first
        # 0 outside, 1 on an end, 2 inside, of either end.
        inside = above.sign().add_(1.0)
        inside.mul_(above.sub_(_STEPS).sign_().neg_().add_(1.0))
        moved = inside.mul_(0.25).mul_(gradient)
        return moved, (gradient - moved).sum()


_clip: Callable[[Tensor, Tensor], Tensor] = _Clipped.apply


@dataclass(frozen=True, slots=True)
class _Value:
    """A quantised tensor: `steps` are whole numbers, `steps * scale` the real values.

    The int8 file stores `steps + zero_point`.
    """

    steps: Tensor
    scale: Tensor
    zero_point: Tensor

    @property
    def real(self) -> Tensor:
        return self.steps * self.scale


class FakeQuantStudent(nn.Module):
    """The int8 form of a student; maps inputs to outputs as its `StudentModule` does.

    All parameters are relative to where training starts: weights to their channel's root mean
    square, biases to the range of the layer's output, ranges to themselves in the logarithm. One
    learning rate therefore fits all, and 0.001 changes each by about 0.1% a step.

    Attributes:
        steps: one identity for each tapped layer, under the layer's name, that sees the layer's
            real values: taps of a `StudentModule` read them at the same paths.
    """

    highest: Tensor

    def __init__(
        self,
        layers: Layers,
        weights: Mapping[str, tuple[Tensor, Tensor]],
        ranges: Mapping[str, Range],
    ) -> None:
        """Start from folded weights and calibrated ranges.

        Args:
            weights: layer -> (weight, bias) with the normalisation multiplied in; a lookup's bias
                is empty.
            ranges: ONNX tensor -> (low, high), for "input" and all that `activated_name` names, and
                for the layer itself where a hard-swish or hard-sigmoid follows.
        """
        super().__init__()
        self.layers = layers
        bare = tuple(replace(layer, norm=False, activation="none") for layer in layers.layers)
        # Only their geometry is used, so they hold no memory and are no part of this module; the
        # weights come from `self.weighted`.
        with torch.device("meta"):
            geometry = StudentModule(replace(layers, layers=bare, taps={}))
        self._geometry = dict(geometry.steps.items())
        self.steps = nn.ModuleDict({name: nn.Identity() for name in set(layers.taps.values())})
        is_whole = "input" in made_whole(layers)
        self.quantisers = nn.ModuleDict(
            {"input": _Quantiser(ranges["input"], highest=None, is_fixed=is_whole)}
        )
        self.weighted = nn.ModuleDict()
        for layer in layers.layers:
            self._add(layer, weights, ranges)
        highest = torch.tensor([part.highest for part in self._quantisers()])
        self.register_buffer("highest", highest, persistent=False)

    def _add(
        self,
        layer: Layer,
        weights: Mapping[str, tuple[Tensor, Tensor]],
        ranges: Mapping[str, Range],
    ) -> None:
        name = activated_name(layer)
        kind = LAYER_KINDS.get(layer.kind)
        if kind.keeps_scale and layer.activation == "none":
            return
        if _is_rounded_before(layer) and not kind.keeps_scale:
            is_fixed = kind.int8_range is not None
            self.quantisers[layer.name] = _Quantiser(
                ranges[layer.name], highest=None, is_fixed=is_fixed
            )
        applied = kind if layer.activation == "none" else ACTIVATIONS.get(layer.activation)
        clamps = applied.clamps
        self.quantisers[name] = _Quantiser(
            ranges[name],
            highest=clamps[1] if clamps else None,
            is_fixed=applied.int8_range is not None,
        )
        if layer.name in weights:
            low, high = ranges[name]
            self.weighted[layer.name] = _Weights(*weights[layer.name], bias_unit=high - low)

    def forward(self, x: Tensor) -> Outputs:
        """Return the outputs as the int8 file gives them; see `StudentModule`."""
        grids = self.grids()
        values = {"input": grids["input"].rounded(x)}
        for layer in self.layers.layers:
            operands = [values[name] for name in layer.inputs]
            values[layer.name] = self._output(layer, operands, grids)
            if layer.name in self.steps:
                self.steps[layer.name](values[layer.name].real)
        return alone_or_all(tuple(values[name].real for name in self.layers.heads))

    @torch.no_grad()
    def encodings(self) -> dict[str, tuple[float, int]]:
        """Return (scale, zero point) of every quantised tensor, by its name in ONNX."""
        return {
            name: (float(grid.scale), -128 - int(grid.first)) for name, grid in self.grids().items()
        }

    @torch.no_grad()
    def folded_weights(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Return (weight, bias) of every layer that has them, float32 and not rounded."""
        return {name: self._weights(name).real() for name in self.weighted}

    def grids(self) -> dict[str, _Grid]:
        """Return the grid of every quantised tensor; together, since each is a few numbers."""
        parts = self._quantisers()
        low, high = (
            torch.stack([part.low for part in parts]),
            torch.stack([part.high for part in parts]),
        )
        gains = torch.stack([part.log_gains for part in parts]).exp()
        low, high = low * gains[:, 0], (high * gains[:, 1]).clamp(max=self.highest)
        span = high - low
        scale = torch.where(span > 0, span / _STEPS, torch.ones_like(span))
        firsts = round_straight_through(low / scale)
        ends = zip(scale.unbind(), firsts.unbind(), strict=True)
        return {name: _Grid(*each) for name, each in zip(self.quantisers, ends, strict=True)}

    def _output(self, layer: Layer, operands: list[_Value], grids: Mapping[str, _Grid]) -> _Value:
        moved: _Value | None = None
        if LAYER_KINDS.get(layer.kind).keeps_scale:
            moved = self._moved(layer, operands[0])
            if layer.activation == "none":
                return moved
        to = grids[activated_name(layer)]
        if not _is_rounded_before(layer):
            # The ends of its range do the work of a rectifier.
            return self._computed(layer, operands, to) if moved is None else to.rounded(moved.real)
        value = moved or self._computed(layer, operands, grids[layer.name])
        return to.rounded(_activated(value.real, layer.activation))

    def _moved(self, layer: Layer, source: _Value) -> _Value:
        """Return a layer's result on the grid of what it reads."""
        if layer.mode == "nearest":
            steps = self._geometry[layer.name](source.steps)
        else:
            steps = drawn_larger(source.real, layer.kernel, layer.mode) / source.scale
        return replace(source, steps=round_straight_through(steps))

    def _computed(self, layer: Layer, operands: list[_Value], to: _Grid) -> _Value:
        """Return a layer's result on a grid."""
        scale, first = to.scale, operands[0]
        step = self._geometry[layer.name]
        if LAYER_KINDS.get(layer.kind).is_lookup:
            table, _ = self._weights(layer.name).real()
            return to.rounded(
                torch.func.functional_call(step, {"core.weight": table}, (first.real,))
            )
        if layer.name in self.weighted:
            weight, bias, sum_scale = self._weights(layer.name).quantised(first.scale)
            sums = torch.func.functional_call(
                step, {"core.weight": weight, "core.bias": bias}, (first.steps,)
            )
            return to.clipped(sums * _per_channel(sum_scale / scale, sums))
        if layer.kind in _EXACT:
            return to.clipped(_EXACT[layer.kind](operands, to))
        rounding = LAYER_KINDS.get(layer.kind).rounding
        if rounding == "real":
            return to.rounded(step(*(operand.real for operand in operands)))
        ratio = first.scale / scale
        if rounding == "product":
            ratio = first.scale * operands[1].scale / scale
        return to.clipped(step(*(operand.steps for operand in operands)) * ratio)

    def _quantisers(self) -> list[_Quantiser]:
        return [part for part in self.quantisers.values() if isinstance(part, _Quantiser)]

    def _weights(self, name: str) -> _Weights:
        found = self.weighted[name]
        assert isinstance(found, _Weights)
        return found


def made_whole(layers: Layers) -> set[str]:
    """Return what lookups read digits from, as it is or moved: layers, or "input"."""
    found: set[str] = set()
    for layer in reversed(layers.layers):
        kind = LAYER_KINDS.get(layer.kind)
        if kind.is_lookup or (kind.keeps_scale and layer.name in found):
            found.add(layer.inputs[0])
    return found


@dataclass(frozen=True, slots=True)
class _Grid:
    """256 steps between two ends: `first` is the int8 value -128, counted from the real 0."""

    scale: Tensor
    first: Tensor

    def rounded(self, x: Tensor) -> _Value:
        """Quantise real values."""
        return self.clipped(x / self.scale)

    def clipped(self, unrounded: Tensor) -> _Value:
        """Round numbers of steps and keep those inside the range."""
        return _Value(_clip(unrounded, self.first), self.scale, -128 - self.first)


class _Quantiser(nn.Module):
    """The two ends of a grid, learned or fixed; one of them may be 0."""

    low: Tensor
    high: Tensor
    log_gains: Tensor

    def __init__(self, ends: Range, *, highest: float | None, is_fixed: bool) -> None:
        super().__init__()
        low, high = min(ends[0], 0.0), max(ends[1], 0.0)
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("high", torch.tensor(high))
        # Logarithms of how far the ends have moved: an end keeps its sign, and 0 stays 0.
        if is_fixed:
            self.register_buffer("log_gains", torch.zeros(2))
        else:
            self.log_gains = nn.Parameter(torch.zeros(2))
        # What a rectifier stops the higher end at.
        self.highest = inf if highest is None else highest


class _Weights(nn.Module):
    """Weight and bias of a layer, kept in float, used as integers."""

    weight_unit: Tensor
    bias_unit: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, *, bias_unit: float) -> None:
        super().__init__()
        unit = weight.flatten(1).square().mean(1).sqrt()
        unit = unit.reshape(-1, *[1] * (weight.dim() - 1))
        self.register_buffer("weight_unit", unit)
        self.register_buffer("bias_unit", torch.tensor(bias_unit if bias_unit > 0 else 1.0))
        # A channel without weights keeps none.
        self.weight = nn.Parameter(torch.where(unit > 0, weight / unit, torch.zeros_like(weight)))
        self.bias = nn.Parameter(bias / self.bias_unit)

    def real(self) -> tuple[Tensor, Tensor]:
        return self.weight * self.weight_unit, self.bias * self.bias_unit

    def quantised(self, input_scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return integer weight and bias, and the real value of one step of their sums."""
        weight, bias = self.real()
        largest = weight.detach().abs().flatten(1).amax(1)
        scale = torch.where(largest > 0, largest / _WEIGHT_STEPS, torch.ones_like(largest))
        scale = torch.maximum(scale, bias.detach().abs() / _BIAS_STEPS / input_scale.detach())
        sum_scale = input_scale * scale
        steps = round_straight_through(weight / scale.reshape(-1, *[1] * (weight.dim() - 1)))
        # The exporter divides in double precision; float32 rounds some large biases otherwise.
        bias_steps = round_straight_through(bias.double() / sum_scale.double()).float()
        return steps, bias_steps, sum_scale


def _is_rounded_before(layer: Layer) -> bool:
    """Tell whether the file rounds a layer's result once before its activation, too."""
    return layer.activation != "none" and not is_rectifier(layer.activation)


def _activated(before: Tensor, activation: Activation) -> Tensor:
    """Return what an activation that is no rectifier gives, in ONNX Runtime's order."""
    if activation == "sigmoid":
        return torch.sigmoid(before)
    # torch's own differs in the last bit.
    gate = (before * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0)
    return before * gate if activation == "hard_swish" else gate


def _added(operands: Sequence[_Value], to: _Grid) -> Tensor:
    """Return the sum of two tensors in whole steps of `to`, not yet clipped.

    Sums of two 8-bit tensors often lie half-way between two steps, so the last bit decides. ONNX
    Runtime adds the stored values with fused multiply-adds and takes off the zero points first.
    """
    a, b = operands
    scale, first = to.scale, to.first
    ratio_a, ratio_b = a.scale / scale, b.scale / scale
    total = a.steps * ratio_a + b.steps * ratio_b
    with torch.no_grad():
        zero_point = -128 - first
        offset = zero_point - _fused(ratio_a, a.zero_point, ratio_b * b.zero_point)
        inner = _fused(b.steps + b.zero_point, ratio_b, offset)
        # Rounded with the zero point in it: which neighbour of a half is even depends on it.
        exact = _fused(a.steps + a.zero_point, ratio_a, inner).round() - zero_point
    return total + (exact - total).detach()


def _fused(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Return x * y + z rounded to float32 once."""
    return (x.double() * y.double() + z.double()).float()


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(1, -1, *[1] * (like.dim() - 2))


# Kinds whose last bit depends on the order in which ONNX Runtime computes.
_EXACT: Mapping[str, Callable[[Sequence[_Value], _Grid], Tensor]] = {"add": _added}
