"""Changes float weights so that 8 bits lose less: even channels, biases without a mean error.

Both take and return a float ONNX model. Equalisation computes the same function in float; bias
correction shifts outputs by what the rounding of the weights would shift them back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from hwkd.deploy.calibrate import FloatArray, observing_session

_WEIGHT_STEPS = 127
# A channel is scaled by at most this much: beyond it what is left of it is noise.
_LARGEST_GAIN = 64.0
_WITH_WEIGHTS = ("Conv", "Gemm")


def stored_weights(model: onnx.ModelProto) -> dict[str, FloatArray]:
    """Return the float arrays that a model holds, by name."""
    return {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }


def replace_weights(model: onnx.ModelProto, arrays: Mapping[str, FloatArray]) -> onnx.ModelProto:
    """Return a copy of a model in which the named arrays are others of the same shape.

    Raises:
        KeyError: if the model holds no such array.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    stored = {tensor.name: tensor for tensor in copy.graph.initializer}
    for name, array in arrays.items():
        stored[name].CopyFrom(numpy_helper.from_array(np.asarray(array, dtype=np.float32), name))
    return copy


def equalise_channels(model: onnx.ModelProto, calibration: FloatArray) -> onnx.ModelProto:
    """Give the channels between two convolutions ranges that are more alike.

    A channel that stays far below the range of its tensor wastes most of the 256 steps. Its
    producer's weights are multiplied and its reader's divided by the same number, which changes
    nothing in float: between them is at most a ReLU. Producers have one scale for each channel, so
    they lose nothing; neither does a depthwise reader. Another reader shares its scale among its
    inputs, so there the gain is split between activation and weights.

    Args:
        model: float, as `hwkd.deploy.to_onnx` writes it.
        calibration: shape [samples, *input_shape], typical inputs.

    Source:
        Nagel et al. 2019, arXiv:1906.04721, section 4.1, here with activation ranges on the
        producer's side.
    """
    arrays = stored_weights(model)
    values = _observed(model, calibration)
    for producer, tensor, reader in _pairs(model):
        seen = values[tensor]
        largest = np.abs(seen).max(axis=tuple(axis for axis in range(seen.ndim) if axis != 1))
        is_depthwise = _attribute(reader, "group", 1) == len(largest)
        gains = _gains(largest, arrays[reader.input[1]], is_depthwise=is_depthwise)
        for name in producer.input[1:3]:
            arrays[name] = arrays[name] * _along(gains, arrays[name].ndim, axis=0)
        weight = arrays[reader.input[1]]
        axis = 0 if is_depthwise else 1
        arrays[reader.input[1]] = weight / _along(gains, weight.ndim, axis=axis)
        values[tensor] = seen * _along(gains, seen.ndim, axis=1)
    return replace_weights(model, arrays)


def correct_biases(model: onnx.ModelProto, calibration: FloatArray) -> onnx.ModelProto:
    """Take from every bias the mean error that rounding the weights adds to the outputs.

    Args:
        model: float, as `hwkd.deploy.to_onnx` writes it.
        calibration: shape [samples, *input_shape], typical inputs.

    Source:
        Nagel et al. 2019, arXiv:1906.04721, section 4.2, with means of the calibration samples.
    """
    arrays = stored_weights(model)
    values = _observed(model, calibration)
    corrected = {}
    for node in model.graph.node:
        if node.op_type not in _WITH_WEIGHTS or len(node.input) < 3:
            continue
        weight, bias = arrays[node.input[1]], arrays[node.input[2]]
        error = _rounded(weight) - weight
        source = values[node.input[0]]
        means = source.mean(axis=tuple(axis for axis in range(source.ndim) if axis != 1))
        groups = _attribute(node, "group", 1)
        per_group = means.reshape(groups, -1)[np.repeat(np.arange(groups), len(bias) // groups)]
        shift = (error.reshape(*error.shape[:2], -1).sum(axis=2) * per_group).sum(axis=1)
        corrected[node.input[2]] = bias - shift
    return replace_weights(model, corrected)


def _rounded(weight: FloatArray) -> FloatArray:
    """Round weights as the quantiser does: whole steps of each output channel's scale."""
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = _along(np.where(largest > 0, largest / _WEIGHT_STEPS, 1.0), weight.ndim, axis=0)
    return np.asarray(np.round(weight / scale) * scale, dtype=np.float32)


def _gains(largest: FloatArray, weight: FloatArray, *, is_depthwise: bool) -> FloatArray:
    """Return what each channel is multiplied by, 1 where nothing was seen.

    Args:
        largest: shape [channels], absolute values of the tensor.
        is_depthwise: each of the reader's outputs has an input of its own.
    """
    activation = largest / max(float(largest.max()), 1e-30)
    if is_depthwise:
        wanted = 1.0 / np.maximum(activation, 1e-30)
    else:
        columns = np.abs(weight).max(axis=tuple(axis for axis in range(weight.ndim) if axis != 1))
        columns = columns / max(float(columns.max()), 1e-30)
        wanted = np.sqrt(columns / np.maximum(activation, 1e-30))
    usable = (activation > 0) & (wanted > 0)
    clipped = np.clip(wanted, 1.0 / _LARGEST_GAIN, _LARGEST_GAIN)
    return np.where(usable, clipped, 1.0).astype(np.float32)


def _pairs(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, str, onnx.NodeProto]]:
    """Yield (producer, tensor, reader) where a channel can be scaled between the two."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for producer in model.graph.node:
        if producer.op_type not in _WITH_WEIGHTS or len(producer.input) < 3:
            continue
        tensor = producer.output[0]
        following = readers.get(tensor, [])
        if len(following) == 1 and following[0].op_type == "Relu":
            tensor = following[0].output[0]
            following = readers.get(tensor, [])
        if len(following) == 1 and following[0].op_type in _WITH_WEIGHTS:
            reader = following[0]
            channels = next(
                t.dims[0] for t in model.graph.initializer if t.name == producer.input[2]
            )
            if _attribute(reader, "group", 1) in (1, channels):
                yield producer, tensor, reader


def _observed(model: onnx.ModelProto, calibration: FloatArray) -> dict[str, FloatArray]:
    """Run a model; returns the value of the input and of every node."""
    with TemporaryDirectory(prefix="hwkd-observed-") as folder:
        path = Path(folder) / "float.onnx"
        onnx.save(model, path)
        session = observing_session(path)
    input_name = session.get_inputs()[0].name
    names = [value.name for value in session.get_outputs()]
    found = dict(zip(names, session.run(None, {input_name: calibration}), strict=True))
    return {input_name: calibration, **found}


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return int(found.get(name, default))


def _along(values: Any, ndim: int, *, axis: int) -> Any:
    return values.reshape([-1 if position == axis else 1 for position in range(ndim)])
