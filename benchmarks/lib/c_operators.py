"""Single operators of the exported C as rows of a table, and graphs of one operator from them."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from benchmarks.lib.published import single_op, sizes
from hwkd.core.graph import Op, OpGraph, Tensor

COLUMNS = (
    "op", "in_shape_nhwc", "out_shape_nhwc", "kernel", "stride", "groups", "dilation", "pads",
)  # fmt: skip
# Names of operators that published tables do not hold, or not so -> ONNX operator.
_OWN = {
    "CONCATENATION": "Concat", "SLICE": "Slice", "PAD": "Pad", "TRANSPOSE": "Transpose",
    "RESIZE_NEAREST_NEIGHBOR": "Resize", "RESIZE_BILINEAR": "Resize",
    "TRANSPOSE_CONV": "ConvTranspose", "BATCH_MATMUL": "MatMul",
    "LAYER_NORM": "LayerNormalization", "SOFTMAX": "Softmax", "MUL": "Mul",
    "GATHER_ND": "GatherND", "HARD_SWISH": "HardSwish", "HARD_SIGMOID": "HardSigmoid",
}  # fmt: skip
_PUBLISHED = {
    "MAX_POOL_2D": "MaxPool", "AVERAGE_POOL_2D": "AveragePool", "ADD": "Add",
    "LOGISTIC": "Sigmoid", "CONV_2D": "Conv", "FULLY_CONNECTED": "Gemm",
    "MEAN": "GlobalAveragePool",
}  # fmt: skip
# Their shapes are those of matrices and stay in their order.
_OF_MATRICES = {"BATCH_MATMUL", "GATHER_ND", "LAYER_NORM", "SOFTMAX", "TRANSPOSE"}


def row_of(op: Op, graph: OpGraph) -> tuple[str, ...]:
    """Return an operator of a graph as values of `COLUMNS`."""
    name = _name(op)
    order = _plain if name in _OF_MATRICES else _nhwc
    shapes = [graph.tensors[one].shape for one in op.inputs]
    if name not in _OWN:  # published tables print one shape, as both inputs are equal
        shapes = shapes[:1]
    target = graph.tensors[op.outputs[0]].shape
    window = [_x(op.kernel), _x(op.stride)] if "CONV" in name or "POOL" in name else ["", ""]
    is_conv = op.kind == "Conv"
    return (
        name, "+".join(order(shape) for shape in shapes), order(target), *window, str(op.groups),
        _x(op.dilation) if is_conv else "", _x(op.pads) if is_conv else "",
    )  # fmt: skip


def _name(op: Op) -> str:
    if op.kind == "Resize":
        return "RESIZE_BILINEAR" if op.macs else "RESIZE_NEAREST_NEIGHBOR"
    return next(name for name, kind in {**_PUBLISHED, **_OWN}.items() if kind == op.kind)


def graph_of_row(row: dict[str, str]) -> OpGraph:
    """Return a row of the table as a graph of one operator."""
    if row["op"] in _OWN:
        return _own(row)
    kernel, stride = _pair(row["kernel"]), _pair(row["stride"])
    shapes = sizes(row["in_shape_nhwc"]), sizes(row["out_shape_nhwc"])
    graph = single_op(row["op"], *shapes, kernel, stride, groups=int(row["groups"]))
    if not row["pads"]:
        return graph
    top, left, bottom, right = sizes(row["pads"])
    pads, dilation = (top, left, bottom, right), _pair(row["dilation"])
    return replace(graph, ops=(replace(graph.ops[0], pads=pads, dilation=dilation),))


def _own(row: dict[str, str]) -> OpGraph:
    name, groups, kernel = row["op"], int(row["groups"]), _pair(row["kernel"])
    order = (lambda shape: (1, *shape)) if name in _OF_MATRICES else _nchw
    shapes = [order(sizes(text)) for text in row["in_shape_nhwc"].split("+")]
    target = order(sizes(row["out_shape_nhwc"]))
    tensors = {f"in{i}": Tensor(name=f"in{i}", shape=shape) for i, shape in enumerate(shapes)}
    inputs = tuple(tensors)
    tensors["out"] = Tensor(name="out", shape=target)
    macs = weights = 0
    if name == "BATCH_MATMUL":
        macs = prod(target) * shapes[0][-1]
    elif name == "RESIZE_BILINEAR":
        macs = 4 * prod(target)
    elif name == "TRANSPOSE_CONV":
        weights = prod(kernel) * shapes[0][1] * target[1]
        macs = weights * prod(shapes[0][2:])
    op = Op(
        name="op", kind=_OWN[name], inputs=inputs, outputs=("out",), macs=macs, weights=weights,
        biases=target[1] if weights else 0, kernel=kernel, stride=_pair(row["stride"]),
        groups=groups,
    )  # fmt: skip
    return OpGraph(ops=(op,), tensors=tensors, inputs=inputs, outputs=("out",))


def _x(values: tuple[int, ...]) -> str:
    return "x".join(map(str, values))


def _plain(shape: tuple[int, ...]) -> str:
    return _x(shape[1:])


def _nhwc(shape: tuple[int, ...]) -> str:
    return _x((*shape[2:], shape[1])) if len(shape) > 2 else _x(shape[1:])


def _nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (1, shape[-1], *shape[:-1])


def _pair(text: str) -> tuple[int, int]:
    found = sizes(text)
    return (found[0], found[1]) if found else (1, 1)
