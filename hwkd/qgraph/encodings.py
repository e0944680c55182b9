"""What QuantizeLinear and DequantizeLinear say: scales, zero points, type, axis; each checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto, helper

from hwkd.core.errors import ExportError
from hwkd.trace.node_label import node_label

_Array: TypeAlias = np.ndarray[Any, Any]
_UINT8 = np.dtype(np.uint8)
_TYPES = frozenset(map(np.dtype, (np.int8, np.uint8, np.int16, np.uint16, np.int32)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoding:
    """Real value = scale * (q - zero point).

    Attributes:
        scale: float32, one for all or one for each index of `axis`; shape [scales].
        zero_point: of the type of the integers, as many.
        axis: that the scales run along, counted from 0; 0 where there is one scale.
    """

    scale: _Array
    zero_point: _Array
    axis: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the integers."""
        return np.dtype(self.zero_point.dtype)

    def along(self, values: _Array, rank: int) -> _Array:
        """Return scales or zero points shaped so that they broadcast over a tensor."""
        if values.size == 1:
            return values.reshape(())
        return values.reshape([-1 if axis == self.axis else 1 for axis in range(rank)])


def read_encoding(
    node: onnx.NodeProto,
    arrays: Mapping[str, _Array],
    shape: tuple[int, ...],
    origin: str,
    *,
    stored: np.dtype[Any] | None = None,
) -> Encoding:
    """Return what a QuantizeLinear or DequantizeLinear says.

    Args:
        stored: type of the integers that a DequantizeLinear reads; it says the same without a
            zero point.

    Raises:
        ExportError: if scale or zero point are computed at run time, are of another number than
            the axis has, or no float32 numbers above 0.
    """
    where = f"{origin}: node {node_label(node)} ({node.op_type})"
    has_zero = len(node.input) > 2 and bool(node.input[2])
    if any(name not in arrays for name in (node.input[1], *node.input[2 : 2 + has_zero])):
        raise ExportError(
            f"{where}: its scale and zero point are not constants; use static quantisation"
        )
    scale = _checked_scale(arrays[node.input[1]], where)
    attributes = {item.name: item.i for item in node.attribute}
    if attributes.get("block_size", 0):
        raise ExportError(
            f"{where}: one scale for each block of {attributes['block_size']}; expected one for "
            "the tensor or for each channel"
        )
    if has_zero:
        zero = arrays[node.input[2]]
    else:
        zero = np.zeros(scale.shape, stored or _written_type(attributes))
    if zero.dtype not in _TYPES:
        raise ExportError(f"{where}: values of type {zero.dtype}, expected integers of 8 bits")
    if zero.size not in (1, scale.size):
        raise ExportError(f"{where}: {zero.size} zero points for {scale.size} scales")
    return Encoding(
        scale=scale.reshape(-1),
        zero_point=np.broadcast_to(zero.reshape(-1), (scale.size,)),
        axis=_checked_axis(attributes.get("axis", 1), scale, shape, where),
    )


def _checked_scale(scale: _Array, where: str) -> _Array:
    """Return the scales; refuse those that cannot be computed with."""
    if scale.dtype != np.float32:
        raise ExportError(f"{where}: a scale of type {scale.dtype}, expected float32")
    # Near the smallest float32, quotients of scales are no numbers any more.
    if not (np.isfinite(scale).all() and (scale >= np.finfo(np.float32).tiny).all()):
        raise ExportError(
            f"{where}: scales from {scale.min():g} to {scale.max():g}, expected finite numbers "
            "above 0; quantise again with more calibration samples"
        )
    return scale


def _checked_axis(given: int, scale: _Array, shape: tuple[int, ...], where: str) -> int:
    """Return the axis that the scales run along, from 0; 0 where there is one scale."""
    if scale.size == 1:
        return 0
    axis = given + len(shape) if given < 0 else given
    if scale.ndim != 1 or not 0 <= axis < len(shape) or shape[axis] != scale.size:
        raise ExportError(
            f"{where}: scales of shape {list(scale.shape)} along axis {given} "
            f"of shape {list(shape)}"
        )
    return axis


def _written_type(attributes: Mapping[str, int]) -> np.dtype[Any]:
    """Return the type that a QuantizeLinear without zero point writes."""
    given = attributes.get("output_dtype", TensorProto.UNDEFINED)
    return np.dtype(helper.tensor_dtype_to_np_dtype(given)) if given else _UINT8


def quantised(values: _Array, encoding: Encoding) -> _Array:
    """Return the integers of constants, as ONNX Runtime's QuantizeLinear gives them."""
    limits = np.iinfo(encoding.dtype)
    scale = encoding.along(encoding.scale, values.ndim)
    zero = encoding.along(encoding.zero_point, values.ndim).astype(np.float64)
    steps = np.rint(values.astype(np.float32) / scale).astype(np.float64) + zero
    return np.asarray(np.clip(steps, limits.min, limits.max).astype(encoding.dtype))


def dequantised(values: _Array, encoding: Encoding) -> _Array:
    """Return the float32 values of integers."""
    zero = encoding.along(encoding.zero_point, values.ndim).astype(np.int64)
    steps = (values.astype(np.int64) - zero).astype(np.float32)
    return np.asarray(steps * encoding.along(encoding.scale, values.ndim), dtype=np.float32)
