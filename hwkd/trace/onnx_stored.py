"""How a file that is quantised in part stores each tensor, and in what each operator computes.

A float tensor between two operators that one kernel computes together (a convolution and its ReLU)
never exists, and one that is only moved keeps its integers. What is left float is float: where it
meets integers, the file's quantise and dequantise nodes are work of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from itertools import count

from onnx import NodeProto

from hwkd.core.kinds import kind_of
from hwkd.trace.onnx_dtypes import FLOAT32, QUANTISED, dtype_name
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_shapes import TensorType

# Computed by the kernel before them, so the tensor in between is stored like their output.
_FOLLOWS = frozenset({"Add", "BatchNormalization", "Clip", "Relu"})
_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
# Their very purpose is to change the type.
_CONVERTS = frozenset({"Cast", "CastLike", "ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredTypes:
    """Types of a graph.

    Attributes:
        nodes: the operators, with the conversions that really run put between them.
        types: element type and shape of every tensor, those of conversions included.
        dtypes: tensor -> how it is stored.
        computes_in: operator -> "int8", "float32", or words such as "int8 to float32" for a mixture
            that no kernel is known for.
    """

    nodes: list[Node]
    types: Mapping[str, TensorType]
    dtypes: Mapping[str, str]
    computes_in: Mapping[str, str]


def find_stored_types(
    nodes: list[Node],
    types: Mapping[str, TensorType],
    fixed: Set[str],
    stored_as: Mapping[str, str],
    outputs: Set[str],
) -> StoredTypes:
    """Decide the type of every tensor and operator of a quantised file.

    Args:
        nodes: in execution order, quantisation taken out.
        types: element type and shape of every tensor, as operators see them.
        fixed: names of constants and of what follows from them alone.
    """
    dtypes = {name: dtype_name(kind) for name, (kind, _) in types.items() if kind}
    dtypes.update(stored_as)
    live = [node for node in nodes if not all(name in fixed for name in node.outputs if name)]
    _join_what_one_kernel_computes(live, dtypes, stored_as, fixed, outputs)
    return _Conversions(dict(types), dtypes, fixed).insert(nodes, live)


def _join_what_one_kernel_computes(
    nodes: list[Node],
    dtypes: dict[str, str],
    stored_as: Mapping[str, str],
    fixed: Set[str],
    outputs: Set[str],
) -> None:
    readers: dict[str, int] = dict.fromkeys(outputs, 1)
    for node in nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    for node in reversed(nodes):
        data = [name for name in node.inputs if name and name not in fixed]
        joins = node.kind in _FOLLOWS or kind_of(node.kind).moves
        if not joins or len(data) != 1 or readers[data[0]] > 1:
            continue
        after = dtypes.get(node.outputs[0])
        if after in QUANTISED and dtypes.get(data[0]) == FLOAT32 and data[0] not in stored_as:
            dtypes[data[0]] = after
    for node in nodes:
        if not kind_of(node.kind).moves:
            continue
        moved = {
            dtypes.get(name) for name in node.inputs if name and name not in fixed
        } - {"int32", "int64"}  # fmt: skip
        if len(moved) == 1 and (only := moved.pop()) in QUANTISED:
            for name in node.outputs:
                if dtypes.get(name) == FLOAT32:
                    dtypes[name] = only


class _Conversions:
    """Puts quantise and dequantise operators where float operators meet integers."""

    def __init__(
        self, types: dict[str, TensorType], dtypes: dict[str, str], fixed: Set[str]
    ) -> None:
        self._types, self._dtypes, self._fixed = types, dtypes, fixed
        self._computes_in: dict[str, str] = {}
        self._float_copy: dict[str, str] = {}
        self._numbers = count()

    def insert(self, nodes: list[Node], live: list[Node]) -> StoredTypes:
        """Go through the operators in order."""
        alive = {node.name for node in live}
        result: list[Node] = []
        for node in nodes:
            result.extend(self._around(node) if node.name in alive else [node])
        return StoredTypes(
            nodes=result, types=self._types, dtypes=self._dtypes, computes_in=self._computes_in
        )

    def _around(self, node: Node) -> list[Node]:
        computes_in = self._computes(node)
        self._computes_in[node.name] = computes_in
        if computes_in != FLOAT32 or node.kind in _CONVERTS:
            return [node]
        before = []
        renamed = {}
        for name in dict.fromkeys(node.inputs):
            if name and name not in self._fixed and self._dtypes.get(name) in QUANTISED:
                if name not in self._float_copy:
                    self._float_copy[name] = self._new_tensor(name)
                    before.append(
                        self._conversion("DequantizeLinear", name, self._float_copy[name])
                    )
                renamed[name] = self._float_copy[name]
        after = []
        outputs = list(node.outputs)
        for index, name in enumerate(node.outputs):
            if name and self._dtypes.get(name) in QUANTISED:
                outputs[index] = self._new_tensor(name)
                after.append(self._conversion("QuantizeLinear", outputs[index], name))
        changed = Node(
            name=node.name,
            kind=node.kind,
            inputs=tuple(renamed.get(name, name) for name in node.inputs),
            outputs=tuple(outputs),
            attributes=node.attributes,
            proto=node.proto,
        )
        return [*before, changed, *after]

    def _computes(self, node: Node) -> str:
        """Return what an operator computes in, from what it reads and writes."""
        data = [
            self._dtypes[name] for name in node.inputs
            if name in self._dtypes and name not in self._fixed
        ]  # fmt: skip
        written = [self._dtypes[name] for name in node.outputs if name in self._dtypes]
        if node.kind in _CONVERTS:
            return f"{data[0]} to {written[0]}" if data and written else FLOAT32
        numbers = {dtype for dtype in (*data, *written) if dtype in QUANTISED or dtype == FLOAT32}
        if not numbers:
            return (written or data or [FLOAT32])[0]
        weights = self._weights(node)
        if weights in QUANTISED and FLOAT32 in numbers:
            if set(data) <= QUANTISED:
                return f"{data[0] if data else weights} to float32"
            return f"float32 with {weights} weights" if set(data) == {FLOAT32} else FLOAT32
        if FLOAT32 in numbers or weights == FLOAT32:
            return FLOAT32
        if len(numbers) > 1:
            return " and ".join(sorted(numbers))
        only = numbers.pop()
        return only if weights in (None, only) else f"{only} with {weights} weights"

    def _weights(self, node: Node) -> str | None:
        if node.kind not in _WEIGHTED:
            return None
        found = [
            self._dtypes[name] for name in node.inputs[:2]
            if name in self._fixed and name in self._dtypes
        ]  # fmt: skip
        return found[0] if found else None

    def _new_tensor(self, like: str) -> str:
        name = f"{like}_float32"
        while name in self._types:
            name = f"{like}_float32_{next(self._numbers)}"
        self._types[name] = self._types[like]
        self._dtypes[name] = FLOAT32
        return name

    def _conversion(self, kind: str, source: str, target: str) -> Node:
        node = Node(
            name=f"{target} ({kind})", kind=kind, inputs=(source,), outputs=(target,),
            attributes={}, proto=NodeProto(),
        )  # fmt: skip
        ends = (self._dtypes[source], self._dtypes[target])
        self._computes_in[node.name] = " to ".join(ends)
        return node
