"""ONNX nodes as plain data, quantisation taken out: an int8 model reads like its float original.

QuantizeLinear and DequantizeLinear only say how a tensor is stored, so the tensors around them are
one tensor, and how it is stored is kept beside it; the operators with quantisation built in
(QLinearConv, QGemm, ...) become the operator that they compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import AttributeProto, NodeProto, TensorProto

from hwkd.core.errors import ModelFileError, first_line
from hwkd.trace.node_label import node_label
from hwkd.trace.onnx_dtypes import BITS, dtype_name, refuse_dtype
from hwkd.trace.onnx_model import STANDARD_DOMAINS
from hwkd.trace.onnx_tensors import Constant

# Removed: the output is the input, stored differently or not at all.
_SAME_TENSOR = frozenset({"QuantizeLinear", "DequantizeLinear", "Identity", "Dropout"})
_QUANTISERS = ("QuantizeLinear", "DequantizeLinear")
# Operator with built-in quantisation -> (operator it computes, positions of its real inputs,
# position of its output's zero point, whose type is the output's).
_QUANTISED: Mapping[str, tuple[str, tuple[int, ...], int]] = {
    "QGemm": ("Gemm", (0, 3, 6), 8),
    "QLinearAdd": ("Add", (0, 3), 7),
    "QLinearAveragePool": ("AveragePool", (0,), 4),
    "QLinearConv": ("Conv", (0, 3, 8), 7),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,), 4),
    "QLinearLeakyRelu": ("LeakyRelu", (0,), 4),
    "QLinearMatMul": ("MatMul", (0, 3), 7),
    "QLinearMul": ("Mul", (0, 3), 7),
    "QLinearSigmoid": ("Sigmoid", (0,), 4),
    "QLinearSoftmax": ("Softmax", (0,), 4),
}
# Attributes of those that the operator they compute does not have, with the only value that leaves
# the computation as it is.
_EXTRA_ATTRIBUTES: Mapping[str, object] = {"channels_last": 0, "opset": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator of the file.

    Attributes:
        name: unique.
        kind: ONNX operator type of the default domain.
        inputs: tensor names; "" where an optional input is left out.
        attributes: name -> value.
        proto: the node to infer shapes with.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: NodeProto


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The operators of a graph, quantisation taken out.

    Attributes:
        nodes: in file order.
        aliases: the names under which removed tensors live on.
        stored_as: tensor -> "int8", "int16" or "int4" where the file quantises it.
        dequantised: stored constants that are read as the float values that they stand for.
    """

    nodes: list[Node]
    aliases: Aliases
    stored_as: Mapping[str, str]
    dequantised: frozenset[str]
    is_quantised: bool


def read_nodes(
    protos: Iterable[NodeProto], stored: Mapping[str, Constant], opset: int, where: str
) -> Nodes:
    """Read the operators.

    Args:
        protos: nodes of the main graph, Constant nodes excluded.
        stored: constants by name; the type of a zero point is the type of what it belongs to.
        opset: version of the default domain.
        where: the file's name, for messages.

    Raises:
        ModelFileError: on an operator that is in no known domain or is used against its definition.
    """
    reader = _Reader(stored, opset, where)
    for index, proto in enumerate(protos):
        reader.read(index, proto)
    return reader.finish()


