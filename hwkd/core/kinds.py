"""One row for each operator: layer kinds, activations, and what only model files hold.

The cost model, the ONNX writer, simulated rounding, the bench kit and the reports read the row;
none of them names a kind. A further kind of layer is a row here, a torch function
(`hwkd.nn.functions`), a class of work (`hwkd.cost.latency_terms`, mostly one that exists) and a
converter to a kernel (`hwkd.qgraph.convert`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, TypeAlias

from hwkd.core.registry import Registry
from hwkd.core.student import Layer

# Of an ONNX node: whole numbers are stored as int64, others as float32.
Operand: TypeAlias = float | tuple[int, ...] | tuple[float, ...]
Shape: TypeAlias = tuple[int, ...]
# Powers of two that a byte holds a digit of: what a lookup does takes no division.
DIGIT_BASES = tuple(2**bits for bits in range(1, 9))
Rounding: TypeAlias = Literal["scaled", "product", "real"]


def _none(layer: Layer) -> dict[str, Any]:
    del layer
    return {}


def _no_macs(layer: Layer, source: Shape) -> int:
    del layer, source
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What is to be known about one operator.

    Attributes:
        onnx: operator type in ONNX, the key of the row.
        layer: name of the layer kind; "" where no student has one.
        activation: name of the activation; "" where it is none.
        inputs: activations that a layer reads; 0 stands for two or more.
        operands: constants that the ONNX node of a layer reads, by name.
        constants: elements of a layer's operands that take room beside it in flash.
        weights: elements of a layer's weights, from it and the shape of its (first) input without
            batch; a layer with weights has one bias for each channel and takes a normalisation, but
            for a lookup.
        macs: multiply-accumulates of a layer for batch 1, from the same.
        rounding: how the int8 result of a layer follows from its int8 operands: "scaled" is a sum
            of integers times one factor; "product" the same of two operands; "real" computes with
            real values.
        keeps_scale: the int8 result of a layer has the scale of its input.
        int8_range: smallest and largest real value of the int8 result where kernels fix them,
            None where they follow from the data.
        is_lookup: copies rows of its weights, a table, that its input numbers: digits along the
            last axis, the first counts most, each a whole number modulo the layer's base, so that a
            byte is itself whether it is read with a sign or without. There is no bias.
        is_transposed: spreads each input over a window; its weights have input channels first in a
            file, and output channels first everywhere else.
        is_window: slides a window of `kernel` with `stride` and `pads` over positions.
        is_pooling: one that a runtime may compute inside the convolution before it.
        reads_channels: its input is channels and then positions; over time alone, of height 1.
        is_channelwise: channel i of the output depends on channel i of the input alone, and a
            channel of zeros stays constant.
        takes_activation: kernels clamp its result for free, in every runtime that hwkd knows.
        takes_scale_and_shift: a normalisation behind it becomes part of its weights.
        clamps: the limits that an activation puts on its input and does nothing else, else None.
        work: class of work in the latency model; "" where none is known.
    """

    onnx: str
    layer: str = ""
    activation: str = ""
    inputs: int = 1
    attributes: Callable[[Layer], Mapping[str, Any]] = _none
    operands: Callable[[Layer], Mapping[str, Operand]] = _none
    constants: Callable[[Layer], int] = lambda _: 0
    weights: Callable[[Layer, Shape], int] | None = None
    macs: Callable[[Layer, Shape], int] = _no_macs
    rounding: Rounding = "real"
    keeps_scale: bool = False
    int8_range: tuple[float, float] | None = None
    moves: bool = False
    is_lookup: bool = False
    is_transposed: bool = False
    is_window: bool = False
    is_pooling: bool = False
    reads_channels: bool = False
    is_channelwise: bool = False
    takes_activation: bool = False
    takes_scale_and_shift: bool = False
    clamps: tuple[float, float | None] | None = None
    work: str = ""

    @property
    def has_weights(self) -> bool:
        """A layer of this kind is trained itself."""
        return self.weights is not None


LAYER_KINDS: Registry[Kind] = Registry("layer kind")
ACTIVATIONS: Registry[Kind] = Registry("activation")
OPERATORS: Registry[Kind] = Registry("operator")


def kind_of(onnx: str) -> Kind:
    """Return the row of an ONNX operator; one that claims nothing for an operator without row."""
    return OPERATORS.find(onnx) or Kind(onnx=onnx)


def activated_name(layer: Layer) -> str:
    """Return the tensor that holds a layer's output, after its activation."""
    return layer.name if layer.activation == "none" else f"{layer.name}_act"


