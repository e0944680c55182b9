"""What each ONNX operator is as a layer; an operator without a row here has none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import isclose

import numpy as np

from hwkd.core.kinds import DIGIT_BASES, LAYER_KINDS, kind_of
from hwkd.core.registry import Registry
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_ops import geometry
from hwkd.trace.onnx_reading import Reading
from hwkd.trace.onnx_weighted import (
    read_conv,
    read_conv_transpose,
    read_division,
    read_gemm,
    read_layer_norm,
    read_matmul,
    read_norm,
    read_stored_operand,
    slid_sizes,
    window_of,
)
from hwkd.trace.repeats import REPEATS_ONLY, interpolates, repeats

# ONNX operator -> what takes a node of it into a reading.
READERS: Registry[Callable[[Reading, Node], None]] = Registry("ONNX operator of a layer")


def _elementwise(reading: Reading, node: Node, *, kind: str) -> None:
    stored = [index for index in (0, 1) if reading.constant(node, index) is not None]
    if stored:
        read_stored_operand(reading, node, stored[0], kind)
        return
    names = (reading.operand(node), reading.operand(node, 1))
    if len({len(reading.shapes[name]) for name in names}) > 1:
        names = (reading.plain(node), reading.plain(node, 1))
    first, second = (reading.shapes[name] for name in names)
    if len(first) != len(second):
        raise reading.refused(node, f"joins {first} and {second}")
    reading.add(node, kind, names, tuple(map(max, first, second)))


def _pool(reading: Reading, node: Node, *, kind: str) -> None:
    source = reading.image(node)
    window, shape = window_of(reading, node), reading.shapes[source]
    if any(window["pads"]):
        raise reading.refused(node, f"pools with padding {window['pads']}, which no layer does")
    sizes = slid_sizes(reading, node, shape, window)
    reading.add(node, kind, (source,), (shape[0], *sizes), **window)


@READERS.register("GlobalAveragePool")
def _global_pool(reading: Reading, node: Node) -> None:
    source = reading.image(node)
    reading.add(node, "global_avg_pool", (source,), (reading.shapes[source][0], 1, 1))


@READERS.register("ReduceMean")
def _mean(reading: Reading, node: Node) -> None:
    stored = reading.constant(node, 1)
    axes = node.attributes.get("axes", ()) if stored is None else stored.reshape(-1).tolist()
    rank = len(reading.file_shape(node.inputs[0])) + 1
    if rank == 3 and [axis % rank for axis in axes] == [1]:
        node = _channels_first(reading, node)
        axes = [2]
    if rank < 3 or sorted(axis % rank for axis in axes) != list(range(2, rank)):
        raise reading.refused(node, f"is a mean over the axes {list(axes)}, not of each channel")
    _global_pool(reading, node)
    if not node.attributes.get("keepdims", 1):
        name = reading.layer_of[node.outputs[0]]
        reading.reshaped(node, name, reading.shapes[name][:1])


def _channels_first(reading: Reading, node: Node) -> Node:
    """Return a node that reads (channels, positions) where the file has them the other way."""
    source, tensor = reading.plain(node), f"{node.name}/channels first"
    shape = reading.shapes[source][::-1]
    name = f"{node.name}_channels"
    reading.layer_of[tensor] = reading.append(
        name, "transpose", (source,), shape, permutation=(1, 0)
    )
    return replace(node, inputs=(tensor, *node.inputs[1:]))


def _reshape(reading: Reading, node: Node) -> None:
    before, after = (reading.source.types[name][1] for name in (node.inputs[0], node.outputs[0]))
    if before[:1] != after[:1] or len(after) < 2:
        raise reading.refused(node, f"makes {after} of {before}, which changes the batch")
    reading.add(node, "reshape", (reading.operand(node),), after[1:])


@READERS.register("Transpose")
def _transpose(reading: Reading, node: Node) -> None:
    order = tuple(node.attributes.get("perm", ()))
    if not order or order[0] != 0:
        raise reading.refused(node, f"orders the axes {order}, which moves the batch")
    source = reading.plain(node)
    shape, axes = reading.file_shape(node.outputs[0]), tuple(axis - 1 for axis in order[1:])
    reading.add(node, "transpose", (source,), shape, permutation=axes)


@READERS.register("Slice")
def _slice(reading: Reading, node: Node) -> None:
    given = [reading.constant(node, index) for index in range(1, 5)]
    if given[0] is None or given[1] is None or (given[3] is not None and (given[3] != 1).any()):
        raise reading.refused(node, "cuts otherwise than by stored places in steps of 1")
    source, shape = reading.plain(node), reading.file_shape(node.inputs[0])
    axes = range(len(given[0])) if given[2] is None else given[2].tolist()
    cuts = []
    for start, stop, axis in zip(given[0].tolist(), given[1].tolist(), axes, strict=True):
        axis = axis % (len(shape) + 1) - 1
        if axis < 0:
            raise reading.refused(node, "cuts the batch")
        first, last, _ = slice(start, stop).indices(shape[axis])
        cuts.append((axis, first, last - first))
    for axis, first, size in cuts[:-1]:
        shape = (*shape[:axis], size, *shape[axis + 1 :])
        source = reading.append(
            f"{node.name}_{axis}", "slice", (source,), shape, axis=axis, start=first
        )
    axis, first, _ = cuts[-1]
    shape = reading.file_shape(node.outputs[0])
    reading.add(node, "slice", (source,), shape, axis=axis, start=first)


@READERS.register("Sigmoid")
def _sigmoid(reading: Reading, node: Node) -> None:
    if node.outputs[0] in reading.source.outputs and len(reading.file_shape(node.outputs[0])) == 1:
        raise reading.refused(node, "answers through a sigmoid; students answer with logits")
    reading.activate(node, "sigmoid")


@READERS.register("Concat")
def _concat(reading: Reading, node: Node) -> None:
    names = tuple(reading.plain(node, index) for index in range(len(node.inputs)))
    shape = reading.file_shape(node.outputs[0])
    reading.add(node, "concat", names, shape, axis=_axis(reading, node, None))


@READERS.register("GatherND")
def _embedding(reading: Reading, node: Node) -> None:
    table, digits = reading.constant(node, 0), reading.file_shape(node.inputs[1])[-1]
    sizes = () if table is None else table.shape[:-1]
    if table is None or len(sizes) != digits or {*sizes} - {*DIGIT_BASES} or len({*sizes}) > 1:
        raise reading.refused(
            node, "looks up what is no table with a row for each digit of a number"
        )
    if node.attributes.get("batch_dims", 0):
        raise reading.refused(node, "looks up along the batch")
    shape = reading.file_shape(node.outputs[0])
    name = reading.add(node, "embedding", (reading.plain(node, 1),), shape, base=sizes[0])
    rows = table.reshape(-1, table.shape[-1])
    reading.weights[name] = {"core.weight": rows.astype(np.float32)}


@READERS.register("Resize")
def _upsample(reading: Reading, node: Node) -> None:
    before, after = (reading.source.types[name][1] for name in (node.inputs[0], node.outputs[0]))
    scales = reading.constant(node, 2)
    given = () if scales is None else tuple(scales.tolist())
    factors, mode = repeats(node.attributes, before, after, given), "nearest"
    if factors is None:
        factors, mode = interpolates(node.attributes, before, after, given)
    if factors is None or len(before) not in (3, 4) or factors[:2] != (1, 1):
        raise reading.refused(node, REPEATS_ONLY)
    source = reading.image(node)
    channels, height, width = reading.shapes[source]
    down, right = factors[2:] if len(factors) == 4 else (1, *factors[2:])
    shape = (channels, height * down, width * right)
    reading.add(node, "upsample", (source,), shape, kernel=(down, right), mode=mode)


def _softmax(reading: Reading, node: Node) -> None:
    is_last = node.outputs[0] in reading.source.outputs
    if is_last and len(reading.file_shape(node.outputs[0])) == 1:
        # Students answer with logits: losses and thresholds apply a softmax of their own.
        reading.layer_of[node.outputs[0]] = reading.operand(node)
        return
    axis, shape = _axis(reading, node, -1), reading.file_shape(node.outputs[0])
    if node.kind != "Softmax" or (reading.source.opset < 13 and axis != len(shape) - 1):
        raise reading.refused(node, "is no softmax along one axis")
    reading.add(node, "softmax", (reading.plain(node),), shape, axis=axis)


def _axis(reading: Reading, node: Node, default: int | None) -> int:
    rank = len(reading.file_shape(node.outputs[0])) + 1
    axis = node.attributes.get("axis", default if reading.source.opset >= 13 else 1)
    if axis is None or axis % rank == 0:
        raise reading.refused(node, "works along the batch")
    return int(axis) % rank - 1


@READERS.register("Pad")
def _pad(reading: Reading, node: Node) -> None:
    shapes = {name: shape for name, (_, shape) in reading.source.types.items()}
    pads = geometry(node, shapes, reading.source.constants)[2]
    before, after = (reading.file_shape(name) for name in (node.inputs[0], node.outputs[0]))
    zeros = (0, pads[0] + pads[2], pads[1] + pads[3])
    kinds = {n.kind for n in reading.source.nodes if node.outputs[0] in n.inputs}
    grown = tuple(map(sum, zip(before, zeros, strict=False)))
    if len(before) != 3 or grown != after or kinds != {"Conv"}:
        raise reading.refused(node, "adds more than zeros around what a convolution reads")
    reading.padded[node.outputs[0]] = (node.inputs[0], pads)


@READERS.register("Clip")
def _clip(reading: Reading, node: Node) -> None:
    low, high = (reading.constant(node, index) for index in (1, 2))
    bounds = (
        node.attributes.get("min", -np.inf) if low is None else float(low),
        node.attributes.get("max", np.inf) if high is None else float(high),
    )
    if bounds not in ((0.0, 6.0), (0.0, np.inf)):
        raise reading.refused(node, f"clips to {bounds}; a layer does to 0 and 6, or to 0 alone")
    reading.activate(node, "relu6" if bounds[1] == 6.0 else "relu")


@READERS.register("HardSigmoid")
def _hard_sigmoid(reading: Reading, node: Node) -> None:
    slope, middle = node.attributes.get("alpha", 0.2), node.attributes.get("beta", 0.5)
    if not (isclose(slope, 1 / 6, abs_tol=1e-4) and isclose(middle, 0.5)):
        raise reading.refused(node, f"has the slope {slope:.3g}; a layer's hard sigmoid has 1/6")
    reading.activate(node, "hard_sigmoid")


for _kind in ("Add", "Mul"):
    READERS.register(_kind)(partial(_elementwise, kind=kind_of(_kind).layer))
for _kind in LAYER_KINDS.names():
    if LAYER_KINDS.get(_kind).is_pooling:
        READERS.register(LAYER_KINDS.get(_kind).onnx)(partial(_pool, kind=_kind))
for _kind in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
    READERS.register(_kind)(_reshape)
for _kind in ("Softmax", "LogSoftmax"):
    READERS.register(_kind)(_softmax)
READERS.register("BatchNormalization")(read_norm)
READERS.register("Conv")(read_conv)
READERS.register("ConvTranspose")(read_conv_transpose)
READERS.register("Div")(read_division)
READERS.register("Gemm")(read_gemm)
READERS.register("LayerNormalization")(read_layer_norm)
READERS.register("MatMul")(read_matmul)
READERS.register("Relu")(lambda reading, node: reading.activate(node, "relu"))
READERS.register("HardSwish")(lambda reading, node: reading.activate(node, "hard_swish"))
