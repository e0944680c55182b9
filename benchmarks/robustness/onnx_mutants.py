"""Damaged ONNX files: other bytes, or a valid file with one thing in it changed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto

_SIZES = (-1, 0, 1, 2, 3, 7, 64, 1000, 2**16, 2**31, 2**40, 2**62, -(2**62))
_NAMES = (
    "", "[/0]", "[bold]", "out", "a\nb", "\x1b[31m", "\x00", "x" * 5000, "\u202e", "π", "0", " ",
)  # fmt: skip
_KINDS = (
    "Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Conv", "ConvTranspose",
    "DequantizeLinear", "Dropout", "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity",
    "If", "LSTM", "Loop", "MatMul", "MaxPool", "Pad", "QLinearConv", "QuantizeLinear",
    "ReduceMean", "Relu", "Reshape", "Shape", "Slice", "Softmax", "Split", "Squeeze", "Transpose",
)  # fmt: skip

Mutation = Callable[[ModelProto, random.Random], None]


def mutant(data: bytes, generator: random.Random) -> bytes:
    """Return a changed copy of a serialised model."""
    if generator.random() < 0.1:
        return _with_other_bytes(data, generator)
    model = ModelProto()
    model.ParseFromString(data)
    for _ in range(generator.randint(1, 4)):
        # A field may not take a value, or be empty already; the next mutation has its turn.
        with contextlib.suppress(ValueError, TypeError, LookupError, OverflowError):
            generator.choice(_MUTATIONS)(model, generator)
    data = model.SerializeToString()
    return _with_other_bytes(data, generator) if generator.random() < 0.05 else data


def _with_other_bytes(data: bytes, generator: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(generator.randint(1, 6)):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(
        changed[: generator.randrange(len(changed))] if generator.random() < 0.1 else changed
    )


def _node(model: ModelProto, generator: random.Random) -> NodeProto:
    found: NodeProto = generator.choice(model.graph.node)
    return found


def _drop_node(model: ModelProto, generator: random.Random) -> None:
    del model.graph.node[generator.randrange(len(model.graph.node))]


def _copy_node(model: ModelProto, generator: random.Random) -> None:
    copy = NodeProto()
    copy.CopyFrom(_node(model, generator))
    model.graph.node.insert(generator.randrange(len(model.graph.node)), copy)


def _rename_node(model: ModelProto, generator: random.Random) -> None:
    _node(model, generator).name = generator.choice((*_NAMES, _node(model, generator).name))


def _other_kind(model: ModelProto, generator: random.Random) -> None:
    _node(model, generator).op_type = generator.choice(_KINDS)


def _other_domain(model: ModelProto, generator: random.Random) -> None:
    _node(model, generator).domain = generator.choice(("com.microsoft", "ai.onnx", "ai.onnx.ml"))


def _rewire(model: ModelProto, generator: random.Random) -> None:
    node = _node(model, generator)
    names = [name for other in model.graph.node for name in (*other.input, *other.output)]
    ends = generator.choice((node.input, node.output))
    action = generator.randrange(4)
    if action == 0:
        ends[generator.randrange(len(ends))] = generator.choice((*names, *_NAMES))
    elif action == 1:
        del ends[generator.randrange(len(ends))]
    elif action == 2:
        ends.append(generator.choice((*names, "")))
    else:
        ends.insert(0, generator.choice((*names, "")))


def _rename_tensor(model: ModelProto, generator: random.Random) -> None:
    node = _node(model, generator)
    old, new = generator.choice((*node.input, *node.output)), generator.choice(_NAMES)
    for other in model.graph.node:
        for ends in (other.input, other.output):
            for index, name in enumerate(ends):
                if name == old:
                    ends[index] = new
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        if value.name == old:
            value.name = new


def _other_attribute(model: ModelProto, generator: random.Random) -> None:
    node = generator.choice([node for node in model.graph.node if node.attribute])
    attribute = generator.choice(node.attribute)
    action = generator.randrange(7)
    if action == 0 and attribute.ints:
        attribute.ints[generator.randrange(len(attribute.ints))] = generator.choice(_SIZES)
    elif action == 1:
        attribute.i = generator.choice(_SIZES)
    elif action == 2:
        del attribute.ints[-1:]
    elif action == 3:
        attribute.ints.append(generator.choice(_SIZES))
    elif action == 4:
        attribute.type = generator.choice(AttributeProto.AttributeType.values())
    elif action == 5:
        attribute.ref_attr_name = "outer"
    else:
        attribute.name = generator.choice(("axis", "pads", "group", "to", *_NAMES))


def _other_input_shape(model: ModelProto, generator: random.Random) -> None:
    value = generator.choice((*model.graph.input, *model.graph.output, *model.graph.value_info))
    tensor = value.type.tensor_type
    action = generator.randrange(6)
    if action == 0:
        generator.choice(tensor.shape.dim).dim_value = generator.choice(_SIZES)
    elif action == 1:
        generator.choice(tensor.shape.dim).dim_param = generator.choice((*_NAMES, "N", "frames"))
    elif action == 2:
        tensor.shape.dim.add(dim_value=generator.choice(_SIZES))
    elif action == 3:
        del tensor.shape.dim[-1:]
    elif action == 4:
        tensor.elem_type = generator.choice(TensorProto.DataType.values())
    else:
        value.type.Clear()


def _other_constant(model: ModelProto, generator: random.Random) -> None:
    tensor = generator.choice(model.graph.initializer)
    action = generator.randrange(9)
    if action == 0:
        tensor.dims[generator.randrange(len(tensor.dims))] = generator.choice(_SIZES)
    elif action == 1:
        tensor.dims.append(generator.choice((1, 1, *_SIZES)))
    elif action == 2:
        del tensor.dims[-1:]
    elif action == 3:
        tensor.data_type = generator.choice(TensorProto.DataType.values())
    elif action == 4:
        tensor.ClearField("raw_data")
    elif action == 5:
        tensor.raw_data = bytes(generator.randrange(256) for _ in range(len(tensor.raw_data)))
    elif action == 6:
        tensor.data_location = TensorProto.EXTERNAL
        place = generator.choice(("\x00", "a" * 5000, "../w", "/", ".", "current.onnx", ""))
        tensor.external_data.add(key="location", value=place)
        tensor.external_data.add(key="offset", value=generator.choice(("0", "9" * 5000, "-1", "x")))
    elif action == 7:
        # The same shape with its numbers changed: targets of reshapes, amounts of pads.
        values = onnx.numpy_helper.to_array(tensor).copy()
        values.reshape(-1)[generator.randrange(values.size)] = generator.choice(_SIZES[:9])
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    else:
        copy = TensorProto()
        copy.CopyFrom(tensor)
        model.graph.initializer.append(copy)


def _transpose_constant(model: ModelProto, generator: random.Random) -> None:
    tensor = generator.choice(model.graph.initializer)
    dims = list(tensor.dims)
    generator.shuffle(dims)
    del tensor.dims[:]
    tensor.dims.extend(dims)


def _weight_as_input(model: ModelProto, generator: random.Random) -> None:
    index = generator.randrange(len(model.graph.initializer))
    tensor = model.graph.initializer[index]
    model.graph.input.append(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
    )
    if generator.random() < 0.5:
        del model.graph.initializer[index]


def _other_outputs(model: ModelProto, generator: random.Random) -> None:
    if generator.random() < 0.3:
        del model.graph.output[:]
    node = _node(model, generator)
    model.graph.output.add(name=generator.choice(node.output))


def _other_opset(model: ModelProto, generator: random.Random) -> None:
    generator.choice(model.opset_import).version = generator.choice((1, 6, 9, 11, 13, 18, 21, 24))


def _insert_view(model: ModelProto, generator: random.Random) -> None:
    """Put an operator between a tensor and one reader."""
    index = generator.randrange(len(model.graph.node))
    node = model.graph.node[index]
    at = generator.randrange(len(node.input))
    new = f"between_{index}_{generator.randrange(10**6)}"
    kind = generator.choice(("Transpose", "Identity", "Flatten", "Shape", "Sigmoid", "Cast"))
    attributes: dict[str, Any] = {}
    if kind == "Cast":
        attributes["to"] = generator.choice((1, 3, 6, 7, 10, 11))
    model.graph.node.insert(
        index, onnx.helper.make_node(kind, [node.input[at]], [new], **attributes)
    )
    model.graph.node[index + 1].input[at] = new


def _other_quantisation(model: ModelProto, generator: random.Random) -> None:
    """Give one quantise or dequantise node a scale, zero point, type or axis of its own."""
    kinds = ("QuantizeLinear", "DequantizeLinear")
    node = generator.choice([node for node in model.graph.node if node.op_type in kinds])
    stored = {item.name: item for item in model.graph.initializer}
    name = f"own_{generator.randrange(10**6)}"
    action = generator.randrange(6)
    if action == 0:
        del node.input[2:]
    elif action == 1:
        axis = onnx.helper.make_attribute("axis", generator.randrange(-4, 5))
        del node.attribute[:]
        node.attribute.append(axis)
    elif action == 2:
        position = generator.choice((1, 2))
        others = [other.input[position] for other in model.graph.node if other.op_type in kinds]
        node.input[position] = generator.choice(others)
    elif action < 5:
        values = onnx.numpy_helper.to_array(stored[node.input[1]]).copy()
        change = generator.choice((0.5, 0.9, 1.1, 2.0, 1e-30, 1e30, 0.0, -1.0, float("nan")))
        where = generator.choice((slice(None), slice(0, 1)))
        values.reshape(-1)[where] *= change
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        node.input[1] = name
    else:
        values = onnx.numpy_helper.to_array(stored[node.input[2]]).copy()
        values.reshape(-1)[:] = generator.choice((0, 1, 5, 100, -1, -7, -128))
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))
        node.input[2] = name


_MUTATIONS: tuple[Mutation, ...] = (
    _drop_node, _copy_node, _rename_node, _other_kind, _other_domain, _rewire, _rewire,
    _rename_tensor, _other_attribute, _other_attribute, _other_input_shape, _other_input_shape,
    _other_constant, _other_constant, _transpose_constant, _weight_as_input, _other_outputs,
    _other_opset, _insert_view, _other_quantisation, _other_quantisation,
)  # fmt: skip
