"""What an operator costs cycles for: amounts of the terms of `hwkd.core.device.TERMS`.

The same function feeds the fit and the estimate, so what is fitted is what is predicted. Amounts
count what the kernels do, read from their published sources (CMSIS-NN `arm_convolve_s8`, int8
column buffers of two pixels, output channels in pairs, four products at a time); coefficients say
how long each takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from hwkd.core.graph import Op, Tensor

__all__ = ["CLASS_TERMS", "Work", "op_work"]

_CONV_TERMS = ("im2col", "remainder", "odd_output", "odd_pixel", "weight", "call")

CLASS_TERMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "pointwise": ("pointwise_mac", "conv_output", *_CONV_TERMS),
        "conv": ("conv_mac", "conv_output", *_CONV_TERMS),
        "depthwise": ("depthwise_mac", "depthwise_output", "weight", "call"),
        "dense": ("dense_mac", "dense_output", "weight", "call"),
        "matmul": ("matmul_mac", "dense_output", "call"),
        "elementwise": ("elementwise", "call"),
        "activation": ("activation", "call"),
        "pool": ("pool_tap", "pool_output", "call"),
        "softmax": ("softmax", "call"),
        "copy": ("copy", "call"),
    }
)


class Work(NamedTuple):
    """One operator as the latency model sees it.

    Attributes:
        op_class: key of `CLASS_TERMS`.
        amounts: one for each term of that class.
        size: multiply-accumulates, or elements where there are none.
        depth: contraction length of one output element; 1 where there is none.
    """

    op_class: str
    amounts: tuple[float, ...]
    size: float
    depth: float


def op_work(op: Op, tensors: Mapping[str, Tensor]) -> Work | None:
    """Return the amounts of an operator, or None for a kind that no term covers.

    Args:
        op: operator of a fused graph.
        tensors: shapes of its inputs and outputs, NCHW.
    """
    rule = _RULES.get(op.kind)
    return None if rule is None else rule(op, tensors)


def _conv(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    channels, pixels = _channels_and_pixels(tensors[op.outputs[0]].shape)
    outputs = channels * pixels
    macs = float(op.macs)
    depth = macs / outputs
    if op.groups > 1:
        return Work("depthwise", (macs, outputs, op.weights, 1.0), macs, depth)
    is_pointwise = op.kernel == (1, 1)
    amounts = (
        macs,
        outputs,
        0.0 if is_pointwise and op.stride == (1, 1) else depth * pixels,
        outputs * (depth % 4),
        depth * pixels * (channels % 2),
        depth * channels * (pixels % 2),
        op.weights,
        1.0,
    )
    return Work("pointwise" if is_pointwise else "conv", amounts, macs, depth)


def _dense(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    outputs = tensors[op.outputs[0]].elements
    if not op.weights:
        return _matmul(op, tensors)
    return Work("dense", (op.macs, outputs, op.weights, 1.0), op.macs, op.macs / outputs)


def _matmul(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    outputs = tensors[op.outputs[0]].elements
    return Work("matmul", (op.macs, outputs, 1.0), op.macs, op.macs / outputs)


def _pool(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    outputs = tensors[op.outputs[0]].elements
    taps = outputs * prod(op.kernel)
    return Work("pool", (taps, outputs, 1.0), taps, prod(op.kernel))


def _global_pool(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    outputs = tensors[op.outputs[0]].elements
    taps = tensors[op.inputs[0]].elements
    return Work("pool", (taps, outputs, 1.0), taps, taps / outputs)


def _per_element(op_class: str) -> Callable[[Op, Mapping[str, Tensor]], Work]:
    def rule(op: Op, tensors: Mapping[str, Tensor]) -> Work:
        elements = tensors[op.outputs[0]].elements
        return Work(op_class, (elements, 1.0), elements, 1.0)

    return rule


def _channels_and_pixels(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[1], prod(shape[2:])


_RULES: Mapping[str, Callable[[Op, Mapping[str, Tensor]], Work]] = MappingProxyType(
    {
        "Conv": _conv,
        "Gemm": _dense,
        "MatMul": _dense,
        "AveragePool": _pool,
        "MaxPool": _pool,
        "GlobalAveragePool": _global_pool,
        "ReduceMean": _global_pool,
        "Softmax": _per_element("softmax"),
        **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min"), _per_element("elementwise")),
        **dict.fromkeys(
            ("Relu", "Clip", "HardSwish", "HardSigmoid", "Sigmoid", "Tanh", "LeakyRelu"),
            _per_element("activation"),
        ),
        **dict.fromkeys(
            ("Transpose", "Pad", "Concat", "Slice", "Split", "Reshape", "Flatten", "Squeeze"),
            _per_element("copy"),
        ),
    }
)
