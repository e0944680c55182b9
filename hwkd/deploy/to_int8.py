"""Quantises a float ONNX model to 8 bits: signed activations, signed weights per channel.

ONNX Runtime's static quantiser does the work, in the QDQ form: every operator is surrounded by
QuantizeLinear and DequantizeLinear, which runtimes fuse into integer kernels. The scales of the
activations are given to it: found by `hwkd.deploy.calibrate`, or learned in training.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import TensorData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from hwkd.core.errors import ExportError
from hwkd.core.kinds import kind_of
from hwkd.deploy.calibrate import (
    DEFAULT_CALIBRATION,
    CalibrationMethod,
    Encoding,
    FloatArray,
    activation_ranges,
)
from hwkd.deploy.to_onnx import save_model

__all__ = ["CalibrationMethod", "assert_int8", "quantise_int8", "write_int8"]

_MULTIPLIERS = frozenset({"Conv", "Gemm", "MatMul"})
# A tensor that the quantiser is to quantise has a range; the scale that is given counts.
_OVERRIDDEN = TensorData(lowest=np.float32(0.0), highest=np.float32(1.0))
# By which the quantiser knows that it need not infer the shapes.
_SHAPES_ARE_KNOWN = {"onnx.infer": "onnxruntime.quant"}


def quantise_int8(
    float_path: Path,
    int8_path: Path,
    calibration: FloatArray,
    *,
    method: CalibrationMethod = DEFAULT_CALIBRATION,
) -> None:
    """Write the int8 form of a float model; the same input gives the same bytes.

    Args:
        float_path: an ONNX file with one float input and a symbolic batch.
        int8_path: replaced in one step when everything went well.
        calibration: shape [samples, *input_shape], float32; 100 to 500 typical inputs, normalised
            as the model expects them.
        method: how a tensor's range follows from its values; see `activation_ranges`.

    Raises:
        ExportError: if there are no calibration samples, they are not finite, an operator stays
            in float or the file cannot be written.
        ModelFileError: if the float model cannot be loaded.
    """
    ranges = activation_ranges(float_path, calibration, method=method)
    encodings = {name: Encoding.of(*ends) for name, ends in ranges.items()}
    write_int8(onnx.load(float_path), encodings, int8_path, name=str(float_path))


def write_int8(
    model: onnx.ModelProto,
    encodings: Mapping[str, Encoding],
    int8_path: Path,
    *,
    name: str = "the model",
) -> None:
    """Write the int8 form of a float model with given scales of its activations.

    Args:
        model: float, with one input; its weights get one scale for each output channel.
        encodings: of the input and of every node's output.
        int8_path: replaced in one step when everything went well.

    Raises:
        ExportError: if an operator stays in float or the file cannot be written.
    """
    scales = dict(encodings)
    for node in model.graph.node:
        # ONNX Runtime's quantiser knows this of some kinds only.
        if kind_of(node.op_type).keeps_scale and node.input[0] in scales:
            scales[node.output[0]] = scales[node.input[0]]
        elif kind_of(node.op_type).is_lookup and node.input[0] not in scales:
            scales[node.input[0]] = scales[node.output[0]]
        elif node.op_type == "LayerNormalization":
            # Ones; the quantiser would look for channels along an axis that they do not have.
            scales[node.input[1]] = Encoding(1 / 127, 0)
    overrides = {
        tensor: [
            {
                "scale": np.array(encoding.scale, dtype=np.float32),
                "zero_point": np.array(encoding.zero_point, dtype=np.int8),
            }
        ]
        for tensor, encoding in scales.items()
    }
    # A rectifier becomes the ends of the range behind it; what lies before it may have no scale.
    unlimited = [n.input[0] for n in model.graph.node if kind_of(n.op_type).clamps is not None]
    # Not `quantize_static`, which goes through six files and a calibration of its own to this call.
    inferred = onnx.shape_inference.infer_shapes(model)
    onnx.helper.set_model_props(inferred, _SHAPES_ARE_KNOWN)
    quantiser = QDQQuantizer(
        inferred,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range=dict.fromkeys([*scales, *unlimited], _OVERRIDDEN),
        nodes_to_quantize=[],
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in model.graph.node}),
        extra_options={"ForceQuantizeNoInputCheck": True, "TensorQuantOverrides": overrides},
    )
    quantiser.quantize_model()
    quantiser.model.topological_sort()
    quantised = quantiser.model.model
    assert_int8(quantised, name=name)
    save_model(quantised, int8_path)


def assert_int8(model: onnx.ModelProto, *, name: str) -> None:
    """Check that every operator with multiplications computes on 8-bit integers.

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
