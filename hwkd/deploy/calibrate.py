"""Finds the int8 scale of every activation of a float ONNX model from sample inputs.

Our own, because ONNX Runtime's histogram calibrators take seconds a model and a search makes
hundreds.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto

from hwkd.core.errors import ExportError
from hwkd.deploy.sessions import open_session

__all__ = [
    "CALIBRATION_METHODS",
    "DEFAULT_CALIBRATION",
    "CalibrationMethod",
    "Encoding",
    "FloatArray",
    "Range",
    "activation_ranges",
    "observing_session",
]

CalibrationMethod: TypeAlias = Literal["minmax", "percentile", "mse"]
CALIBRATION_METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)
DEFAULT_CALIBRATION: CalibrationMethod = "minmax"
FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
Range: TypeAlias = tuple[float, float]

_BATCH = 64
_PERCENTILE = 99.99
# Shares of the full range that the "mse" method tries for each end; below 40% clipping loses.
_MSE_SHARES = np.linspace(0.4, 1.0, 25)
_MSE_SAMPLE = 20_000
_STEPS = 255


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
    per_batch: dict[str, list[Range]] = {name: [] for name in names}
    for start in range(0, len(calibration), _BATCH):
        batch = calibration[start : start + _BATCH]
        arrays = [batch, *session.run(None, {input_name: batch})]
        for name, array in zip(names, arrays, strict=True):
            per_batch[name].append(_value_range(array, method))
    # Extremes must hold for every batch; the other two are estimates, so they are averaged.
    if method == "minmax":
        return {
            name: (min(low for low, _ in found), max(high for _, high in found))
            for name, found in per_batch.items()
        }
    return {
        name: (float(np.mean([r[0] for r in found])), float(np.mean([r[1] for r in found])))
        for name, found in per_batch.items()
    }


def observing_session(float_path: Path) -> ort.InferenceSession:
    """Open a float model so that it gives the output of every node.

    Raises:
        ModelFileError: if it cannot be loaded.
    """
    open_session(float_path)  # says what is wrong with a file that is no model
    observed = onnx.load(float_path)
    known = {value.name for value in observed.graph.output}
    for node in observed.graph.node:
        for output in node.output:
            if output not in known:
                observed.graph.output.append(
                    onnx.helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
                )
    with tempfile.TemporaryDirectory(prefix="hwkd-ranges-") as folder:
        path = Path(folder) / "observed.onnx"
        onnx.save(observed, path)
        return open_session(path)


def _value_range(values: FloatArray, method: CalibrationMethod) -> Range:
    low, high = float(values.min()), float(values.max())
    if method == "minmax":
        return low, high
    flat = values.ravel()
    flat = flat[:: max(1, flat.size // _MSE_SAMPLE)]
    if method == "percentile":
        tail = 100.0 - _PERCENTILE
        return float(np.percentile(flat, tail)), float(np.percentile(flat, _PERCENTILE))
    errors = [_rounding_error(flat, share * low, share * high) for share in _MSE_SHARES]
    best = float(_MSE_SHARES[int(np.argmin(errors))])
    return best * low, best * high


def _rounding_error(values: FloatArray, low: float, high: float) -> float:
    """Return the mean squared error of 8-bit rounding with the range [low, high] and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-12) / _STEPS
    zero = round(low / scale)
    steps = np.clip(np.round(values / scale), zero, zero + _STEPS)
    return float(np.mean((values - steps * scale) ** 2))
