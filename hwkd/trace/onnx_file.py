"""A user's ONNX file -> the operator graph that the cost model reads; nothing is executed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from onnx import TensorProto

from hwkd.core.errors import ModelFileError
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.trace.onnx_nodes import Aliases, Node, read_nodes, sort_nodes
from hwkd.trace.onnx_ops import build_op
from hwkd.trace.onnx_shapes import infer_shapes, static_inputs
from hwkd.trace.onnx_tensors import Constant, read_constants

__all__ = ["load_graph", "stored_dtype"]

# Protobuf cannot hold more; and a graph of more operators is no network for a small device.
_MOST_FILE_BYTES = 2**31
_MOST_NODES = 20_000
_QUANTISED_PREFIXES = ("QuantizeLinear", "QLinear", "QGemm", "ConvInteger", "MatMulInteger")
# Their output has a fixed value once shapes are fixed, whatever their input holds.
_SHAPE_READERS = frozenset({"Shape", "Size"})


def load_graph(path: Path) -> OpGraph:
    """Read the operators of a network for inference with batch 1.

    Float32 files and int8 files (QDQ or operators with quantisation built in) give the same graph.
    Operators computed from constants alone are left out; a symbolic batch becomes 1.

    Args:
        path: ONNX file; external data beside it is only looked at where the weights matter.

    Raises:
        ModelFileError: if the file is damaged, has dynamic shapes other than the batch, types or
            operators that hwkd does not read, or data outside its folder.
    """
    try:
        return _load(path)
    except UnicodeDecodeError:
        raise ModelFileError(
            f"{path}: holds names that are not text; the file is damaged, export it again"
        ) from None


def _load(path: Path) -> OpGraph:
    model = _read_model(path)
    where = str(path)
    opset = _opset(model, where)
    stored = read_constants(_stored_tensors(model, where), path)
    inputs = static_inputs(model.graph, stored, where)
    protos = [proto for proto in model.graph.node if proto.op_type != "Constant"]
    nodes, aliases = read_nodes(protos, opset, where)
    nodes = sort_nodes(nodes, [*inputs, *stored], where)
    shapes = infer_shapes(nodes, inputs, stored, opset, where)
    outputs = _outputs(model, aliases, shapes, where)
    fixed = _fixed_tensors(nodes, stored)
    normed = {node.inputs[0] for node in nodes if node.kind == "BatchNormalization"}
    ops = []
    for node in nodes:
        if node.outputs[0] not in fixed:
            has_norm = node.outputs[0] in normed
            ops.append(build_op(node, shapes, fixed, stored, has_norm=has_norm))
    return _graph(ops, shapes, tuple(inputs), outputs)


def stored_dtype(path: Path) -> Literal["int8", "float32"]:
    """Return how a file runs as it is: "int8" when it holds quantised operators.

    Raises:
        ModelFileError: if the file cannot be read.
    """
    kinds = {node.op_type for node in _read_model(path).graph.node}
    is_quantised = any(kind.startswith(_QUANTISED_PREFIXES) for kind in kinds)
    return "int8" if is_quantised else "float32"


def _read_model(path: Path) -> onnx.ModelProto:
    try:
        size = path.stat().st_size
        if size >= _MOST_FILE_BYTES:
            raise ModelFileError(f"{path}: {size:,} bytes; an ONNX file holds less than 2 GiB")
        data = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror}; give an ONNX file") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        raise ModelFileError(
            f"{path}: not a complete ONNX file ({size:,} bytes); it was cut or is of another "
            "format, export it again"
        ) from None
    if not model.graph.node:
        raise ModelFileError(f"{path}: holds no operators; it was cut or is no ONNX file")
    if len(model.graph.node) > _MOST_NODES:
        raise ModelFileError(
            f"{path}: {len(model.graph.node):,} operators; hwkd reads up to {_MOST_NODES:,}"
        )
    return model


def _opset(model: onnx.ModelProto, where: str) -> int:
    opsets = [item.version for item in model.opset_import if item.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if not opsets or not 1 <= opsets[0] <= newest:
        given = opsets[0] if opsets else "no opset"
        raise ModelFileError(
            f"{where}: has {given} of the standard operators; expected an opset up to {newest}: "
            "export it for an older opset or update onnx"
        )
    return int(opsets[0])


def _stored_tensors(model: onnx.ModelProto, where: str) -> list[TensorProto]:
    """Return initializers and the values of Constant nodes, under the names that nodes read."""
    if model.graph.sparse_initializer:
        raise ModelFileError(f"{where}: has sparse weights; export it with dense ones")
    tensors = list(model.graph.initializer)
    constants = (node for node in model.graph.node if node.op_type == "Constant")
    return [*tensors, *(_constant_value(node, where) for node in constants)]


def _constant_value(node: onnx.NodeProto, where: str) -> TensorProto:
    attributes = {item.name: item for item in node.attribute}
    tensor = TensorProto()
    if "value" in attributes:
        tensor.CopyFrom(attributes["value"].t)
    elif "value_int" in attributes:
        tensor = onnx.helper.make_tensor("", TensorProto.INT64, [], [attributes["value_int"].i])
    elif "value_ints" in attributes:
        values = attributes["value_ints"].ints
        tensor = onnx.helper.make_tensor("", TensorProto.INT64, [len(values)], values)
    elif "value_float" in attributes:
        tensor = onnx.helper.make_tensor("", TensorProto.FLOAT, [], [attributes["value_float"].f])
    elif "value_floats" in attributes:
        values = attributes["value_floats"].floats
        tensor = onnx.helper.make_tensor("", TensorProto.FLOAT, [len(values)], values)
    else:
        raise ModelFileError(
            f"{where}: Constant node {node.name!r} holds no dense number; expected a value"
        )
    tensor.name = node.output[0]
    return tensor


def _fixed_tensors(nodes: list[Node], stored: dict[str, Constant]) -> set[str]:
    """Return the stored constants and everything that follows from them without an input."""
    fixed = set(stored)
    for node in nodes:
        follows = all(name in fixed for name in node.inputs if name)
        if node.kind in _SHAPE_READERS or (follows and any(node.inputs)):
            fixed.update(name for name in node.outputs if name)
    return fixed


def _outputs(
    model: onnx.ModelProto, aliases: Aliases, shapes: dict[str, tuple[int, ...]], where: str
) -> tuple[str, ...]:
    names = tuple(aliases.resolve(value.name) for value in model.graph.output)
    for name in names:
        if name not in shapes:
            raise ModelFileError(
                f"{where}: output {name!r} is produced by no operator; export it again"
            )
    if not names:
        raise ModelFileError(f"{where}: has no output; expected at least one")
    return names


def _graph(
    ops: list[Op],
    shapes: dict[str, tuple[int, ...]],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> OpGraph:
    names = dict.fromkeys([*inputs, *(name for op in ops for name in (*op.inputs, *op.outputs))])
    tensors = {name: Tensor(name=name, shape=shapes[name]) for name in names}
    return OpGraph(ops=tuple(ops), tensors=tensors, inputs=inputs, outputs=outputs)
