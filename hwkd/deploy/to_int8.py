"""Quantises a float ONNX model to 8 bits: signed activations, signed weights per channel.

ONNX Runtime's static quantiser does the work, in the QDQ form: every operator is surrounded by
QuantizeLinear and DequantizeLinear, which runtimes fuse into integer kernels. The ranges of the
activations are found here, because ONNX Runtime's own histogram calibrators take seconds a model.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)

from hwkd.core.errors import ExportError
from hwkd.deploy.sessions import open_session
from hwkd.deploy.to_onnx import save_model

__all__ = ["CalibrationMethod", "assert_int8", "quantise_int8"]

CalibrationMethod: TypeAlias = Literal["minmax", "percentile", "mse"]
_FloatArray: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

_MULTIPLIERS = frozenset({"Conv", "Gemm", "MatMul"})
_BATCH = 64
_PERCENTILE = 99.99
# Shares of the full range that the "mse" method tries; below 40% clipping always loses.
_MSE_SHARES = np.linspace(0.4, 1.0, 25)
_MSE_SAMPLE = 20_000


def quantise_int8(
    float_path: Path,
    int8_path: Path,
    calibration: _FloatArray,
    *,
    method: CalibrationMethod = "minmax",
) -> None:
    """Write the int8 form of a float model; the same input gives the same bytes.

    Args:
        float_path: an ONNX file with one float input and a symbolic batch.
        int8_path: replaced in one step when everything went well.
        calibration: shape [samples, *input_shape], float32; 100 to 500 typical inputs, normalised
            as the model expects them.
        method: how a tensor's range follows from its values. "minmax" keeps every value;
            "percentile" drops 0.01% at each end; "mse" takes the range with the smallest squared
            rounding error.

    Raises:
        ExportError: if there are no calibration samples, they are not finite, an operator stays
            in float or the file cannot be written.
        ModelFileError: if the float model cannot be loaded.
    """
    if len(calibration) == 0 or not np.isfinite(calibration).all():
        raise ExportError(
            f"{float_path}: calibration has {len(calibration)} samples, expected one or more of "
            "finite numbers; check the data"
        )
    model = onnx.load(float_path)
    ranges = _activation_ranges(model, calibration, method)
    overrides = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}]
        for name, (low, high) in ranges.items()
    }
    with tempfile.TemporaryDirectory(prefix="hwkd-int8-") as folder, _quiet():
        quantised_path = Path(folder) / "int8.onnx"
        quantize_static(
            float_path,
            quantised_path,
            _OneSample(model.graph.input[0].name, calibration[:1]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=sorted({node.op_type for node in model.graph.node}),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ForceQuantizeNoInputCheck": True, "TensorQuantOverrides": overrides},
        )
        quantised = onnx.load(quantised_path)
    assert_int8(quantised, name=str(float_path))
    save_model(quantised, int8_path)


def assert_int8(model: onnx.ModelProto, *, name: str) -> None:
    """Check that every operator with multiplications computes on 8-bit integers.

    Args:
        model: a QDQ model.
        name: what the message calls it.

    Raises:
        ExportError: naming the first Conv, Gemm or MatMul that has a float operand or result.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    stored = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for source in node.input:
            readers.setdefault(source, []).append(node)
    for node in model.graph.node:
        if node.op_type not in _MULTIPLIERS:
            continue
        for source in node.input[:2]:
            producer = producers.get(source)
            if producer is None or producer.op_type != "DequantizeLinear":
                raise ExportError(f"{name}: {node.op_type} {node.name} reads {source} as float")
            if stored.get(producer.input[0], TensorProto.INT8) != TensorProto.INT8:
                raise ExportError(f"{name}: {node.op_type} {node.name}: {source} is not int8")
        for reader in readers.get(node.output[0], ()):
            if reader.op_type not in ("QuantizeLinear", "Relu", "Clip"):
                raise ExportError(f"{name}: {node.op_type} {node.name} writes float")


class _OneSample(CalibrationDataReader):  # type: ignore[misc]
    """Satisfies the quantiser, whose own calibration the overrides replace."""

    def __init__(self, input_name: str, sample: _FloatArray) -> None:
        self._samples = iter([{input_name: sample}])

    def get_next(self) -> dict[str, _FloatArray] | None:
        return next(self._samples, None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser's advice to pre-process: students need none, they are folded."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _activation_ranges(
    model: onnx.ModelProto, calibration: _FloatArray, method: CalibrationMethod
) -> dict[str, tuple[float, float]]:
    """Return (low, high) of every activation tensor of a float model."""
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    known = {value.name for value in observed.graph.output}
    for node in model.graph.node:
        for output in node.output:
            if output not in known:
                observed.graph.output.append(
                    onnx.helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
                )
    with tempfile.TemporaryDirectory(prefix="hwkd-ranges-") as folder:
        path = Path(folder) / "observed.onnx"
        onnx.save(observed, path)
        session = open_session(path)
    input_name = session.get_inputs()[0].name
    names = [input_name, *(value.name for value in session.get_outputs())]
    per_batch: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
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


def _value_range(values: _FloatArray, method: CalibrationMethod) -> tuple[float, float]:
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


def _rounding_error(values: _FloatArray, low: float, high: float) -> float:
    """Return the mean squared error of 8-bit rounding with the range [low, high] and 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = max(high - low, 1e-12) / 255.0
    zero = round(low / scale)
    steps = np.clip(np.round(values / scale), zero, zero + 255)
    return float(np.mean((values - steps * scale) ** 2))