def is_rectifier(activation: str) -> bool:
    """Tell whether an activation only stops what is beyond a limit."""
    return activation in ACTIVATIONS and ACTIVATIONS.get(activation).clamps is not None


def add_kind(kind: Kind) -> None:
    """File a row under its ONNX operator and the names that it has as layer and as activation.

    Raises:
        ValueError: if one of them is taken.
    """
    OPERATORS.register(kind.onnx)(kind)
    if kind.layer:
        LAYER_KINDS.register(kind.layer)(kind)
    if kind.activation:
        ACTIVATIONS.register(kind.activation)(kind)


def _window(layer: Layer) -> dict[str, Any]:
    return {"kernel_shape": layer.kernel, "strides": layer.stride, "pads": layer.pads}


def _conv_attributes(layer: Layer) -> dict[str, Any]:
    # Files of students without dilation stay as they are, byte for byte.
    dilated = {} if layer.dilation == (1, 1) else {"dilations": layer.dilation}
    return {**_window(layer), "group": layer.groups, **dilated}


def _conv_weights(layer: Layer, source: Shape) -> int:
    return layer.shape[0] * (source[0] // layer.groups) * layer.kernel[0] * layer.kernel[1]


def _conv_macs(layer: Layer, source: Shape) -> int:
    return _conv_weights(layer, source) * layer.shape[1] * layer.shape[2]


def _transposed_macs(layer: Layer, source: Shape) -> int:
    return _conv_weights(layer, source) * source[1] * source[2]


def _resize_attributes(layer: Layer) -> dict[str, Any]:
    if layer.mode == "nearest":
        return {
            "mode": "nearest", "nearest_mode": "floor",
            "coordinate_transformation_mode": "asymmetric",
        }  # fmt: skip
    return {"mode": "linear", "coordinate_transformation_mode": layer.mode}


def _resize_macs(layer: Layer, source: Shape) -> int:
    """Between values, each output is a sum of four."""
    del source
    return 0 if layer.mode == "nearest" else 4 * prod(layer.shape)


def _linear_weights(layer: Layer, source: Shape) -> int:
    return layer.shape[0] * source[0]


def _table(layer: Layer, source: Shape) -> int:
    rows: int = layer.base ** source[-1]
    return rows * layer.shape[-1]


_LAYERS = (
    Kind(
        onnx="Conv", layer="conv", rounding="scaled", weights=_conv_weights, macs=_conv_macs,
        attributes=_conv_attributes,
        is_window=True, reads_channels=True, takes_activation=True, takes_scale_and_shift=True,
        work="conv",
    ),
    Kind(
        onnx="Gemm", layer="linear", rounding="scaled", weights=_linear_weights,
        macs=_linear_weights, attributes=lambda _: {"transB": 1}, takes_activation=True,
        takes_scale_and_shift=True, work="dense",
    ),
    Kind(onnx="Add", layer="add", inputs=2, takes_activation=True, work="elementwise"),
    Kind(
        onnx="Mul", layer="mul", inputs=2, rounding="product", takes_activation=True,
        work="elementwise",
    ),
    Kind(
        onnx="MatMul", layer="matmul", inputs=2, rounding="product",
        macs=lambda layer, source: prod(layer.shape) * source[-1], work="dense",
    ),
    Kind(
        onnx="GlobalAveragePool", layer="global_avg_pool", rounding="scaled", reads_channels=True,
        is_channelwise=True, work="mean",
    ),
    Kind(
        onnx="AveragePool", layer="avg_pool", rounding="scaled", keeps_scale=True,
        attributes=_window, is_window=True, is_pooling=True, reads_channels=True,
        is_channelwise=True, takes_activation=True, work="pool",
    ),
    Kind(
        onnx="MaxPool", layer="max_pool", keeps_scale=True, moves=True, attributes=_window,
        is_window=True, is_pooling=True, reads_channels=True, is_channelwise=True,
        takes_activation=True, work="pool",
    ),
    Kind(
        onnx="Reshape", layer="reshape", keeps_scale=True, moves=True,
        operands=lambda layer: {f"{layer.name}.shape": (-1, *layer.shape)}, work="copy",
    ),
    Kind(
        onnx="Transpose", layer="transpose", keeps_scale=True, moves=True,
        attributes=lambda layer: {"perm": (0, *(axis + 1 for axis in layer.permutation))},
        work="copy",
    ),
    # Pads asymmetric as they are stand for ONNX's `output_padding`, too.
    Kind(
        onnx="ConvTranspose", layer="conv_transpose", rounding="scaled", weights=_conv_weights,
        macs=_transposed_macs, attributes=_window, is_transposed=True, reads_channels=True,
        takes_activation=True, takes_scale_and_shift=True, work="transposed",
    ),
    # There is no region of interest.
    Kind(
        onnx="Resize", layer="upsample", keeps_scale=True, moves=True, is_channelwise=True,
        attributes=_resize_attributes, macs=_resize_macs,
        operands=lambda layer: {
            f"{layer.name}.roi": (), f"{layer.name}.scales": (1.0, 1.0, *map(float, layer.kernel)),
        },
        work="resize",
    ),
    # Its int8 operands have scales of their own, so that simulated rounding rescales each.
    Kind(
        onnx="Concat", layer="concat", inputs=0, moves=True,
        attributes=lambda layer: {"axis": layer.axis + 1}, work="copy",
    ),
    Kind(
        onnx="Slice", layer="slice", keeps_scale=True, moves=True,
        operands=lambda layer: {
            f"{layer.name}.starts": (layer.start,),
            f"{layer.name}.ends": (layer.start + layer.shape[layer.axis],),
            f"{layer.name}.axes": (layer.axis + 1,),
        },
        work="copy",
    ),
    # TensorFlow Lite's kernels write steps of 1/256 from -128 and no others.
    Kind(
        onnx="Softmax", layer="softmax", int8_range=(0.0, 255 / 256),
        attributes=lambda layer: {"axis": layer.axis + 1}, work="softmax",
    ),
    # Along the last axis. Scale and shift, which would follow, are weights of the layer behind it.
    Kind(
        onnx="LayerNormalization", layer="layer_norm",
        attributes=lambda _: {"axis": -1, "epsilon": 1e-5},
        operands=lambda layer: {f"{layer.name}.scale": (1.0,) * layer.shape[-1]},
        constants=lambda layer: layer.shape[-1], work="normalisation",
    ),
    # Its int8 result has the scale of its table.
    Kind(
        onnx="GatherND", layer="embedding", weights=_table, is_lookup=True, moves=True,
        work="lookup",
    ),
)  # fmt: skip
_ACTIVATIONS = (
    Kind(
        onnx="Relu", activation="relu", clamps=(0.0, None), is_channelwise=True, work="activation"
    ),
    Kind(
        onnx="Clip", activation="relu6", clamps=(0.0, 6.0), is_channelwise=True, work="activation",
        operands=lambda _: {"relu6.low": 0.0, "relu6.high": 6.0},
    ),
    Kind(
        onnx="HardSwish", layer="hard_swish", activation="hard_swish", is_channelwise=True,
        work="activation",
    ),
    # The slope is that of torch's hard sigmoid; ONNX defaults to another one.
    Kind(
        onnx="HardSigmoid", activation="hard_sigmoid", is_channelwise=True, work="activation",
        attributes=lambda _: {"alpha": 1.0 / 6.0, "beta": 0.5},
    ),
    Kind(
        onnx="Sigmoid", activation="sigmoid", int8_range=(0.0, 255 / 256), is_channelwise=True,
        work="activation",
    ),
)  # fmt: skip
_ONLY_IN_FILES = (
    *(Kind(onnx=name, is_channelwise=True, work="activation")
      for name in ("LeakyRelu", "Tanh")),
    Kind(onnx="PRelu", work="activation"),
    Kind(onnx="Sub", takes_activation=True, work="elementwise"),
    Kind(onnx="Div", work="elementwise"),
    # Nothing is scaled: int8 kernels compare as many values at a time as they move.
    *(Kind(onnx=name, work="copy") for name in ("Max", "Min")),
    *(Kind(onnx=name, reads_channels=True) for name in ("ConvInteger", "LpPool")),
    Kind(onnx="GlobalMaxPool", reads_channels=True, is_channelwise=True, work="mean"),
    *(Kind(onnx=name, work="mean") for name in ("ReduceMean", "ReduceMax")),
    Kind(onnx="Pad", moves=True, is_channelwise=True, work="copy"),
    *(Kind(onnx=name, moves=True, work="copy")
      for name in ("Flatten", "Split", "Squeeze", "Unsqueeze")),
    *(Kind(onnx=name, moves=True)
      for name in ("DepthToSpace", "Expand", "Gather", "GatherElements", "SpaceToDepth", "Tile")),
)  # fmt: skip

for _row in (*_LAYERS, *_ACTIVATIONS, *_ONLY_IN_FILES):
    add_kind(_row)
