"""Convolutions and products of matrices, with stored weights or of two tensors."""

from __future__ import annotations

import numpy as np
import onnx

from hwkd.qgraph.ir import Conv, ConvTranspose, FullyConnected, MatMul, QuantOp
from hwkd.qgraph.pooling import window_pads
from hwkd.qgraph.segment import Range, Segment
from hwkd.qgraph.weighted import read_bias, read_weights


def convert_conv(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a convolution over planes, shape [1, channels, height, width].

    Raises:
        ExportError: if it has a form without kernel.
    """
    weights = read_weights(node, segment, axis=0)
    rank = weights.values.ndim
    source = segment.tensor(node, 0)
    if rank != 4 or len(source.shape) != 4:
        raise segment.refuse(node, f"{rank - 2}-D convolution; 1-D and 2-D are supported")
    kernel = weights.values.shape[2:]
    return [
        Conv(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            weights=weights.values,
            weight_scales=weights.scales,
            weight_zeros=weights.zeros,
            bias=read_bias(node, segment, source, weights.scales),
            output_range=limits,
            stride=tuple(segment.attribute(node, "strides", (1, 1))),
            pads=window_pads(node, segment, source.shape[2:], kernel),
            dilation=tuple(segment.attribute(node, "dilations", (1, 1))),
            groups=segment.attribute(node, "group", 1),
        )
    ]


def convert_conv_transpose(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a transposed convolution over planes, of one group.

    Raises:
        ExportError: if it has a form without kernel.
    """
    weights = read_weights(node, segment, axis=1)
    source = segment.tensor(node, 0)
    if weights.values.ndim != 4 or len(source.shape) != 4:
        raise segment.refuse(node, "a transposed convolution of one or two dimensions is supported")
    for name, expected in (
        ("group", 1), ("auto_pad", "NOTSET"), ("dilations", [1, 1]), ("output_shape", None),
    ):  # fmt: skip
        if segment.attribute(node, name, expected) != expected:
            raise segment.refuse(node, f"{name} other than {expected or 'none'}")
    if weights.zeros is not None:
        raise segment.refuse(node, "a zero point of weights other than 0")
    pads = segment.attribute(node, "pads", (0, 0, 0, 0))
    return [
        ConvTranspose(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            weights=np.ascontiguousarray(weights.values.swapaxes(0, 1)),
            weight_scales=weights.scales,
            bias=read_bias(node, segment, source, weights.scales),
            output_range=limits,
            stride=tuple(segment.attribute(node, "strides", (1, 1))),
            cut=(pads[0], pads[1]),
        )
    ]


def convert_gemm(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a fully connected layer; its factors must be 1.

    Raises:
        ExportError: if it has a form without kernel.
    """
    for name, expected in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        if segment.attribute(node, name, expected) != expected:
            raise segment.refuse(node, f"{name} is not {expected}")
    transposed = bool(segment.attribute(node, "transB", 0))
    weights = read_weights(node, segment, axis=0 if transposed else 1)
    source = segment.tensor(node, 0)
    return [
        FullyConnected(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=segment.output.name,
            weights=np.ascontiguousarray(weights.values if transposed else weights.values.T),
            weight_scales=weights.scales,
            weight_zeros=weights.zeros,
            bias=read_bias(node, segment, source, weights.scales),
            output_range=limits,
        )
    ]


def convert_matmul(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a product with stored weights, or of two tensors.

    Raises:
        ExportError: if it has a form without kernel.
    """
    constant = segment.constants.get(node.input[1])
    if constant is not None and constant.values.ndim == 2:
        weights = read_weights(node, segment, axis=1)
        return [
            FullyConnected(
                name=node.name or node.output[0],
                inputs=(segment.tensor(node, 0).name,),
                output=segment.output.name,
                weights=np.ascontiguousarray(weights.values.T),
                weight_scales=weights.scales,
                weight_zeros=weights.zeros,
                bias=np.zeros(weights.scales.size, np.int32),
                output_range=limits,
            )
        ]
    left, right = segment.tensor(node, 0), segment.tensor(node, 1)
    if left.shape[:-2] != right.shape[:-2] or len(left.shape) < 2:
        raise segment.refuse(
            node, f"shapes {list(left.shape)} and {list(right.shape)}; leading axes must be equal"
        )
    segment.refuse_limits(node, limits)
    return [
        MatMul(
            name=node.name or node.output[0],
            inputs=(left.name, right.name),
            output=segment.output.name,
        )
    ]
