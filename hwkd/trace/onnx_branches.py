"""Puts the branch of an `If` in its place where the file itself decides which one runs.

Exporters write a choice for what a model asks about shapes: the condition is a constant, or follows
from sizes that are fixed. Nothing is chosen while such a network runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from math import prod

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto
from onnx.reference import ReferenceEvaluator

__all__ = ["take_known_branches"]

# Each gives at most as many values as the longest of its operands of at most one axis.
_ARITHMETIC = frozenset(
    {
        "Add", "And", "Cast", "Div", "Equal", "Gather", "Greater", "GreaterOrEqual", "Identity",
        "Less", "LessOrEqual", "Mod", "Mul", "Not", "Or", "ReduceProd", "Squeeze", "Sub", "Xor",
    }
)  # fmt: skip
_SHAPE_READERS = frozenset({"Shape", "Size"})
# More of them is no question about a shape.
_MOST_NODES, _MOST_VALUES, _MOST_INFERENCES = 64, 64, 64


def take_known_branches(model: ModelProto) -> None:
    """Replace every `If` of the main graph whose condition is known; leaves the others.

    A batch without a number is taken as 1, as costs take it.

    Args:
        model: changed in place; its text is text.
    """
    if any(node.op_type == "If" for node in model.graph.node):
        _Graph(model).take()


class _Graph:
    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._nodes: list[NodeProto] = []
        self._writers: dict[str, NodeProto] = {}
        self._stored = {item.name: item for item in model.graph.initializer}
        self._taken = {item.name for item in (*model.graph.input, *model.graph.initializer)}
        self._taken.update(name for node in model.graph.node for name in node.output)
        self._labels = {node.name for node in model.graph.node}
        self._asked: list[NodeProto] = []
        self._shapes: Mapping[str, tuple[int, ...]] = {}
        self._inferences = 0

    def take(self) -> None:
        """Go through the nodes in order, those of chosen branches among them."""
        waiting = deque(self._model.graph.node)
        while waiting:
            node = waiting.popleft()
            branch = self._branch(node) if node.op_type == "If" else None
            if branch is not None:
                waiting.extendleft(reversed(self._in_place(node, branch)))
                continue
            self._nodes.append(node)
            self._writers.update(dict.fromkeys(node.output, node))
        kept = self._without_questions()
        del self._model.graph.node[:]
        self._model.graph.node.extend(kept)

    def _branch(self, node: NodeProto) -> GraphProto | None:
        branches = {item.name: item.g for item in node.attribute if item.HasField("g")}
        if node.domain or set(branches) != {"then_branch", "else_branch"} or len(node.input) != 1:
            return None
        if any(len(graph.output) != len(node.output) for graph in branches.values()):
            return None
        answer = self._answer(node.input[0])
        return None if answer is None else branches["then_branch" if answer else "else_branch"]

    def _in_place(self, node: NodeProto, branch: GraphProto) -> list[NodeProto]:
        """Return the nodes of a branch, its constants stored, under names of their own."""
        own = [item.name for item in branch.initializer]
        own += [name for inner in branch.node for name in inner.output if name]
        names = {name: _free(name, self._taken) for name in own}
        for item in branch.initializer:
            self._model.graph.initializer.append(item)
            self._model.graph.initializer[-1].name = names[item.name]
            self._stored[names[item.name]] = self._model.graph.initializer[-1]
        self._model.graph.sparse_initializer.extend(branch.sparse_initializer)
        nodes = list(branch.node)
        for inner in nodes:
            _rename(inner, names)
            inner.name = inner.name and _free(inner.name, self._labels)
        for given, name in zip(branch.output, node.output, strict=True):
            source = names.get(given.name, given.name)
            nodes.append(onnx.helper.make_node("Identity", [source], [name]))
        return nodes

    def _answer(self, condition: str) -> bool | None:
        """Return the value of a condition; None where it depends on data."""
        nodes: list[NodeProto] = []
        values: list[TensorProto] = []
        waiting, seen = [condition], {condition, ""}
        while waiting:
            name = waiting.pop()
            writer = self._writers.get(name)
            if writer is None or writer.op_type == "Constant" or writer.op_type in _SHAPE_READERS:
                value = self._short_value(name, writer)
                if value is None:
                    return None
                values.append(value)
                continue
            if writer.op_type not in _ARITHMETIC or len(nodes) == _MOST_NODES:
                return None
            nodes.append(writer)
            waiting += [given for given in writer.input if given not in seen]
            seen.update(writer.input)
        self._asked += nodes
        chosen = {id(node) for node in nodes}
        in_order = [node for node in self._nodes if id(node) in chosen]
        return _computed(condition, in_order, values, self._model)

    def _short_value(self, name: str, writer: NodeProto | None) -> TensorProto | None:
        if writer is not None and writer.op_type in _SHAPE_READERS:
            shape = None if writer.attribute else self._shape(next(iter(writer.input), ""))
            if shape is None:
                return None
            self._asked.append(writer)
            value = np.array(shape if writer.op_type == "Shape" else prod(shape), np.int64)
            return onnx.numpy_helper.from_array(value, name)
        stored = self._stored.get(name)
        if writer is not None:
            stored = next((item.t for item in writer.attribute if item.name == "value"), None)
        if stored is None or stored.data_location == TensorProto.EXTERNAL or len(stored.dims) > 1:
            return None
        if prod(stored.dims) > _MOST_VALUES:
            return None
        value = TensorProto()
        value.CopyFrom(stored)
        value.name = name
        return value

    def _shape(self, name: str) -> tuple[int, ...] | None:
        if name not in self._shapes and self._inferences < _MOST_INFERENCES:
            self._inferences += 1
            self._shapes = _known_shapes(self._model, self._nodes)
        return self._shapes.get(name)

    def _without_questions(self) -> list[NodeProto]:
        """Return the nodes without those that only conditions read."""
        asked = {name for node in self._asked for name in node.output}
        read = {item.name for item in self._model.graph.output}
        kept = []
        for node in reversed(self._nodes):
            if read.isdisjoint(node.output) and asked.issuperset(node.output):
                continue
            read.update(_reads(node))
            kept.append(node)
        return kept[::-1]


def _known_shapes(model: ModelProto, nodes: list[NodeProto]) -> dict[str, tuple[int, ...]]:
    """Return the shapes that onnx knows after these nodes of a model."""
    part = ModelProto()
    part.CopyFrom(model)
    del part.graph.node[:]
    del part.graph.output[:]
    part.graph.node.extend(nodes)
    for item in part.graph.input:
        first = item.type.tensor_type.shape.dim[:1]
        if first and not first[0].HasField("dim_value"):
            first[0].dim_value = 1
    try:
        part = onnx.shape_inference.infer_shapes(part, data_prop=True)
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError):
        return {}
    shapes = {}
    for item in (*part.graph.input, *part.graph.value_info):
        kind = item.type.tensor_type
        dims = kind.shape.dim
        if kind.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            shapes[item.name] = tuple(dim.dim_value for dim in dims)
    return shapes


def _computed(
    condition: str, nodes: list[NodeProto], values: list[TensorProto], model: ModelProto
) -> bool | None:
    asked = onnx.helper.make_graph(
        nodes, "condition", [], [onnx.ValueInfoProto(name=condition)], values
    )
    question = onnx.helper.make_model(asked, opset_imports=model.opset_import, ir_version=8)
    try:
        (answer,) = ReferenceEvaluator(question).run(None, {})
    except Exception:  # NumPy's and onnx's own, of any class: what it would be is not known
        return None
    found = np.asarray(answer)
    return bool(found.reshape(-1)[0]) if found.size == 1 and found.dtype == np.bool_ else None


def _free(name: str, taken: set[str]) -> str:
    """Return the name, or one like it, and take it."""
    free, number = name, 0
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    taken.add(free)
    return free


def _rename(node: NodeProto, names: Mapping[str, str]) -> None:
    for ends in (node.input, node.output):
        for index, name in enumerate(ends):
            ends[index] = names.get(name, name)
    for graph in _graphs(node):
        # What a graph writes itself hides a name of the same text outside.
        own = {item.name for item in (*graph.input, *graph.initializer)}
        own |= {name for inner in graph.node for name in inner.output}
        outer = {old: new for old, new in names.items() if old not in own}
        for inner in graph.node:
            _rename(inner, outer)
        for item in graph.output:
            item.name = outer.get(item.name, item.name)


def _reads(node: NodeProto) -> Iterator[str]:
    yield from node.input
    for graph in _graphs(node):
        for inner in graph.node:
            yield from _reads(inner)
        yield from (item.name for item in graph.output)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
