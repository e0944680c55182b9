"""Works out what an ONNX file leaves to be computed though nothing of it depends on data.

Exporters write arithmetic for what a model asks about shapes: the amounts of a pad, the target of a
reshape, the choice of an `If`. Where all of it is constants and fixed sizes, the values stand in
the place of the nodes, and the branch that runs in the place of the choice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto
from onnx.reference import ReferenceEvaluator

_SHAPE_READERS = frozenset({"Shape", "Size"})
# None gives more values than the product of the sizes of two operands, beside the two below.
_ARITHMETIC = frozenset(
    {
        "Add", "And", "Cast", "Concat", "ConstantOfShape", "Div", "Equal", "Gather", "Greater",
        "GreaterOrEqual", "Less", "LessOrEqual", "Mod", "Mul", "Neg", "Not", "Or", "ReduceMax",
        "ReduceMin", "ReduceProd", "ReduceSum", "Reshape", "Slice", "Squeeze", "Sub", "Transpose",
        "Unsqueeze", "Xor",
    }
)  # fmt: skip
_MOST_VALUES, _MOST_INFERENCES, _MOST_COMPUTED = 1024, 64, 2000


def take_branches(model: ModelProto) -> None:
    """Replace every `If` of the main graph whose condition is known; leaves the others.

    A batch without a number is taken as 1, as costs take it.

    Args:
        model: changed in place; its text is text.
    """
    if any(node.op_type == "If" for node in model.graph.node):
        _Graph(model).take()


def take_fixed_values(model: ModelProto) -> None:
    """Replace nodes that compute about constants and fixed sizes by their values, too."""
    if any(node.op_type in _SHAPE_READERS | _ARITHMETIC for node in model.graph.node):
        _Graph(model).take()


class _Graph:
    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._nodes: list[NodeProto] = []
        self._taken = {item.name for item in (*model.graph.input, *model.graph.initializer)}
        self._taken.update(name for node in model.graph.node for name in node.output)
        self._labels = {node.name for node in model.graph.node}
        self._values: dict[str, NDArray[Any]] = {}
        for item in model.graph.initializer:
            self._keep(item.name, item)
        self._computed: set[str] = set()
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
            elif not self._is_computed(node):
                self._nodes.append(node)
        del self._model.graph.node[:]
        self._model.graph.node.extend(self._nodes)
        read = {item.name for item in self._model.graph.output}
        read.update(name for node in self._nodes for name in _reads(node))
        for index in reversed(range(len(self._model.graph.initializer))):
            name = self._model.graph.initializer[index].name
            if name in self._computed and name not in read:
                del self._model.graph.initializer[index]

    def _keep(self, name: str, stored: TensorProto) -> None:
        is_short = len(stored.dims) <= 8 and 0 <= prod(stored.dims) <= _MOST_VALUES
        if is_short and stored.data_location != TensorProto.EXTERNAL:
            try:
                self._values[name] = onnx.numpy_helper.to_array(stored)
            except Exception:  # NumPy's and onnx's own: whoever needs it says what is wrong
                return

    def _is_computed(self, node: NodeProto) -> bool:
        """Work out the output of a node that depends on no input; returns whether that can be."""
        if node.domain or len(node.output) != 1:
            return False
        name = node.output[0]
        if node.op_type == "Constant":
            stored = next((item.t for item in node.attribute if item.name == "value"), None)
            if stored is not None:
                self._keep(name, stored)
            return False
        if node.op_type == "Identity" and node.input and node.input[0] in self._values:
            self._values[name] = self._values[node.input[0]]
            return False
        value = self._size(node) if node.op_type in _SHAPE_READERS else self._result(node)
        if value is None or value.size > _MOST_VALUES:
            return False
        self._values[name] = value
        self._computed.add(name)
        self._model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
        return True

    def _size(self, node: NodeProto) -> NDArray[Any] | None:
        shape = self._shape(node.input[0]) if node.input else None
        if shape is None:
            return None
        if node.op_type == "Size":
            return np.array(prod(shape), np.int64)
        ends = {item.name: item.i for item in node.attribute}
        return np.array(shape[ends.get("start", 0) : ends.get("end", len(shape))], np.int64)

    def _shape(self, name: str) -> tuple[int, ...] | None:
        if name not in self._shapes and self._inferences < _MOST_INFERENCES:
            self._inferences += 1
            self._shapes = _known_shapes(self._model, self._nodes)
        return self._shapes.get(name)

    def _result(self, node: NodeProto) -> NDArray[Any] | None:
        names = [name for name in node.input if name]
        if node.op_type not in _ARITHMETIC or len(self._computed) >= _MOST_COMPUTED:
            return None
        if not names or not all(name in self._values for name in names):
            return None
        given = {name: self._values[name] for name in names}
        if node.op_type == "ConstantOfShape":
            sizes = next(iter(given.values())).reshape(-1)
            if sizes.size > 8 or not 0 <= prod(int(size) for size in sizes) <= _MOST_VALUES:
                return None
        stored = [onnx.numpy_helper.from_array(value, name) for name, value in given.items()]
        output = [onnx.ValueInfoProto(name=node.output[0])]
        graph = onnx.helper.make_graph([node], "node", [], output, stored)
        alone = onnx.helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=8)
        try:
            with np.errstate(all="ignore"):
                (value,) = ReferenceEvaluator(alone).run(None, {})
            return np.asarray(value)
        except Exception:  # NumPy's and onnx's own, of any class: what it would be is not known
            return None

    def _branch(self, node: NodeProto) -> GraphProto | None:
        branches: dict[str, GraphProto] = {
            item.name: item.g for item in node.attribute if item.HasField("g")
        }
        if node.domain or set(branches) != {"then_branch", "else_branch"} or len(node.input) != 1:
            return None
        if any(len(graph.output) != len(node.output) for graph in branches.values()):
            return None
        answer = self._values.get(node.input[0])
        if answer is None or answer.size != 1 or answer.dtype != np.bool_:
            return None
        return branches["then_branch" if answer.reshape(-1)[0] else "else_branch"]

    def _in_place(self, node: NodeProto, branch: GraphProto) -> list[NodeProto]:
        """Return the nodes of a branch, its constants stored, under names of their own."""
        own = [item.name for item in branch.initializer]
        own += [name for inner in branch.node for name in inner.output if name]
        names = {name: _free(name, self._taken) for name in own}
        for item in branch.initializer:
            self._model.graph.initializer.append(item)
            self._model.graph.initializer[-1].name = names[item.name]
            self._keep(names[item.name], item)
        self._model.graph.sparse_initializer.extend(branch.sparse_initializer)
        nodes = list(branch.node)
        for inner in nodes:
            _rename(inner, names)
            inner.name = inner.name and _free(inner.name, self._labels)
        for given, name in zip(branch.output, node.output, strict=True):
            source = names.get(given.name, given.name)
            nodes.append(onnx.helper.make_node("Identity", [source], [name]))
        return nodes


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
