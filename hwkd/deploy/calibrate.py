"""Finds the int8 scale of every activation of a float ONNX model from sample inputs.

Our own, because ONNX Runtime's histogram calibrators take seconds a model and a search makes
hundreds.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import onnx
from onnx import TensorProto

from hwkd.core.errors import ExportError
from hwkd.core.kinds import kind_of
from hwkd.deploy.sessions import open_session

if TYPE_CHECKING:
    import onnxruntime as ort

CalibrationMethod: TypeAlias = Literal["minmax", "percentile", "mse"]
CALIBRATION_METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)
DEFAULT_CALIBRATION: CalibrationMethod = "minmax"
FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Range: TypeAlias = tuple[float, float]

_BATCH = 64
_PERCENTILE = 99.99
# Values of a tensor that percentiles and errors are computed from.
_SAMPLE = 40_000
# Shares of the full range that the "mse" method tries for each end; below 40% clipping loses.
_MSE_SHARES = np.linspace(0.4, 1.0, 25)
_STEPS = 255
# Of an int8 tensor in steps of 1, which holds bytes as they are.
WHOLE_NUMBERS: Range = (-128.0, 127.0)
_INT64 = TensorProto.INT64


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a tensor is stored: real value = (int8 value - zero_point) * scale."""

    scale: float
    zero_point: int

    @classmethod
    def of(cls, low: float, high: float) -> Encoding:
        """Return the encoding of a range, widened to hold 0.

        A tensor that was 0 throughout gets scale 1 with the zero point at the lowest step, so that
        a rectifier that the quantiser removes still stops what is below 0.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        span = (high - low) / _STEPS
        if span < float(np.finfo(np.float32).tiny):
            return cls(1.0, -128)
        return cls(float(np.float32(span)), round(-128 - low / span))


def activation_ranges(
    float_path: Path, calibration: FloatArray, *, method: CalibrationMethod = DEFAULT_CALIBRATION
) -> dict[str, Range]:
    """Return (low, high) of the input and of every node's output.

    Args:
        float_path: an ONNX file with one float input and a symbolic batch.
        calibration: shape [samples, *input_shape], typical inputs.
        method: "minmax" keeps every value; "percentile" drops 0.01% at each end; "mse" takes the
            range with the smallest squared rounding error.

    Raises:
        ExportError: if there are no calibration samples or they are not finite.
        ModelFileError: if the model cannot be loaded.
    """
    if len(calibration) == 0 or not np.isfinite(calibration).all():
        raise ExportError(
            f"{float_path}: calibration has {len(calibration)} samples, expected one or more of "
            "finite numbers; check the data"
        )
    session = observing_session(float_path)
    input_name = session.get_inputs()[0].name
    names = [input_name, *(value.name for value in session.get_outputs())]
    batches = range(0, len(calibration), _BATCH)
    seen = {name: _Seen(per_batch=_SAMPLE // len(batches)) for name in names}
    for start in batches:
        batch = calibration[start : start + _BATCH]
        arrays = [batch, *session.run(None, {input_name: batch})]
        for name, array in zip(names, arrays, strict=True):
            seen[name].add(array)
    ranges = {name: found.range(method) for name, found in seen.items()}
    model = onnx.load(float_path)
    for node in model.graph.node:
        fixed = kind_of(node.op_type).int8_range
        if fixed is not None:
            ranges[node.output[0]] = fixed
    return ranges | dict.fromkeys(_made_whole(model), WHOLE_NUMBERS)


def _made_whole(model: onnx.ModelProto) -> set[str]:
    """Return the real tensors that a lookup reads digits from, as they are or moved."""
    found: set[str] = set()
    for node in reversed(model.graph.node):
        is_moved = kind_of(node.op_type).keeps_scale and node.output[0] in found
        if node.op_type == "Cast" or is_moved:
            found.add(node.input[0])
    return found


def observing_session(float_path: Path) -> ort.InferenceSession:
    """Open a float model so that it gives the output of every node.

    Raises:
        ModelFileError: if it cannot be loaded.
    """
    open_session(float_path)  # says what is wrong with a file that is no model
    observed = onnx.load(float_path)
    known = {value.name for value in observed.graph.output}
    whole = {v.name for v in observed.graph.value_info if v.type.tensor_type.elem_type == _INT64}
    for node in observed.graph.node:
        for output in node.output:
            if output not in known and output not in whole:
                observed.graph.output.append(
                    onnx.helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
                )
    with tempfile.TemporaryDirectory(prefix="hwkd-ranges-") as folder:
        path = Path(folder) / "observed.onnx"
        onnx.save(observed, path)
        return open_session(path)


@dataclass(slots=True)
class _Seen:
    """What one tensor held: its extremes, and some of its values."""

    per_batch: int
    low: float = np.inf
    high: float = -np.inf
    kept: list[FloatArray] = field(default_factory=list)

    def add(self, values: FloatArray) -> None:
        flat = values.ravel()
        self.low, self.high = min(self.low, float(flat.min())), max(self.high, float(flat.max()))
        # A copy, so that the whole batch need not stay in memory.
        self.kept.append(flat[:: max(1, -(-flat.size // max(1, self.per_batch)))].copy())

    def range(self, method: CalibrationMethod) -> Range:
        if method == "minmax":
            return self.low, self.high
        sample = np.concatenate(self.kept)
        if method == "percentile":
            tail = 100.0 - _PERCENTILE
            return float(np.percentile(sample, tail)), float(np.percentile(sample, _PERCENTILE))
        return _least_error(sample, self.low, self.high)


def _least_error(values: FloatArray, low: float, high: float) -> Range:
    """Return the range of the least rounding error: the best upper end, then the best lower."""
    if high > 0:
        ends = high * _MSE_SHARES
        high = float(ends[np.argmin([_rounding_error(values, low, end) for end in ends])])
    if low < 0:
        ends = low * _MSE_SHARES
        low = float(ends[np.argmin([_rounding_error(values, end, high) for end in ends])])
    return low, high


def _rounding_error(values: FloatArray, low: float, high: float) -> float:
    """Return the mean squared error of 8-bit rounding with the range [low, high] and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-12) / _STEPS
    zero = round(low / scale)
    # In place: this is a fifth of the work of quantising a small student.
    rest = values / scale
    np.rint(rest, out=rest)
    np.clip(rest, zero, zero + _STEPS, out=rest)
    np.multiply(rest, scale, out=rest)
    np.subtract(values, rest, out=rest)
    return float(np.mean(np.square(rest, out=rest)))