class Aliases:
    """Names of one tensor; `resolve` gives the name that is kept."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._source: dict[str, str] = {}

    def add(self, name: str, source: str) -> None:
        """Record that `name` is the tensor `source`."""
        self._source[name] = source

    def resolve(self, name: str) -> str:
        """Return the kept name; follows chains, which a damaged file may close into a ring."""
        seen: dict[str, None] = {}
        while name in self._source:
            if name in seen:
                raise ModelFileError(
                    f"{self._where}: tensor {name!r} is its own input: the graph has a cycle; "
                    "export it again"
                )
            seen[name] = None
            name = self._source[name]
        # The next walk along a long chain is one step.
        self._source.update(dict.fromkeys(seen, name))
        return name


class _Reader:
    def __init__(self, stored: Mapping[str, Constant], opset: int, where: str) -> None:
        self._stored, self._opset, self._where = stored, opset, where
        self._context = onnx.checker.C.CheckerContext()
        self._context.ir_version = 8
        self._context.opset_imports = {"": opset}
        self._aliases = Aliases(where)
        self._nodes: list[Node] = []
        self._taken: set[str] = set()
        self._stored_as: list[tuple[str, str]] = []
        self._dequantised: list[str] = []
        self._is_quantised = False

    def read(self, index: int, proto: NodeProto) -> None:
        """Take one node in."""
        kind = proto.op_type
        is_standard = proto.domain in STANDARD_DOMAINS
        if not (proto.domain == "com.microsoft" and kind in (*_QUANTISED, *_QUANTISERS)):
            self._require_standard(proto)
        if is_standard:
            self._check(proto)
        if kind in _SAME_TENSOR:
            self._rename(proto)
            return
        inputs = tuple(proto.input)
        if kind in _QUANTISED:
            given, output_type = kind, self._output_type(proto)
            kind, positions, _ = _QUANTISED[given]
            if not proto.output or len(inputs) <= positions[-2 if len(positions) > 2 else -1]:
                raise self._malformed(proto, f"{len(inputs)} inputs are too few")
            inputs = tuple(inputs[i] for i in positions if i < len(inputs))
            self._is_quantised = True
            self._dequantised += inputs
            self._stored_as.append((proto.output[0], output_type))
        name = proto.name or f"{kind}_{index}"
        while name in self._taken:
            name = f"{name}#{index}"
        self._taken.add(name)
        self._nodes.append(self._node(name, kind, inputs, proto))

    def finish(self) -> Nodes:
        """Point every node at the tensors that are kept."""
        resolve = self._aliases.resolve
        stored_as: dict[str, str] = {}
        for name, dtype in self._stored_as:
            kept = resolve(name)
            # Of two precisions of one tensor the wider is kept: costs are never below the truth.
            if dtype and BITS[dtype] > BITS.get(stored_as.get(kept, ""), 0):
                stored_as[kept] = dtype
        dequantised = {resolve(name) for name in self._dequantised if name}
        for name in dequantised & self._stored.keys():
            stored_as.setdefault(name, self._stored[name].dtype)
        integers = {"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"}
        return Nodes(
            nodes=[_renamed(node, self._aliases) for node in self._nodes],
            aliases=self._aliases,
            stored_as=stored_as,
            dequantised=frozenset(dequantised & self._stored.keys()),
            is_quantised=self._is_quantised or any(node.kind in integers for node in self._nodes),
        )

    def _rename(self, proto: NodeProto) -> None:
        if not proto.input or not proto.output or not proto.input[0]:
            raise self._malformed(proto, "it needs an input and an output")
        self._aliases.add(proto.output[0], proto.input[0])
        if proto.op_type in _QUANTISERS:
            self._is_quantised = True
        if proto.op_type == "DequantizeLinear":
            self._dequantised.append(proto.input[0])
        elif proto.op_type == "QuantizeLinear":
            self._stored_as.append((proto.output[0], self._output_type(proto)))

    def _output_type(self, proto: NodeProto) -> str:
        """Return what a quantising node writes; "" for one that writes float."""
        position = 2 if proto.op_type == "QuantizeLinear" else _QUANTISED[proto.op_type][2]
        for attribute in proto.attribute:
            if attribute.name == "output_dtype" and attribute.i:
                refuse_dtype(attribute.i, f"{self._where}: the output of node {node_label(proto)}")
                return dtype_name(attribute.i)
        zero_point = proto.input[position] if len(proto.input) > position else ""
        zero_point = self._aliases.resolve(zero_point)
        if zero_point in self._stored:
            return self._stored[zero_point].dtype
        # QGemm without an output scale writes float; the others fall back to uint8.
        return "" if proto.op_type == "QGemm" else dtype_name(TensorProto.UINT8)

    def _require_standard(self, proto: NodeProto) -> None:
        kind = proto.op_type
        if proto.domain not in STANDARD_DOMAINS:
            raise ModelFileError(
                f"{self._where}: operator {kind} of the domain {proto.domain!r} (node "
                f"{node_label(proto)}) is not standard ONNX; export the model with standard "
                "operators only"
            )
        if kind not in _QUANTISED and not onnx.defs.has(kind, max_inclusive_version=self._opset):
            raise ModelFileError(
                f"{self._where}: {kind} (node {node_label(proto)}) is no operator of ONNX opset "
                f"{self._opset}; check the export or update onnx"
            )

    def _check(self, proto: NodeProto) -> None:
        """Hold a node to its operator's definition: inputs, outputs, attributes and their types."""
        try:
            onnx.checker.check_node(proto, self._context)
        except onnx.checker.ValidationError as error:
            raise self._malformed(proto, first_line(error)) from None

    def _node(self, name: str, kind: str, inputs: tuple[str, ...], proto: NodeProto) -> Node:
        attributes = {item.name: onnx.helper.get_attribute_value(item) for item in proto.attribute}
        copy = NodeProto()
        copy.CopyFrom(proto)
        copy.op_type, copy.domain, copy.name = kind, "", name
        if kind != proto.op_type:
            for extra, plain in _EXTRA_ATTRIBUTES.items():
                value = attributes.pop(extra, plain)
                if plain is not None and value != plain:
                    raise self._malformed(proto, f"hwkd reads {extra}={plain} only")
            kept = [item for item in proto.attribute if item.name in attributes]
            del copy.attribute[:]
            copy.attribute.extend(kept)
            self._check_attributes_of(kind, copy, proto)
        outputs = tuple(proto.output)
        if not any(outputs):
            raise self._malformed(proto, "it has no output")
        return Node(
            name=name, kind=kind, inputs=inputs, outputs=outputs, attributes=attributes, proto=copy
        )

    def _check_attributes_of(self, kind: str, copy: NodeProto, proto: NodeProto) -> None:
        """Hold what is left of a quantised operator to the definition of the one it computes."""
        known = onnx.defs.get_schema(kind, self._opset).attributes
        for item in copy.attribute:
            type_name = f"AttrType.{AttributeProto.AttributeType.Name(item.type)}"
            if item.name not in known or str(known[item.name].type) != type_name:
                raise self._malformed(proto, f"attribute {item.name!r} is not one of {kind}")

    def _malformed(self, proto: NodeProto, reason: str) -> ModelFileError:
        return ModelFileError(
            f"{self._where}: node {node_label(proto)} ({proto.op_type}) is malformed: {reason}"
        )


def _renamed(node: Node, aliases: Aliases) -> Node:
    """Point a node at the tensors that are kept, in its plain data and in its proto."""
    inputs = tuple(aliases.resolve(name) if name else "" for name in node.inputs)
    del node.proto.input[:]
    node.proto.input.extend(inputs)
    return Node(
        name=node.name,
        kind=node.kind,
        inputs=inputs,
        outputs=node.outputs,
        attributes=node.attributes,
        proto=node.proto,
    )
