"""The door of int8 ONNX files: what passes is whole, of one batch, and has a form that can be read.

Behind it every node has the inputs that its operator asks for, every constant its bytes, every
tensor a shape, and ONNX Runtime, which says what is right, runs the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx

from hwkd.core.errors import ExportError, ModelFileError
from hwkd.inference.sessions import start_session
from hwkd.trace.node_label import node_label
from hwkd.trace.onnx_fixed import take_fixed_values
from hwkd.trace.onnx_model import STANDARD_DOMAINS, open_model, opset_of, stored_tensors
from hwkd.trace.onnx_tensors import read_constants
from hwkd.trace.onnx_whole import take_in_weights

__all__ = ["DEQUANTISE", "QUANTISE", "QdqFile", "keep_what_gives", "node_label", "open_qdq"]

_Array: TypeAlias = np.ndarray[Any, Any]

QUANTISE, DEQUANTISE = "QuantizeLinear", "DequantizeLinear"
# Before it, limits of Clip and sizes of Pad are attributes.
_OLDEST_OPSET = 11
# From it on, a softmax runs along one axis; before, over all behind it.
_SOFTMAX_OPSET = 13
# ONNX Runtime's own quantise and dequantise mean what the standard ones do.
_SAME_IN_DOMAIN = {"com.microsoft": frozenset({QUANTISE, DEQUANTISE})}
_DYNAMIC = frozenset({"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})
_ELEMENT_TYPES = frozenset(onnx.TensorProto.DataType.values())
# 64 MiB, more than any device of the kind has memory for.
_MOST_ELEMENTS = 2**26
_BUILT_IN = ("QLinear", "QGemm", "QAttention")


@dataclass(frozen=True, slots=True, kw_only=True)
class QdqFile:
    """A file as the reader wants it.

    Attributes:
        nodes: in an order in which they can run; without Constant and Identity.
        arrays: every constant by name.
        shapes: of every tensor whose shape could be inferred.
        outputs: name of each output -> tensor that it is, behind identities.
    """

    nodes: tuple[onnx.NodeProto, ...]
    arrays: Mapping[str, _Array]
    shapes: Mapping[str, tuple[int, ...]]
    input: str
    outputs: Mapping[str, str]
    names: Set[str]
    opsets: tuple[onnx.OperatorSetIdProto, ...]
    origin: str


def keep_what_gives(graph: onnx.GraphProto, outputs: Sequence[str]) -> None:
    """Drop the nodes that none of the outputs needs."""
    needed, kept = set(outputs), []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))


def open_qdq(path: Path, supported: Set[str]) -> QdqFile:
    """Read and check a file.

    Args:
        supported: kinds of operators that have a kernel.

    Raises:
        ModelFileError: if the file is damaged or ONNX Runtime does not run it.
        ExportError: if it is no QDQ file, has a dynamic shape, several inputs, or an
            operator without a kernel; names the node.
    """
    where = str(path)
    model = open_model(path)
    opset = opset_of(model, where)
    take_in_weights(model, path)
    take_fixed_values(model)
    constants = read_constants(stored_tensors(model, where), path)
    arrays = {name: _values(item, where) for name, item in constants.items()}
    _refuse_other_forms(model, where)
    _refuse_unknown_kinds(model, supported, where)
    _fix_ends(model, where)
    _refuse_disorder(model, where)
    if opset < _OLDEST_OPSET:
        raise ExportError(
            f"{where}: opset {opset}, expected {_OLDEST_OPSET} or newer; export the model again"
        )
    model = _with_shapes(model, where)
    shapes = _shapes(model)
    if opset < _SOFTMAX_OPSET:
        _refuse_wide_softmax(model, shapes, opset, where)
    _check(model, where)
    _refuse_unless_it_runs(path, model.graph.input[0])
    nodes, renamed = _without_identities(model.graph.node)
    return QdqFile(
        nodes=nodes,
        arrays=arrays,
        shapes=shapes,
        input=model.graph.input[0].name,
        outputs={item.name: renamed.get(item.name, item.name) for item in model.graph.output},
        names=_names(model.graph),
        opsets=tuple(model.opset_import),
        origin=where,
    )


def _values(item: Any, where: str) -> _Array:
    try:
        return np.asarray(item.values())
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelFileError(
            f"{where}: weight {item.proto.name!r} cannot be read ({error}); export it again"
        ) from error


def _refuse_other_forms(model: onnx.ModelProto, where: str) -> None:
    """Refuse what is no statically quantised QDQ file, by the name of what it is."""
    kinds = {node.op_type: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type in _DYNAMIC:
            raise ExportError(
                f"{where}: node {node_label(node)} ({node.op_type}): dynamically quantised, its "
                "scales are known at run time only; quantise statically, with calibration data"
            )
        if node.op_type.startswith(_BUILT_IN):
            raise ExportError(
                f"{where}: node {node_label(node)} ({node.op_type}): an operator with quantisation "
                "built in, expected QuantizeLinear and DequantizeLinear around float operators; "
                "quantise with quant_format=QuantFormat.QDQ"
            )
    if QUANTISE in kinds:
        return
    if DEQUANTISE in kinds:
        raise ExportError(
            f"{where}: node {node_label(kinds[DEQUANTISE])} dequantises weights, but no activation "
            "is quantised; expected int8 activations, quantise statically"
        )
    raise ExportError(
        f"{where}: a float model, expected int8 (QDQ); quantise it first, "
        "`hwkd export` writes model_int8.onnx"
    )


def _refuse_unknown_kinds(model: onnx.ModelProto, supported: Set[str], where: str) -> None:
    known = supported | {QUANTISE, DEQUANTISE, "Constant", "Identity"}
    for node in model.graph.node:
        if node.op_type not in known:
            raise ExportError(
                f"{where}: node {node_label(node)}: no C kernel for {node.op_type}; supported: "
                f"{', '.join(sorted(supported))}"
            )
        if node.domain in STANDARD_DOMAINS:
            continue
        if node.op_type not in _SAME_IN_DOMAIN.get(node.domain, ()):
            raise ExportError(
                f"{where}: node {node_label(node)}: {node.op_type} of domain {node.domain!r} has "
                "no C kernel, only the standard operator has one; export without optimisations "
                "for one runtime"
            )
        node.domain = ""


def _refuse_disorder(model: onnx.ModelProto, where: str) -> None:
    graph = model.graph
    known = {"", *(item.name for item in (*graph.input, *graph.initializer))}
    for node in graph.node:
        missing = next((name for name in node.input if name not in known), None)
        if missing is not None:
            raise ModelFileError(
                f"{where}: node {node_label(node)} reads {missing!r}, which no node before it "
                "writes; the file is damaged, export it again"
            )
        if not node.output or not node.output[0]:
            raise ModelFileError(
                f"{where}: node {node_label(node)} ({node.op_type}) writes nothing; the file is "
                "damaged, export it again"
            )
        known.update(node.output)
    for item in graph.output:
        if item.name not in known:
            raise ModelFileError(
                f"{where}: no node writes the output {item.name!r}; the file is damaged, export "
                "it again"
            )


def _fix_ends(model: onnx.ModelProto, where: str) -> None:
    """Leave one input with a batch of 1; older shapes are inferred anew."""
    graph = model.graph
    constants = {item.name for item in graph.initializer}
    inputs = [item for item in graph.input if item.name not in constants]
    del graph.input[:]
    graph.input.extend(inputs)
    if len(graph.input) != 1 or not graph.output:
        raise ExportError(
            f"{where}: {len(graph.input)} inputs and {len(graph.output)} outputs, "
            "expected one input and at least one output; the C has one input buffer"
        )
    dims = graph.input[0].type.tensor_type.shape.dim
    if dims and not dims[0].HasField("dim_value"):
        dims[0].dim_value = 1
    sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in dims]
    if not sizes or sizes[0] != 1 or not all(size is not None and size > 0 for size in sizes):
        shown = "x".join("?" if size is None else str(size) for size in sizes)
        raise ExportError(
            f"{where}: input shape {shown or '?'}, expected a batch of 1 and fixed sizes; "
            "export the model with a static shape"
        )
    elements = prod(size for size in sizes if size is not None)
    if elements > _MOST_ELEMENTS:
        raise ExportError(
            f"{where}: an input of {elements:,} values; the C takes up to {_MOST_ELEMENTS:,}"
        )
    kind = graph.input[0].type.tensor_type.elem_type
    if kind != onnx.TensorProto.FLOAT:
        name = onnx.TensorProto.DataType.Name(kind) if kind in _ELEMENT_TYPES else str(kind)
        raise ExportError(
            f"{where}: an input of type {name}, expected FLOAT in front of QuantizeLinear"
        )
    del graph.value_info[:]
    for item in graph.output:
        item.type.tensor_type.ClearField("shape")


def _with_shapes(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except (onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        raise _not_valid(error, where) from error


def _check(model: onnx.ModelProto, where: str) -> None:
    """Refuse nodes with other inputs, outputs and attributes than their operators have."""
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise _not_valid(error, where) from error


def _not_valid(error: Exception, where: str) -> ModelFileError:
    return ModelFileError(f"{where}: not a valid ONNX file: {_one_line(error)}; export it again")


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor whose dimensions are all known."""
    shapes = {}
    for value in (*model.graph.input, *model.graph.value_info, *model.graph.output):
        kind = value.type.tensor_type
        if kind.HasField("shape") and all(dim.dim_value > 0 for dim in kind.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in kind.shape.dim)
    shapes.update({item.name: tuple(item.dims) for item in model.graph.initializer})
    return shapes


