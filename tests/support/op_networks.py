"""Small networks, each around one operator or habit of the search spaces; weights are random."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.lib.c_networks import NetworkBuilder


def odd_convolutions() -> NetworkBuilder:
    net = NetworkBuilder((3, 13, 11))
    net.conv(7, (3, 3))
    net.conv(5, (5, 2), stride=(2, 1), pads=(1, 0, 2, 1))
    net.conv(9, (1, 1))
    net.conv(6, (2, 3), dilation=(2, 1))
    net.conv(3, (1, 1), stride=(2, 2), pads=(0, 0, 0, 0))
    net.classifier(4)
    return net


def patch_stem() -> NetworkBuilder:
    """Squares of the stride without padding; the last rows and columns are in none of them."""
    net = NetworkBuilder((3, 22, 19))
    net.conv(8, (4, 4), stride=(4, 4), pads=(0, 0, 0, 0))
    net.conv(6, (3, 3), stride=(4, 4), pads=(0, 0, 0, 0))
    net.classifier(3)
    return net


def depthwise_shapes() -> NetworkBuilder:
    net = NetworkBuilder((6, 15, 17))
    net.depthwise((3, 3))
    net.depthwise((5, 5), stride=(2, 2))
    net.conv(11)
    net.depthwise((3, 3), stride=(2, 2))
    net.depthwise((2, 4))
    net.depthwise((7, 1))
    net.depthwise((3, 3), stride=(1, 2), pads=(0, 1, 2, 1))
    net.classifier(3)
    return net


def grouped_convolutions() -> NetworkBuilder:
    net = NetworkBuilder((6, 9, 9))
    net.conv(12, (3, 3), groups=3)
    net.conv(24, (3, 3), groups=12)
    net.conv(24, (3, 3), groups=24, dilation=(2, 2))
    net.classifier(3)
    return net


def one_dimensional() -> NetworkBuilder:
    net = NetworkBuilder((4, 61))
    net.reshape(1, 4, 1, 61)
    net.conv(10, (1, 9), stride=(1, 2))
    net.depthwise((1, 7))
    net.conv(12, relu="Relu6")
    net.pool("MaxPool", (1, 2))
    net.conv(6, (1, 3), relu="HardSwish")
    net.classifier(5)
    return net


def residual() -> NetworkBuilder:
    net = NetworkBuilder((3, 8, 8))
    entry = net.conv(8, (3, 3))
    main = net.conv(8, (3, 3), relu="")
    net.add(main, entry, "Relu")
    middle = net.last
    net.conv(8, relu="HardSwish")
    net.add(net.last, middle)
    net.classifier(3)
    return net


def squeeze_excite() -> NetworkBuilder:
    net = NetworkBuilder((3, 10, 6))
    features = net.conv(12, (3, 3), relu="HardSwish")
    net.global_average()
    net.conv(4, (1, 1))
    gate = net.conv(12, (1, 1), relu="HardSigmoid")
    net.mul(features, gate)
    net.conv(5)
    net.classifier(3)
    return net


def row_sum() -> NetworkBuilder:
    """What one row holds is added to every row, and scales it."""
    net = NetworkBuilder((2, 9, 14))
    whole = net.conv(6, (3, 3), relu="")
    row = net.conv(6, (9, 3), pads=(0, 1, 0, 1))
    net.add(row, whole, "Relu")
    net.mul(net.last, row)
    net.conv(5)
    net.classifier(3)
    return net


def activations() -> NetworkBuilder:
    net = NetworkBuilder((2, 6, 6))
    for kind in ("Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Relu6", "LeakyRelu", "Elu"):
        net.conv(6, (3, 3), relu=kind)
    net.classifier(3)
    return net


def pooling() -> NetworkBuilder:
    net = NetworkBuilder((5, 14, 14))
    net.conv(6, (3, 3))
    net.pool("MaxPool", (3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    net.pool("AveragePool", (3, 3), stride=(1, 1), pads=(1, 1, 1, 1))
    net.pool("AveragePool", (2, 2), stride=(2, 2), pads=(1, 0, 1, 0), counts_pads=True)
    net.pool("AveragePool", (2, 2))
    net.reshape(1, 6 * 2 * 1)
    net.linear(7)
    return net


def flatten_before_linear() -> NetworkBuilder:
    net = NetworkBuilder((3, 5, 4))
    net.conv(6, (3, 3))
    net.reshape(1, 6 * 5 * 4)
    net.linear(20, "Relu")
    net.linear(5)
    return net


def branches() -> NetworkBuilder:
    net = NetworkBuilder((3, 8, 8))
    entry = net.conv(6, (3, 3))
    left = net.conv(5, relu="Relu", source=entry)
    right = net.conv(7, (3, 3), relu="HardSwish", source=entry)
    net.node("Concat", [left, right, entry], (1, 18, 8, 8), axis=1)
    net.pad((0, 0, 1, 2, 0, 0, 2, 1))
    net.conv(4, (3, 3), pads=(0, 0, 0, 0))
    net.classifier(3)
    return net


def softmax_output() -> NetworkBuilder:
    net = NetworkBuilder((3, 6, 6))
    net.conv(6, (3, 3))
    net.classifier(9)
    net.node("Softmax", [net.last], (1, 9), axis=-1)
    return net


def linear_attention() -> NetworkBuilder:
    """Two heads; keys times values first, no softmax (arXiv:2210.10340)."""
    net = NetworkBuilder((3, 6, 5))
    heads, depth, tokens = 2, 4, 30
    entry = net.conv(8, (3, 3))
    q = net.conv(8, relu="Relu", source=entry)
    net.reshape(1, heads, depth, tokens)
    q = net.transpose(0, 1, 3, 2)
    net.conv(8, relu="Relu", source=entry)
    k = net.reshape(1, heads, depth, tokens)
    net.conv(8, relu="", source=entry)
    net.reshape(1, heads, depth, tokens)
    v = net.transpose(0, 1, 3, 2)
    context = net.matmul(k, v)
    net.matmul(q, context)
    net.transpose(0, 1, 3, 2)
    net.reshape(1, 8, 6, 5)
    net.conv(8, relu="")
    net.add(net.last, entry)
    net.classifier(4)
    return net


def image_output() -> NetworkBuilder:
    net = NetworkBuilder((3, 6, 5))
    net.conv(4, (3, 3))
    net.conv(2, relu="")
    return net


def enlarged() -> NetworkBuilder:
    """A map of its own size again, by the two rules that exporters write."""
    net = NetworkBuilder((3, 12, 8))
    entry = net.conv(6, (3, 3))
    net.conv(5, (3, 3), stride=(2, 2), pads=(0, 0, 1, 1))
    net.conv(6, (3, 3), stride=(2, 2), pads=(0, 0, 1, 1))
    net.enlarge(2, 2, coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    net.enlarge(2, 2, coordinate_transformation_mode="half_pixel")
    net.add(net.last, entry)
    net.conv(2, (3, 3), relu="")
    return net


def inverted_bottleneck() -> NetworkBuilder:
    net = NetworkBuilder((1, 20, 12))
    entry = net.conv(5, (3, 3), stride=(2, 2), relu="Relu6")
    net.conv(15, relu="Relu6")
    net.depthwise((3, 3), relu="Relu6")
    net.conv(5, relu="")
    net.add(net.last, entry)
    net.classifier(2)
    return net


def almost_constant() -> NetworkBuilder:
    """Calibration saw hardly any activity: scaled accumulators leave 32 bits and must saturate."""
    net = NetworkBuilder((3, 6, 6))
    entry = net.conv(8, (3, 3))
    left = net.conv(8, (1, 1), relu="")
    right = net.conv(8, (3, 3), groups=8, relu="", source=entry)
    net.almost_constant += [left, right]
    # Operators without bias follow, whose units the changed scales would change.
    net.add(left, right)
    net.add(net.last, entry)
    net.classifier(3)
    return net


def channel_constants() -> NetworkBuilder:
    """One value for each channel, as exporters write layer scales."""
    net = NetworkBuilder((3, 6, 5))
    net.conv(7, (3, 3), relu="")
    for kind in ("Mul", "Add"):
        values = net.rng.normal(size=(7, 1, 1)).astype(np.float32)
        net.node(kind, [net.last, net.constant(values)], net.shapes[net.last])
    net.classifier(3)
    return net


def scalar_constants() -> NetworkBuilder:
    """Scalars on either side, as exporters write what ONNX has no operator for."""
    net = NetworkBuilder((3, 6, 5))
    net.conv(7, (3, 3), relu="")
    for kind, value in (("Div", 1.4), ("Erf", None), ("Add", 1.0), ("Mul", 0.5)):
        operands = [net.last] if value is None else [net.last, net.constant(np.float32(value))]
        net.node(kind, operands, net.shapes[net.last])
    net.node("Sub", [net.constant(np.float32(1.0)), net.last], net.shapes[net.last])
    net.classifier(3)
    return net


OP_NETWORKS: dict[str, Callable[[], NetworkBuilder]] = {
    build.__name__: build
    for build in (
        odd_convolutions, patch_stem, depthwise_shapes, grouped_convolutions, one_dimensional,
        residual, row_sum, squeeze_excite, activations, pooling, flatten_before_linear, branches,
        softmax_output, linear_attention, image_output, enlarged, inverted_bottleneck,
        almost_constant, channel_constants, scalar_constants,
    )
}  # fmt: skip
