"""Makes the torch module of a student from its description; one builder for every search space."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod, sqrt
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from hwkd.core.head import OutputKind
from hwkd.core.kinds import LAYER_KINDS, is_rectifier
from hwkd.core.student import Activation, Layer, Layers
from hwkd.nn.functions import FUNCTIONS, activation_function

# A tensor, or a tuple of them where a network has several outputs.
Outputs: TypeAlias = Tensor | tuple[Tensor, ...]


def alone_or_all(outputs: tuple[Tensor, ...]) -> Outputs:
    """Return the one output itself, several as they are."""
    return outputs[0] if len(outputs) == 1 else outputs


def build_module(layers: Layers, seed: int, *, kind: OutputKind | None = None) -> StudentModule:
    """Build a student with random weights.

    Args:
        seed: decides the weights; torch's global generator is neither read nor moved.
        kind: of the outputs, where they do not begin at 0.

    Returns:
        A module in training mode on the CPU in the channels-last layout, which is the faster one
        for convolutions of few channels.
    """
    # The constructors of layers draw weights from the global generator; not on the meta device.
    with torch.device("meta"):
        module = StudentModule(layers)
    # Not `to_empty`: between devices that imports torch's symbolic shapes, .3 processor seconds.
    module._apply(lambda meta: torch.empty(meta.shape, dtype=meta.dtype))  # type: ignore[no-untyped-call]
    generator = torch.Generator().manual_seed(seed)
    for step in module.steps.values():
        if isinstance(step, Weighted | Embedding):
            step.reset(generator)
    last = module.steps[layers.heads[0]]
    if kind is not None and isinstance(last, Weighted):
        kind.begin(last.core.bias)
    # torch's stubs lack this overload of `to`.
    for weight in module.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.to(memory_format=torch.channels_last)
    return module


class StudentModule(nn.Module):
    """A student network; maps inputs [batch, *input_shape] to [batch, *shape of the last layer].

    A network that names several outputs returns a tuple of them.

    Attributes:
        steps: one submodule for each layer, under the layer's name.
    """

    def __init__(self, layers: Layers) -> None:
        """Create the submodules; `build_module` does so and sets the weights by a seed."""
        super().__init__()
        self.layers = layers
        shapes = {"input": layers.input_shape}
        self.steps = nn.ModuleDict()
        for layer in layers.layers:
            self.steps[layer.name] = _step(layer, shapes[layer.inputs[0]])
            self.steps[layer.name].requires_grad_(not layer.frozen)
            shapes[layer.name] = layer.shape
        self._last_uses = _last_uses(layers)

    def begin_with(self, weights: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> None:
        """Take values, layer -> torch's name of a parameter -> value; others stay as they are.

        Names that a layer does not have are passed over.
        """
        for name, values in weights.items():
            state = self.steps[name].state_dict()
            for key, value in values.items():
                if key in state:
                    state[key].copy_(torch.from_numpy(value.copy()))

    def class_rows(self) -> Tensor | None:
        """Return the weights of each output, shape [outputs, dim]; None without a classifier."""
        step = self.steps[self.layers.layers[-1].name]
        return step.core.weight.flatten(1) if isinstance(step, Weighted) else None

    def forward(self, x: Tensor) -> Outputs:
        """Return the outputs, each of shape [batch, *layer.shape]."""
        return self.forward_taps(x, ())[0]

    def forward_taps(self, x: Tensor, names: Collection[str]) -> tuple[Outputs, dict[str, Tensor]]:
        """Return the outputs of the network and those of named layers, with their gradients.

        Args:
            x: shape [batch, *input_shape].
            names: layer names, usually values of `layers.taps`.

        Returns:
            Outputs and name -> output after the activation, shape [batch, *layer.shape].

        Raises:
            KeyError: if a name is no layer.
        """
        kept = self._computed(x, {*names, *self.layers.heads})
        heads = tuple(kept[name] for name in self.layers.heads)
        return alone_or_all(heads), {name: kept[name] for name in names}

    def before_repeats(self, x: Tensor) -> Tensor | None:
        """Return the output, small as it is before a last layer repeats it in squares.

        None where the last layer does something else, or there are several outputs.
        """
        last = self.layers.layers[-1]
        if last.kind != "upsample" or last.mode != "nearest" or self.layers.heads != (last.name,):
            return None
        (before,) = last.inputs
        return self._computed(x, {before})[before]

    def _computed(self, x: Tensor, wanted: Collection[str]) -> dict[str, Tensor]:
        """Run the layers up to the last of those that are wanted."""
        values = {"input": x}
        kept: dict[str, Tensor] = {}
        for layer, step in zip(self.layers.layers, self.steps.values(), strict=True):
            inputs = [values[name] for name in layer.inputs]
            values[layer.name] = step(*inputs)
            if layer.name in wanted:
                kept[layer.name] = values[layer.name]
                if len(kept) == len(wanted):
                    break
            # Without gradients this frees memory as early as the device would.
            for name in self._last_uses[layer.name]:
                del values[name]
        return kept


class Weighted(nn.Module):
    """A convolution or linear layer with its normalisation and activation.

    Attributes:
        core: `nn.Conv2d` or `nn.Linear`; has a bias only when no normalisation follows.
        norm: batch normalisation or None.
    """

    def __init__(
        self,
        core: nn.Conv2d | nn.Linear | TransposedConv,
        norm: nn.BatchNorm2d | nn.BatchNorm1d | None,
        activation: Activation,
        *,
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        picks: tuple[int, int] = (1, 1),
    ) -> None:
        """Combine the parts.

        Args:
            norm: follows it, or None.
            padding: zeros (left, right, top, bottom) that `core` cannot add itself.
            picks: take every n-th row and column before `core`.
        """
        super().__init__()
        self.core = core
        self.norm = norm
        # In place: neither normalisation nor convolution needs its own output for gradients.
        self._activation = activation_function(activation, in_place=True)
        self._is_rectified = is_rectifier(activation)
        self._padding = padding if any(padding) else None
        self._picks = picks if picks != (1, 1) else None

    def forward(self, x: Tensor) -> Tensor:
        """Apply padding, weights, normalisation and activation."""
        if self._padding is not None:
            x = F.pad(x, self._padding)
        if self._picks is not None:
            x = x[:, :, :: self._picks[0], :: self._picks[1]]
        x = self.core(x)
        if self.norm is not None:
            x = self.norm(x)
        return self._activation(x)

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw new weights: He's normal with fan-in, unit gain where no rectifier follows."""
        weight = self.core.weight
        gain = sqrt(2.0) if self._is_rectified else 1.0
        weight.normal_(0.0, gain / sqrt(prod(weight.shape[1:])), generator=generator)
        if self.core.bias is not None:
            self.core.bias.zero_()
        if self.norm is not None:
            self.norm.reset_parameters()


