"""Element types of ONNX by the names that costs use, and those that hwkd reads."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from onnx import TensorProto

from hwkd.core.errors import ModelFileError

FLOAT32 = "float32"
# Signed and unsigned integers of one size cost the same: a zero point is all that differs.
_NAMES: Mapping[int, str] = {
    TensorProto.FLOAT: FLOAT32,
    TensorProto.DOUBLE: "float64",
    TensorProto.BOOL: "bool",
    TensorProto.INT4: "int4",
    TensorProto.UINT4: "int4",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "int8",
    TensorProto.INT16: "int16",
    TensorProto.UINT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.UINT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.UINT64: "int64",
}
BITS: Mapping[str, int] = MappingProxyType(
    {
        "bool": 8, "int4": 4, "int8": 8, "int16": 16, "int32": 32, "int64": 64,
        "float32": 32, "float64": 64,
    }
)  # fmt: skip
# What activations and weights are quantised to; other integers are indices, sizes or sums.
QUANTISED = frozenset({"int4", "int8", "int16"})


def dtype_name(data_type: int) -> str:
    """Return the name of an element type that `refuse_dtype` accepts."""
    return _NAMES[data_type]


def refuse_dtype(data_type: int, what: str) -> None:
    """Raise for element types that no runtime of ours executes.

    Raises:
        ModelFileError: naming `what` and its type.
    """
    if data_type in _NAMES:
        return
    if data_type in TensorProto.DataType.values() and data_type:
        raise ModelFileError(
            f"{what} is {TensorProto.DataType.Name(data_type).lower()}; expected float32 or int8 "
            "(QDQ): convert the model to float32 first"
        )
    raise ModelFileError(f"{what} has the unknown element type {data_type}")
