"""A user's ONNX file -> the operator graph that the cost model reads; nothing is executed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import onnx

from hwkd.core.errors import ModelFileError
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.trace.onnx_dtypes import BITS, FLOAT32, QUANTISED, dtype_name
from hwkd.trace.onnx_inputs import FixedInput, fix_inputs
from hwkd.trace.onnx_model import open_model, opset_of, stored_tensors
from hwkd.trace.onnx_nodes import Aliases, Node, read_nodes
from hwkd.trace.onnx_ops import build_op
from hwkd.trace.onnx_order import sort_nodes
from hwkd.trace.onnx_shapes import SHAPE_READERS, TensorType, infer_types
from hwkd.trace.onnx_stored import find_stored_types
from hwkd.trace.onnx_tensors import Constant, read_constants
from hwkd.trace.whole_numbers import without_making_whole

# "mixed": some of it is quantised to 8 bits and some is not.
FileDtype = Literal["int8", "float32", "mixed"]
# Placing tensors in memory takes time with the square of their number: seconds, for so many.
_MOST_OPS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A model file as costs see it.

    Attributes:
        inputs: with the axis that was taken as the batch.
    """

    graph: OpGraph
    inputs: tuple[FixedInput, ...]
    dtype: FileDtype


def load_graph(path: Path) -> OpGraph:
    """Read the operators of a network for one inference, in no type of their own.

    Float32 files and quantised files (QDQ or operators with quantisation built in) give the same
    graph. Operators computed from constants alone are left out; a symbolic batch becomes 1.

    Args:
        path: ONNX file; external data beside it is only looked at where the weights matter.

    Raises:
        ModelFileError: if the file is damaged, has dynamic shapes other than the batch, types or
            operators that hwkd does not read, or data outside its folder.
    """
    return load_network(path, keep_types=False).graph


