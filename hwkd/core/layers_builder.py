"""Writes a student down layer by layer and works out every shape on the way.

Search spaces use it so that none of them does shape arithmetic. It creates plain data and imports
no deep-learning library.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from hwkd.core.input_sizes import is_tiny, max_stages, stem_stride
from hwkd.core.kinds import DIGIT_BASES
from hwkd.core.layer_shapes import (
    Sides,
    broadcast_shape,
    conv_window,
    joined_shape,
    pool_window,
    transposed_window,
)
from hwkd.core.student import Activation, Interpolation, Layer, Layers

__all__ = [
    "OVERLAPPING",
    "PATCHES",
    "SPARSE",
    "LayersBuilder",
    "is_tiny",
    "max_stages",
    "stem_stride",
]

# How the first convolution reads the input.
OVERLAPPING, PATCHES, SPARSE = "overlapping", "patches", "sparse"
# Of a number that an embedding looks up; its table has a row for each combination.
_MOST_DIGITS = 4


class LayersBuilder:
    """A student under construction; every method appends one layer and returns its name.

    Inputs of shape (channels, time) become (channels, 1, time) in a first layer "to_image", so
    that everything after it is two-dimensional. Windows and strides of convolution and
    pooling are a number for both axes or (height, width); an axis of length 1 has nothing to slide
    over and always gets a window and stride of 1 there.

    Attributes:
        image: name of the layer (or "input") of shape (channels, height, width) to start from.
    """

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        """Start from an input shape without batch.

        Raises:
            ValueError: if it is neither (channels, time) nor (channels, height, width).
        """
        if len(input_shape) not in (2, 3) or min(input_shape) < 1:
            raise ValueError(
                f"input shape {input_shape}: expected (channels, time) or (channels, height, width)"
            )
        self._input_shape = input_shape
        self._shapes: dict[str, tuple[int, ...]] = {"input": input_shape}
        self._layers: list[Layer] = []
        self._taps: dict[str, str] = {}
        self.image = "input"
        if len(input_shape) == 2:
            channels, time = input_shape
            self.image = self.reshape("input", "to_image", (channels, 1, time))

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the output shape of a layer, without batch."""
        return self._shapes[name]

    def conv(
        self,
        source: str,
        name: str,
        channels: int,
        *,
        kernel: Sides = 1,
        stride: Sides = 1,
        dilation: Sides = 1,
        groups: int = 1,
        padded: bool | tuple[bool, bool] = True,
        norm: bool = True,
        activation: Activation = "none",
    ) -> str:
        """Append a convolution; its window may shrink, see `core.layer_shapes.conv_window`."""
        in_channels, height, width = self._image_shape(source)
        if in_channels % groups or channels % groups:
            raise ValueError(f"{name}: {in_channels} -> {channels} channels in {groups} groups")
        window = conv_window(name, height, width, kernel, stride, dilation, padded)
        return self._put(
            Layer(
                name=name, kind="conv", inputs=(source,), shape=(channels, *window.sizes),
                kernel=window.kernel, stride=window.stride, pads=window.pads,
                dilation=window.dilation, groups=groups, norm=norm, activation=activation,
            )
        )  # fmt: skip

    def conv_transpose(
        self,
        source: str,
        name: str,
        channels: int,
        *,
        kernel: int = 2,
        stride: int = 2,
        norm: bool = True,
        activation: Activation = "none",
    ) -> str:
        """Append what makes the map `stride` times as large, see `transposed_window`."""
        _, height, width = self._image_shape(source)
        window = transposed_window(name, height, width, kernel, stride)
        return self._put(
            Layer(
                name=name, kind="conv_transpose", inputs=(source,),
                shape=(channels, *window.sizes), kernel=window.kernel, stride=window.stride,
                pads=window.pads, norm=norm, activation=activation,
            )
        )  # fmt: skip

    def stem(
        self,
        channels: int,
        *,
        stride: int,
        window: str = OVERLAPPING,
        kernel: int = 3,
        activation: Activation = "none",
    ) -> str:
        """Append the first convolution, "stem".

        Args:
            window: "overlapping" reads every pixel at least once from an odd window with zeros
                around the image. "patches" cuts the image into squares of the stride instead:
                fewer multiplications, and no padded copy of the input, which is the largest
                tensor of many small networks (TFLM pads in an operator of its own). "sparse"
                reads the first 3x3 pixels of each patch: X-CUBE-AI needs 5 KiB for any window
                that is larger.
        """
        if window in (PATCHES, SPARSE) and stride > 1:
            return self.conv(
                self.image, "stem", channels,
                kernel=stride if window == PATCHES else min(3, stride),
                stride=stride, padded=False, activation=activation,
            )  # fmt: skip
        return self.conv(
            self.image, "stem", channels,
            kernel=max(kernel, stride + 1 - stride % 2), stride=stride, activation=activation,
        )  # fmt: skip

    def depthwise(
        self,
        source: str,
        name: str,
        *,
        kernel: Sides,
        stride: Sides = 1,
        dilation: Sides = 1,
        padded: bool | tuple[bool, bool] = True,
        activation: Activation = "none",
    ) -> str:
        """Append a normalised convolution that keeps the channels apart."""
        channels = self._shapes[source][0]
        return self.conv(
            source, name, channels,
            kernel=kernel, stride=stride, dilation=dilation, groups=channels, padded=padded,
            activation=activation,
        )  # fmt: skip

    def linear(
        self,
        source: str,
        name: str,
        features: int,
        *,
        norm: bool = False,
        activation: Activation = "none",
        frozen: bool = False,
    ) -> str:
        """Append a fully connected layer on a vector."""
        if len(self._shapes[source]) != 1:
            raise ValueError(
                f"{name}: {source} has shape {self._shapes[source]}, expected a vector"
            )
        return self._append(
            "linear", name, (source,), (features,), norm=norm, activation=activation, frozen=frozen
        )

    def add(self, first: str, second: str, name: str, *, activation: Activation = "none") -> str:
        """Append an element-wise sum; axes of length 1 are broadcast."""
        shape = self._broadcast(first, second)
        return self._append("add", name, (first, second), shape, activation=activation)

    def mul(self, first: str, second: str, name: str, *, activation: Activation = "none") -> str:
        """Append an element-wise product; axes of length 1 are broadcast."""
        shape = self._broadcast(first, second)
        return self._append("mul", name, (first, second), shape, activation=activation)

    def matmul(self, first: str, second: str, name: str) -> str:
        """Append a matrix product over the last two axes; the axes before them must be equal."""
        a, b = self._shapes[first], self._shapes[second]
        if len(a) < 2 or a[:-2] != b[:-2] or a[-1] != b[-2]:
            raise ValueError(f"{name}: cannot multiply {first} {a} by {second} {b}")
        return self._append("matmul", name, (first, second), (*a[:-1], b[-1]))

    def concat(
        self, sources: Sequence[str], name: str, *, axis: int = 0, activation: Activation = "none"
    ) -> str:
        """Append two or more tensors side by side along one axis, by default the channels.

        The axis counts from 0 without the batch, from the end below 0.
        """
        shapes = [self._shapes[source] for source in sources]
        axis = self._axis(sources[0], name, axis)
        shape = joined_shape(shapes, axis)
        if shape is None:
            raise ValueError(f"{name}: cannot put {shapes} side by side along axis {axis}")
        return self._append("concat", name, tuple(sources), shape, activation=activation, axis=axis)

    def softmax(self, source: str, name: str, *, axis: int = -1) -> str:
        """Append a softmax along one axis, counted without the batch, by default the last."""
        axis = self._axis(source, name, axis)
        return self._append("softmax", name, (source,), self._shapes[source], axis=axis)

    def layer_norm(self, source: str, name: str) -> str:
        """Append values of mean 0 and deviation 1 along the last axis; channels are brought there.

        There is no scale and no shift: a convolution or linear layer behind it holds them.
        """
        return self._append("layer_norm", name, (source,), self._shapes[source])

    def slice(self, source: str, name: str, *, start: int, stop: int, axis: int = 0) -> str:
        """Append a stretch along one axis, by default of the channels; counts as in `concat`."""
        axis, shape = self._axis(source, name, axis), self._shapes[source]
        if not 0 <= start < stop <= shape[axis]:
            raise ValueError(f"{name}: {source} {shape} has no {start} to {stop} on axis {axis}")
        cut = (*shape[:axis], stop - start, *shape[axis + 1 :])
        return self._put(
            Layer(name=name, kind="slice", inputs=(source,), shape=cut, axis=axis, start=start)
        )

    def embedding(self, source: str, name: str, features: int, *, base: int) -> str:
        """Append a row of a table for each number; the last axis holds its digits, at most four.

        The table has `base` to the power of the digits as many rows; see `Kind.is_lookup`.
        """
        *places, digits = self._shapes[source]
        if base not in DIGIT_BASES or not 1 <= digits <= _MOST_DIGITS or features < 1:
            raise ValueError(
                f"{name}: {digits} digits of base {base}, {features} features; expected 1 to "
                f"{_MOST_DIGITS} digits of a base among {', '.join(map(str, DIGIT_BASES))}"
            )
        shape = (*places, features)
        return self._put(
            Layer(name=name, kind="embedding", inputs=(source,), shape=shape, base=base)
        )

    def hard_swish(self, source: str, name: str) -> str:
        """Append a hard swish of its own, where no layer before it can take it as activation."""
        return self._append("hard_swish", name, (source,), self._shapes[source])

    def global_avg_pool(self, source: str, name: str) -> str:
        """Append the mean over height and width, shape (channels, 1, 1)."""
        channels = self._image_shape(source)[0]
        return self._append("global_avg_pool", name, (source,), (channels, 1, 1))

    def avg_pool(
        self, source: str, name: str, *, kernel: Sides, stride: Sides | None = None
    ) -> str:
        """Append average pooling without padding; the stride defaults to the window."""
        return self._pool("avg_pool", source, name, kernel, stride or kernel)

    def max_pool(
        self, source: str, name: str, *, kernel: Sides, stride: Sides | None = None
    ) -> str:
        """Append maximum pooling without padding; the stride defaults to the window."""
        return self._pool("max_pool", source, name, kernel, stride or kernel)

    def upsample(
        self, source: str, name: str, *, factor: Sides, mode: Interpolation = "nearest"
    ) -> str:
        """Append a map that is `factor` times as large, by repeated or interpolated values."""
        channels, height, width = self._image_shape(source)
        down, right = (factor, factor) if isinstance(factor, int) else factor
        shape = (channels, height * down, width * right)
        return self._put(
            Layer(
                name=name, kind="upsample", inputs=(source,), shape=shape, kernel=(down, right),
                mode=mode,
            )
        )  # fmt: skip

    def reshape(self, source: str, name: str, shape: tuple[int, ...]) -> str:
        """Append a change of shape, batch excluded."""
        if prod(shape) != prod(self._shapes[source]):
            raise ValueError(f"{name}: {source} {self._shapes[source]} has no shape {shape}")
        return self._append("reshape", name, (source,), shape)

    def transpose(self, source: str, name: str, permutation: Sequence[int]) -> str:
        """Append a change of axes; `permutation` counts from 0 without the batch."""
        axes = tuple(permutation)
        old = self._shapes[source]
        if sorted(axes) != list(range(len(old))):
            raise ValueError(f"{name}: {axes} is no permutation of the axes of {source} {old}")
        shape = tuple(old[axis] for axis in axes)
        return self._put(
            Layer(name=name, kind="transpose", inputs=(source,), shape=shape, permutation=axes)
        )

    def squeeze_excite(self, source: str, name: str, *, reduction: int = 4) -> str:
        """Append four layers that scale each channel by a gate computed from the channel means.

        Source:
            Hu et al. 2018, arXiv:1709.01507; the hard sigmoid is that of arXiv:1905.02244.
        """
        channels = self._shapes[source][0]
        hidden = max(4, channels // reduction)
        mean = self.global_avg_pool(source, f"{name}_mean")
        small = self.conv(mean, f"{name}_reduce", hidden, norm=False, activation="relu")
        gate = self.conv(small, f"{name}_gate", channels, norm=False, activation="hard_sigmoid")
        return self.mul(source, gate, f"{name}_scale")

    def classifier(self, source: str, num_outputs: int) -> str:
        """Append global pooling and the layer "logits"; taps the pooled vector as "embedding"."""
        mean = self.global_avg_pool(source, "pool")
        embedding = self.reshape(mean, "embedding", (self._shapes[mean][0],))
        self.tap("embedding", embedding)
        return self.linear(embedding, "logits", num_outputs)

    def tap(self, place: str, name: str) -> None:
        """Name a place ("stage1", "embedding") whose output distillation may read."""
        self._taps[place] = name

    def build(self, *outputs: str) -> Layers:
        """Return the finished description.

        Args:
            outputs: names of the layers that the network returns; the last layer without any.

        Raises:
            ValueError: if one of them is no layer or named twice.
        """
        names = {layer.name for layer in self._layers}
        if not names.issuperset(outputs) or len(set(outputs)) != len(outputs):
            raise ValueError(f"outputs {outputs}: expected names of different layers")
        return Layers(
            input_shape=self._input_shape,
            layers=tuple(self._layers),
            taps=dict(self._taps),
            outputs=outputs,
        )

    def _append(
        self,
        kind: str,
        name: str,
        inputs: tuple[str, ...],
        shape: tuple[int, ...],
        *,
        norm: bool = False,
        activation: Activation = "none",
        axis: int = 0,
        frozen: bool = False,
    ) -> str:
        return self._put(
            Layer(
                name=name, kind=kind, inputs=inputs, shape=shape, norm=norm,
                activation=activation, axis=axis, frozen=frozen,
            )
        )  # fmt: skip

    def _put(self, layer: Layer) -> str:
        name = layer.name
        if name in self._shapes:
            raise ValueError(f"two layers are called {name!r}")
        # Names become ONNX nodes, torch submodules and C identifiers.
        if not name.isidentifier():
            raise ValueError(f"layer name {name!r}: use letters, digits and underscores")
        self._shapes[name] = layer.shape
        self._layers.append(layer)
        return name

    def _axis(self, source: str, name: str, axis: int) -> int:
        rank = len(self._shapes[source])
        if not -rank <= axis < rank:
            raise ValueError(
                f"{name}: axis {axis} of {source} {self._shapes[source]}; expected {-rank} to "
                f"{rank - 1}"
            )
        return axis % rank

    def _image_shape(self, source: str) -> tuple[int, int, int]:
        shape = self._shapes[source]
        if len(shape) != 3:
            raise ValueError(f"{source} has shape {shape}, expected (channels, height, width)")
        return shape

    def _broadcast(self, first: str, second: str) -> tuple[int, ...]:
        a, b = self._shapes[first], self._shapes[second]
        shape = broadcast_shape(a, b)
        if shape is None:
            raise ValueError(f"{first} {a} and {second} {b} do not broadcast")
        return shape

    def _pool(self, kind: str, source: str, name: str, kernel: Sides, stride: Sides) -> str:
        channels, height, width = self._image_shape(source)
        window = pool_window(height, width, kernel, stride)
        return self._put(
            Layer(
                name=name, kind=kind, inputs=(source,), shape=(channels, *window.sizes),
                kernel=window.kernel, stride=window.stride,
            )
        )  # fmt: skip
