"""The inputs of an ONNX graph with fixed sizes, and which of their axes was taken as the batch.

A size is never guessed in silence: what was made of each first axis is kept as a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from hwkd.core.errors import ModelFileError
from hwkd.trace.onnx_dtypes import refuse_dtype
from hwkd.trace.onnx_tensors import MOST_DIMENSIONS, Constant

# They read the first axis of their input as time, unless `layout` is set.
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})

# A name that says that the axis counts something else than independent examples.
_TIME = re.compile(
    r"(^|[^a-z])(t|time|times|timesteps?|steps?|frames?|seq|sequence|seqlen|len|length|tokens?|"
    r"past|height|width|channels?)($|[^a-z])"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedInput:
    """One input of the network, every size known.

    Attributes:
        batch_axis: axis taken as the batch of 1; None where none was.
        symbol: name of that axis in the file; "" if it has none or is fixed.
        is_symbolic: the file leaves the size of that axis open.
        says: what was made of the first axis, a sentence without a full stop.
    """

    name: str
    shape: tuple[int, ...]
    elem_type: int
    batch_axis: int | None
    symbol: str
    is_symbolic: bool
    says: str

    @property
    def is_one_step(self) -> bool:
        """The file leaves open how long the first axis is, and it is no batch: costs are of one."""
        return self.is_symbolic and self.batch_axis is None


def fix_inputs(
    graph: onnx.GraphProto, constants: Mapping[str, Constant], where: str
) -> tuple[FixedInput, ...]:
    """Return the real inputs; a symbolic first axis becomes 1.

    Only a first axis that is symbolic or 1 is the batch, and not where its name or a recurrence
    says that it is time: then costs are of one step. A larger fixed one is kept as it is: it may
    be layers of a state, or frames, and costs are of all of it.

    Raises:
        ModelFileError: on another symbolic axis, and on types that no runtime executes.
    """
    given = [value for value in graph.input if value.name not in constants]
    if not given:
        raise ModelFileError(f"{where}: has no input; expected a network with at least one")
    for value in given:
        _check(value, f"{where}: input {value.name!r}")
    batches = {
        dims[0].dim_param
        for value in given
        if len(dims := value.type.tensor_type.shape.dim) > 1 and _size(dims[0]) is None
    } - {""}
    steps = {
        node.input[0]
        for node in graph.node
        if node.op_type in _RECURRENT and node.input
        and not any(item.name == "layout" and item.i for item in node.attribute)
    }  # fmt: skip
    return tuple(
        _fix(value, batches, f"{where}: input {value.name!r}", is_time=value.name in steps)
        for value in given
    )


def _check(value: onnx.ValueInfoProto, what: str) -> None:
    if not value.type.HasField("tensor_type"):
        raise ModelFileError(f"{what} is not a tensor; expected one of float32 or int8")
    tensor = value.type.tensor_type
    refuse_dtype(tensor.elem_type, what)
    if not tensor.HasField("shape"):
        raise ModelFileError(
            f"{what} has no shape, not even a number of axes; export the model with fixed sizes"
        )
    if len(tensor.shape.dim) > MOST_DIMENSIONS:
        raise ModelFileError(
            f"{what} has {len(tensor.shape.dim):,} dimensions; hwkd reads up to {MOST_DIMENSIONS}"
        )


def _fix(value: onnx.ValueInfoProto, batches: set[str], what: str, *, is_time: bool) -> FixedInput:
    dims = value.type.tensor_type.shape.dim
    sizes = [_size(dim) for dim in dims]
    symbol, axis = "", None
    if len(sizes) > 1 and sizes[0] is None:
        symbol, axis, sizes[0] = dims[0].dim_param, 0, 1
    # The batch has the same name wherever it appears, in a state often as the second axis.
    for index, dim in enumerate(dims):
        if sizes[index] is None and dim.dim_param in batches:
            symbol, axis, sizes[index] = dim.dim_param, index, 1
    shape = tuple(size for size in sizes if size is not None)
    shown = ", ".join(dim.dim_param or str(_size(dim) or "?") for dim in dims)
    if len(shape) < len(sizes):
        raise ModelFileError(
            f"{what} has the dynamic shape ({shown}); only the batch may be symbolic: "
            "export the model with fixed sizes"
        )
    is_symbolic = axis is not None
    says = f"input {value.name!r} ({shown}): "
    named = repr(symbol) if symbol else f"{axis}, which has no name,"
    if is_time or ("batch" not in symbol.lower() and _TIME.search(symbol.lower())):
        is_time = axis == 0
    if is_symbolic and is_time:
        axis = None
        says += (
            f"axis {named} is no batch and its length is open: costs are of one step of it; export "
            "the model with a fixed length for the cost of more"
        )
    elif axis is not None:
        says += f"axis {named} is taken as the batch, of 1"
    elif len(shape) > 1 and shape[0] == 1:
        axis, says = 0, says + "the first axis is the batch, of 1"
    elif len(shape) > 1:
        says += (
            f"the first axis is fixed at {shape[0]} and kept, not taken as a batch: costs are of "
            f"all {shape[0]}"
        )
    else:
        says += "has no batch axis"
    return FixedInput(
        name=value.name,
        shape=shape,
        elem_type=value.type.tensor_type.elem_type,
        batch_axis=axis,
        symbol=symbol,
        is_symbolic=is_symbolic,
        says=says,
    )


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    """Return a fixed size; exporters write -1 or 0 for one that is not."""
    return dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
