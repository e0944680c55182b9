"""ONNX nodes as plain data, quantisation taken out: an int8 model reads like its float original.

QuantizeLinear and DequantizeLinear only say how a tensor is stored, so the tensors around them are
one tensor; the operators with quantisation built in (QLinearConv, QGemm, ...) become the operator
that they compute.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from onnx import NodeProto

from hwkd.core.errors import ModelFileError

__all__ = ["Node", "read_nodes", "sort_nodes"]

_STANDARD = ("", "ai.onnx")
# Removed: the output is the input, stored differently or not at all.
_SAME_TENSOR = frozenset({"QuantizeLinear", "DequantizeLinear", "Identity", "Dropout"})
# Operator with built-in quantisation -> (operator it computes, positions of its real inputs).
_QUANTISED: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "ConvInteger": ("Conv", (0, 1)),
    "MatMulInteger": ("MatMul", (0, 1)),
    "QGemm": ("Gemm", (0, 3, 6)),
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    "QLinearConv": ("Conv", (0, 3, 8)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearLeakyRelu": ("LeakyRelu", (0,)),
    "QLinearMatMul": ("MatMul", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearSigmoid": ("Sigmoid", (0,)),
    "QLinearSoftmax": ("Softmax", (0,)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One operator of the file.

    Attributes:
        name: unique.
        kind: ONNX operator type of the default domain.
        inputs: tensor names; "" where an optional input is left out.
        outputs: tensor names.
        attributes: name -> value (tensors and graphs included).
        proto: the node to infer shapes with.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: NodeProto


def read_nodes(protos: Iterable[NodeProto], opset: int, where: str) -> tuple[list[Node], Aliases]:
    """Read the operators, quantisation removed.

    Args:
        protos: nodes of the main graph, Constant nodes excluded.
        opset: version of the default domain.
        where: the file's name, for messages.

    Returns:
        The nodes in file order, and the names under which the removed tensors live on.

    Raises:
        ModelFileError: on an operator that is in no known domain.
    """
    aliases = Aliases(where)
    context = _checker_context(opset)
    nodes = []
    taken: set[str] = set()
    for index, proto in enumerate(protos):
        kind, positions = _kind(proto, opset, where)
        if proto.domain in _STANDARD:
            _check(proto, context, where)
        if kind in _SAME_TENSOR:
            aliases.add(proto.output[0], proto.input[0])
            continue
        inputs = tuple(proto.input)
        if positions is not None:
            inputs = tuple(inputs[i] for i in positions if i < len(inputs))
        name = proto.name or f"{kind}_{index}"
        if name in taken:
            name = f"{name}#{index}"
        taken.add(name)
        nodes.append(_node(name, kind, inputs, proto))
    return [_renamed(node, aliases) for node in nodes], aliases


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
        seen = set()
        while name in self._source:
            if name in seen:
                raise ModelFileError(
                    f"{self._where}: tensor {name!r} is its own input: the graph has a cycle; "
                    "export it again"
                )
            seen.add(name)
            name = self._source[name]
        return name


def sort_nodes(nodes: list[Node], known: Iterable[str], where: str) -> list[Node]:
    """Put the nodes in an order in which every input exists; keeps the file's order if it does.

    Args:
        nodes: of one graph.
        known: tensors that exist before the first node.
        where: the file's name, for messages.

    Raises:
        ModelFileError: on a cycle, or on an input that nothing produces.
    """
    produced = {name for node in nodes for name in node.outputs}
    available = set(known) | {""}
    missing: list[set[str]] = []
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        missing.append({name for name in node.inputs if name not in available})
        for name in missing[index]:
            if name not in produced:
                raise ModelFileError(
                    f"{where}: node {node.name!r} reads {name!r}, which nothing produces; "
                    "the file is damaged, export it again"
                )
            readers.setdefault(name, []).append(index)
    ready = [index for index in range(len(nodes)) if not missing[index]]
    ordered = []
    while ready:
        # The smallest index first, so that a file in order keeps its order.
        node = nodes[heapq.heappop(ready)]
        ordered.append(node)
        for name in node.outputs:
            for index in readers.pop(name, ()):
                missing[index].discard(name)
                if not missing[index]:
                    heapq.heappush(ready, index)
    if len(ordered) < len(nodes):
        stuck = next(node for node, names in zip(nodes, missing, strict=True) if names)
        raise ModelFileError(
            f"{where}: the graph has a cycle through node {stuck.name!r} ({stuck.kind}); "
            "an ONNX graph must be acyclic, export it again"
        )
    return ordered


def _checker_context(opset: int) -> onnx.checker.C.CheckerContext:
    context = onnx.checker.C.CheckerContext()
    context.ir_version = 8
    context.opset_imports = {"": opset}
    return context


def _check(proto: NodeProto, context: onnx.checker.C.CheckerContext, where: str) -> None:
    """Hold a node to its operator's definition: inputs, outputs, attributes and their types."""
    try:
        onnx.checker.check_node(proto, context)
    except onnx.checker.ValidationError as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelFileError(
            f"{where}: node {proto.name!r} ({proto.op_type}) is malformed: {reason}"
        ) from None


def _kind(proto: NodeProto, opset: int, where: str) -> tuple[str, tuple[int, ...] | None]:
    """Return the operator type and, for one with built-in quantisation, its real inputs."""
    kind = proto.op_type
    if not isinstance(kind, str):  # protobuf hands out bytes that are no text as they are
        raise ModelFileError(f"{where}: an operator's type is not text; the file is damaged")
    if kind in _QUANTISED and proto.domain in (*_STANDARD, "com.microsoft"):
        return _QUANTISED[kind]
    if proto.domain == "com.microsoft" and kind in _SAME_TENSOR:
        return kind, None
    if proto.domain not in _STANDARD:
        raise ModelFileError(
            f"{where}: operator {kind} of the domain {proto.domain!r} (node {proto.name!r}) is not "
            "standard ONNX; export the model with standard operators only"
        )
    if not onnx.defs.has(kind, max_inclusive_version=opset):
        raise ModelFileError(
            f"{where}: {kind} (node {proto.name!r}) is no operator of ONNX opset {opset}; "
            "check the export or update onnx"
        )
    return kind, None


def _node(name: str, kind: str, inputs: tuple[str, ...], proto: NodeProto) -> Node:
    attributes = {item.name: onnx.helper.get_attribute_value(item) for item in proto.attribute}
    return Node(
        name=name,
        kind=kind,
        inputs=inputs,
        outputs=tuple(proto.output),
        attributes=attributes,
        proto=proto,
    )


def _renamed(node: Node, aliases: Aliases) -> Node:
    """Point a node at the tensors that are kept, in its plain data and in its proto."""
    inputs = tuple(aliases.resolve(name) if name else "" for name in node.inputs)
    proto = NodeProto()
    proto.CopyFrom(node.proto)
    proto.op_type, proto.domain, proto.name = node.kind, "", node.name
    del proto.input[:]
    proto.input.extend(inputs)
    return Node(
        name=node.name,
        kind=node.kind,
        inputs=inputs,
        outputs=node.outputs,
        attributes=node.attributes,
        proto=proto,
    )