class TransposedConv(nn.Module):
    """Spreads each input over a window of outputs and cuts off what lies beyond the output.

    Attributes:
        weight: shape [out channels, in channels, height, width], as a convolution's.
        bias: shape [out channels], or None.
    """

    def __init__(self, layer: Layer, in_channels: int) -> None:
        """Create the parameters; a normalisation behind it replaces the bias."""
        super().__init__()
        out = layer.shape[0]
        self.weight = nn.Parameter(torch.empty(out, in_channels, *layer.kernel))
        self.bias = None if layer.norm else nn.Parameter(torch.empty(out))
        self._stride = layer.stride
        top, left = layer.pads[:2]
        self._rows = slice(top, top + layer.shape[1])
        self._columns = slice(left, left + layer.shape[2])

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs, shape [batch, out channels, height, width]."""
        whole = F.conv_transpose2d(x, self.weight.transpose(0, 1), self.bias, self._stride)
        return whole[:, :, self._rows, self._columns]


class Embedding(nn.Module):
    """Rows of a table that whole numbers name, digit by digit; see `Kind.is_lookup`.

    Attributes:
        core: holds the table, shape [rows, features].
    """

    def __init__(self, layer: Layer, digits: int) -> None:
        """Create the table."""
        super().__init__()
        self.core = nn.Embedding(layer.base**digits, layer.shape[-1])
        self._base = layer.base

    def forward(self, x: Tensor) -> Tensor:
        """Return rows, shape [batch, ..., features], of digits, shape [batch, ..., digits]."""
        digits = torch.remainder(x.long(), self._base)
        rows = digits[..., 0]
        for place in range(1, digits.shape[-1]):
            rows = rows * self._base + digits[..., place]
        found: Tensor = self.core(rows)
        return found

    @torch.no_grad()
    def reset(self, generator: torch.Generator) -> None:
        """Draw new rows of about unit length."""
        weight = self.core.weight
        weight.normal_(0.0, 1.0 / sqrt(weight.shape[1]), generator=generator)


class _Unweighted(nn.Module):
    """A layer without parameters."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self._compute = FUNCTIONS.get(layer.kind)(layer)
        # The result of another kind may be a view, whose base other layers may read, or what its
        # own gradient is computed from.
        in_place = LAYER_KINDS.get(layer.kind).takes_activation
        self._activation = activation_function(layer.activation, in_place=in_place)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self._activation(self._compute(*inputs))


def _step(layer: Layer, input_shape: tuple[int, ...]) -> nn.Module:
    if layer.kind == "conv":
        return _conv(layer, input_shape[0])
    if layer.kind == "conv_transpose":
        norm2d = nn.BatchNorm2d(layer.shape[0]) if layer.norm else None
        return Weighted(TransposedConv(layer, input_shape[0]), norm2d, layer.activation)
    if layer.kind == "linear":
        core = nn.Linear(input_shape[0], layer.shape[0], bias=not layer.norm)
        norm = nn.BatchNorm1d(layer.shape[0]) if layer.norm else None
        return Weighted(core, norm, layer.activation)
    if layer.kind == "embedding":
        return Embedding(layer, input_shape[-1])
    return _Unweighted(layer)


def _conv(layer: Layer, in_channels: int) -> Weighted:
    top, left, bottom, right = layer.pads
    is_symmetric = top == bottom and left == right
    # A 1x1 convolution of fewer than 16 channels with a stride writes past its memory when its
    # gradient is computed in the channels-last layout (oneDNN issue 6035, in torch 2.13). Picking
    # the positions first is the same function; delete `picks` when torch ships the fix.
    picks = layer.stride if layer.kernel == (1, 1) and in_channels < 16 else (1, 1)
    core = nn.Conv2d(
        in_channels,
        layer.shape[0],
        layer.kernel,
        layer.stride if picks == (1, 1) else (1, 1),
        padding=(top, left) if is_symmetric else 0,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=not layer.norm,
    )
    norm = nn.BatchNorm2d(layer.shape[0]) if layer.norm else None
    padding = (0, 0, 0, 0) if is_symmetric else (left, right, top, bottom)
    return Weighted(core, norm, layer.activation, padding=padding, picks=picks)


def _last_uses(layers: Layers) -> dict[str, tuple[str, ...]]:
    """Map each layer to the values that nothing after it reads."""
    reader = {name: layer.name for layer in layers.layers for name in layer.inputs}
    return {
        layer.name: tuple(name for name, last in reader.items() if last == layer.name)
        for layer in layers.layers
    }
