"""Changes to an int8 ONNX file as other versions and exporters would have written it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from benchmarks.lib.qdq_writers import by_onnxruntime, image

Change = Callable[[onnx.ModelProto], None]


def changed(
    change: Change,
    folder: Path,
    *,
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write the image network with a change to its int8 file."""
    path = by_onnxruntime(image, folder, per_channel=True, extra=extra)
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def _constant(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    found: onnx.TensorProto = next(i for i in model.graph.initializer if i.name == name)
    return found


def _set(model: onnx.ModelProto, name: str, values: np.ndarray) -> None:
    _constant(model, name).CopyFrom(numpy_helper.from_array(values, name))


def _nodes(model: onnx.ModelProto, kind: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == kind]


def _parameter(model: onnx.ModelProto, conv: onnx.NodeProto, position: int) -> onnx.NodeProto:
    """Return the DequantizeLinear of a convolution's weights (1) or bias (2)."""
    found: onnx.NodeProto = next(n for n in model.graph.node if conv.input[position] in n.output)
    return found


def bias_scale(model: onnx.ModelProto, *, factor: float) -> None:
    node = _parameter(model, _nodes(model, "Conv")[0], 2)
    scale = numpy_helper.to_array(_constant(model, node.input[1]))
    _set(model, node.input[1], (scale * np.float32(factor)).astype(np.float32))


def bias_zero(model: onnx.ModelProto) -> None:
    node = _parameter(model, _nodes(model, "Conv")[0], 2)
    scale = numpy_helper.to_array(_constant(model, node.input[1]))
    name = node.input[2] if len(node.input) > 2 else "bias_zero"
    zero = numpy_helper.from_array(np.full(scale.shape, 5, np.int32), name)
    if len(node.input) > 2:
        _constant(model, name).CopyFrom(zero)
    else:
        node.input.append(name)
        model.graph.initializer.append(zero)


def other_read_scale(model: onnx.ModelProto) -> None:
    """Read every second activation with 1.25 times the scale that it was written in."""
    float_bias(model)
    read = {node.input[0] for node in _nodes(model, "DequantizeLinear")}
    for number, node in enumerate(_nodes(model, "QuantizeLinear")):
        if node.output[0] not in read or number % 2:
            continue
        scale = numpy_helper.to_array(_constant(model, node.input[1]))
        name = f"read_scale{number}"
        model.graph.initializer.append(
            numpy_helper.from_array((scale * np.float32(1.25)).astype(np.float32), name)
        )
        for reader in _nodes(model, "DequantizeLinear"):
            if reader.input[0] == node.output[0]:
                reader.input[1] = name


def no_zero_points(model: onnx.ModelProto) -> None:
    """Leave out zero points of 0 where the integers that are read say the type."""
    for node in _nodes(model, "DequantizeLinear"):
        if not numpy_helper.to_array(_constant(model, node.input[2])).any():
            del node.input[2:]


def negative_axes(model: onnx.ModelProto) -> None:
    for node in _nodes(model, "DequantizeLinear"):
        for attribute in node.attribute:
            stored = [item for item in model.graph.initializer if item.name == node.input[0]]
            if attribute.name == "axis" and stored:
                attribute.i -= len(stored[0].dims)


def wrong_axis(model: onnx.ModelProto) -> None:
    """Scales of the first square convolution along its input channels."""
    conv = next(
        node
        for node in _nodes(model, "Conv")
        if (dims := _constant(model, _parameter(model, node, 1).input[0]).dims)[0] == dims[1]
    )
    next(item for item in _parameter(model, conv, 1).attribute if item.name == "axis").i = 1


def contrib(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            node.domain = "com.microsoft"
    if all(item.domain != "com.microsoft" for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def identity_at_the_end(model: onnx.ModelProto) -> None:
    name = model.graph.output[0].name
    last = next(node for node in model.graph.node if name in node.output)
    last.output[0] = "before_the_end"
    model.graph.node.append(helper.make_node("Identity", ["before_the_end"], [name], "last"))


def same_padding(model: onnx.ModelProto) -> None:
    for node in _nodes(model, "Conv"):
        kept = [item for item in node.attribute if item.name != "pads"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("auto_pad", "SAME_UPPER")])


def computed_pads(model: onnx.ModelProto) -> None:
    """Padding as a node of its own whose amounts follow from the rank, as TorchScript writes it."""
    conv = next(iter(_nodes(model, "Conv")))
    pads = next(item for item in conv.attribute if item.name == "pads")
    quantised = next(node for node in model.graph.node if conv.input[0] in node.output)
    top, left, bottom, right = pads.ints
    pads.ints[:] = [0, 0, 0, 0]
    amounts = np.array([[0, 0, top, left], [0, 0, bottom, right]])
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in (("rows", amounts[:1]), ("none", np.array([4])), ("flat", [-1]),
                            ("axis", [0]), ("less", amounts[1]))
    )  # fmt: skip
    source = conv.input[0]
    nodes = [
        helper.make_node("ConstantOfShape", ["none"], ["zeros"], "zeros"),
        helper.make_node("Cast", ["zeros"], ["whole"], "whole", to=onnx.TensorProto.INT64),
        helper.make_node("Add", ["whole", "less"], ["ends"], "ends"),
        helper.make_node("Unsqueeze", ["ends", "axis"], ["row"], "row"),
        helper.make_node("Concat", ["rows", "row"], ["grid"], "grid", axis=0),
        helper.make_node("Reshape", ["grid", "flat"], ["pads"], "pads"),
        helper.make_node("Pad", [source, "pads"], ["wide"], "wide"),
        helper.make_node("QuantizeLinear", ["wide", *quantised.input[1:]], ["wide_q"], "wide_q"),
        helper.make_node(
            "DequantizeLinear", ["wide_q", *quantised.input[1:]], ["wide_d"], "wide_d"
        ),
    ]
    conv.input[0] = "wide_d"
    at = list(model.graph.node).index(conv)
    for offset, node in enumerate(nodes):
        model.graph.node.insert(at + offset, node)


def decided_choice(model: onnx.ModelProto) -> None:
    """The last two nodes in a branch of an `If` whose condition is stored."""
    last = list(model.graph.node)[-2:]
    output = model.graph.output[0]
    inner = onnx.ValueInfoProto()
    inner.CopyFrom(output)
    taken = helper.make_graph(last, "taken", [], [inner])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["left"])], "other", [], [
        helper.make_tensor_value_info("left", onnx.TensorProto.FLOAT, None)])  # fmt: skip
    del model.graph.node[-2:]
    inner = taken.output[0]
    for node in taken.node:
        node.output[:] = ["inside" if name == output.name else name for name in node.output]
    inner.name = "inside"
    other.node[0].input[0] = model.graph.input[0].name
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "yes"))
    model.graph.node.append(
        helper.make_node(
            "If", ["yes"], [output.name], "choice", then_branch=taken, else_branch=other
        )
    )