def load_network(path: Path, *, keep_types: bool) -> Network:
    """Read a network and what is to be known about it.

    Args:
        keep_types: a quantised file keeps the types that it gives each tensor and operator; without
            it, quantisation is taken out.

    Raises:
        ModelFileError: as `load_graph`.
    """
    source = read_source(path)
    dtypes: Mapping[str, str] = {}
    computes_in: Mapping[str, str] = {}
    nodes, types = source.nodes, source.types
    if keep_types and source.is_quantised:
        found = find_stored_types(nodes, types, source.fixed, source.stored_as, {*source.outputs})
        nodes, types, dtypes = found.nodes, found.types, found.dtypes
        computes_in = found.computes_in
    else:
        dtypes, computes_in = _own_types(source)
    shapes = {name: shape for name, (_, shape) in types.items()}
    normed = {node.inputs[0] for node in nodes if node.kind == "BatchNormalization"}
    ops = []
    for node in nodes:
        if all(name in source.fixed for name in node.outputs if name):
            continue
        try:
            op = build_op(
                node, shapes, source.fixed, source.constants,
                has_norm=node.outputs[0] in normed,
                computes_in=computes_in.get(node.name), dtypes=dtypes,
            )  # fmt: skip
        except ModelFileError as error:
            raise ModelFileError(f"{path}: {error}") from None
        ops.append(op)
    if len(ops) > _MOST_OPS:
        raise ModelFileError(
            f"{path}: {len(ops):,} operators that run; hwkd costs up to {_MOST_OPS:,}"
        )
    names = tuple(item.name for item in source.inputs)
    graph = _graph(ops, shapes, dtypes, names, source.outputs)
    return Network(
        graph=graph,
        inputs=source.inputs,
        dtype=_file_dtype(source, computes_in if keep_types else {}),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file, checked, its nodes in order and every shape known."""

    nodes: list[Node]
    inputs: tuple[FixedInput, ...]
    constants: Mapping[str, Constant]
    types: Mapping[str, TensorType]
    fixed: Set[str]
    outputs: tuple[str, ...]
    is_quantised: bool
    opset: int
    stored_as: Mapping[str, str] = field(default_factory=dict)


def read_source(path: Path) -> Source:
    """Return the nodes of a file, checked and in order, with every shape.

    Raises:
        ModelFileError: as `load_graph`.
    """
    where = str(path)
    model = open_model(path)
    opset = opset_of(model, where)
    constants = read_constants(stored_tensors(model, where), path)
    inputs = fix_inputs(model.graph, constants, where)
    protos = [proto for proto in model.graph.node if proto.op_type != "Constant"]
    read = read_nodes(protos, constants, opset, where)
    known = [*(item.name for item in inputs), *constants]
    nodes = sort_nodes(read.nodes, known, where)
    declared = _declared_types(model)
    types = infer_types(nodes, inputs, constants, read.dequantised, declared, opset, where)
    outputs = _outputs(model, read.aliases, types, where)
    nodes = without_making_whole(nodes, outputs)
    return Source(
        nodes=nodes,
        inputs=inputs,
        constants=constants,
        types=types,
        fixed=_fixed_tensors(nodes, constants),
        outputs=outputs,
        is_quantised=read.is_quantised,
        opset=opset,
        stored_as=read.stored_as,
    )


def _declared_types(model: onnx.ModelProto) -> dict[str, TensorType]:
    """Return the fixed shapes that the file itself states for tensors between operators."""
    found = {}
    for value in (*model.graph.value_info, *model.graph.output):
        tensor = value.type.tensor_type
        dims = tensor.shape.dim
        is_fixed = all(dim.HasField("dim_value") and dim.dim_value > 0 for dim in dims)
        if is_fixed and tensor.elem_type and tensor.HasField("shape"):
            found[value.name] = (tensor.elem_type, tuple(dim.dim_value for dim in dims))
    return found


def _fixed_tensors(nodes: Sequence[Node], stored: Iterable[str]) -> set[str]:
    """Return the stored constants and everything that follows from them without an input."""
    fixed = set(stored)
    for node in nodes:
        follows = all(name in fixed for name in node.inputs if name)
        if node.kind in SHAPE_READERS or (follows and any(node.inputs)):
            fixed.update(name for name in node.outputs if name)
    return fixed


def _outputs(
    model: onnx.ModelProto, aliases: Aliases, types: Mapping[str, TensorType], where: str
) -> tuple[str, ...]:
    names = tuple(aliases.resolve(value.name) for value in model.graph.output)
    for name in names:
        if name not in types:
            raise ModelFileError(
                f"{where}: output {name!r} is produced by no operator; export it again"
            )
    if not names:
        raise ModelFileError(f"{where}: has no output; expected at least one")
    return names


def _own_types(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """Return the types of tensors and operators that are never float: indices, sizes, flags."""
    dtypes = {name: dtype_name(kind) for name, (kind, _) in source.types.items() if kind}
    chosen = {FLOAT32} | (QUANTISED if source.is_quantised else set())
    own = {name: dtype for name, dtype in dtypes.items() if dtype not in chosen}
    computes_in = {}
    for node in source.nodes:
        names = [name for name in (*node.inputs, *node.outputs) if name in dtypes]
        written = [name for name in node.outputs if name in dtypes]
        if written and all(name in own for name in names):
            computes_in[node.name] = own[written[0]]
    return own, computes_in


def _file_dtype(source: Source, computes_in: Mapping[str, str]) -> FileDtype:
    if not source.is_quantised:
        return "float32"
    kinds = {dtype for dtype in computes_in.values() if dtype not in ("int32", "int64", "bool")}
    return "int8" if kinds <= {"int8"} else "mixed"


def _graph(
    ops: list[Op],
    shapes: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, str],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> OpGraph:
    has_signals = any(op.facts is not None and op.facts.is_one_dimensional for op in ops)
    names = dict.fromkeys([*inputs, *(name for op in ops for name in (*op.inputs, *op.outputs))])
    tensors = {}
    for name in names:
        shape = shapes[name]
        if has_signals and len(shape) == 3:
            # A signal is an image of height 1: kernels and libraries have no other form for it.
            shape = (*shape[:2], 1, shape[2])
        bits = BITS[dtypes[name]] if name in dtypes else None
        tensors[name] = Tensor(name=name, shape=shape, bits=bits)
    return OpGraph(ops=tuple(ops), tensors=tensors, inputs=inputs, outputs=outputs)