def _refuse_wide_softmax(
    model: onnx.ModelProto, shapes: Mapping[str, tuple[int, ...]], opset: int, where: str
) -> None:
    for node in model.graph.node:
        if node.op_type != "Softmax":
            continue
        axis = next((item.i for item in node.attribute if item.name == "axis"), 1)
        last = len(shapes.get(node.input[0], ())) - 1
        if axis not in (-1, last):
            raise ExportError(
                f"{where}: node {node_label(node)} (Softmax): axis {axis} of opset {opset} runs "
                f"over several axes; export with opset {_SOFTMAX_OPSET}"
            )


def _refuse_unless_it_runs(path: Path, source: onnx.ValueInfoProto) -> None:
    """Run a sample of zeros: sizes that do not fit each other are found by running only."""
    kind = source.type.tensor_type
    shape = [dim.dim_value for dim in kind.shape.dim]
    zeros = np.zeros(shape, np.float32)
    try:
        start_session(path, says="nothing").run(None, {source.name: zeros})
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        raise ModelFileError(f"{path}: ONNX Runtime cannot run it: {_one_line(error)}") from error


def _without_identities(
    nodes: Iterable[onnx.NodeProto],
) -> tuple[tuple[onnx.NodeProto, ...], dict[str, str]]:
    """Return the nodes reading what identities read, and tensor -> what it is another name of."""
    renamed: dict[str, str] = {}
    kept = []
    for node in nodes:
        for position, name in enumerate(node.input):
            node.input[position] = renamed.get(name, name)
        if node.op_type == "Identity":
            renamed[node.output[0]] = node.input[0]
        elif node.op_type != "Constant":
            kept.append(node)
    return tuple(kept), renamed


def _names(graph: onnx.GraphProto) -> set[str]:
    named = {item.name for item in (*graph.input, *graph.initializer)}
    return named | {name for node in graph.node for name in (*node.input, *node.output)}