def open_batch(model: onnx.ModelProto) -> None:
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].Clear()


def float_bias(model: onnx.ModelProto) -> None:
    """Biases as floats, as tools that quantise no bias leave them."""
    for conv in (*_nodes(model, "Conv"), *_nodes(model, "Gemm")):
        node = _parameter(model, conv, 2)
        steps, scale = (numpy_helper.to_array(_constant(model, n)) for n in node.input[:2])
        name = f"{conv.name}float_bias"
        values = (steps.astype(np.float64) * scale).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        conv.input[2] = name


def zero_scale(model: onnx.ModelProto) -> None:
    _set(model, _nodes(model, "QuantizeLinear")[1].input[1], np.array(0, np.float32))


def half_scales(model: onnx.ModelProto) -> None:
    """Scales of type float16 all over, opset 19 and later allow it."""
    model.opset_import[0].version = 19
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            scale = numpy_helper.to_array(_constant(model, node.input[1]))
            if scale.dtype == np.float32:
                _set(model, node.input[1], np.maximum(scale, 1e-4).astype(np.float16))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    for item in model.graph.initializer:
        if item.data_type == onnx.TensorProto.FLOAT and "scale" not in item.name:
            _set(model, item.name, numpy_helper.to_array(item).astype(np.float16))


def also_logits(model: onnx.ModelProto) -> None:
    """Give the logits and, in float, their softmax."""
    logits = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Softmax", [logits], ["probabilities"], "softmax"))
    floats = onnx.TensorProto.FLOAT
    model.graph.output.append(helper.make_tensor_value_info("probabilities", floats, (1, 5)))
