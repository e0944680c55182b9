"""Networks for checking and timing the C that hwkd exports: MLPerf Tiny shapes, random weights.

The shapes are those of the MLPerf Tiny 1.x reference models (arXiv:2106.07597 and
github.com/mlcommons/tiny, `benchmark/training`): ResNet-8 on 32x32x3, DS-CNN on 49x10x1,
MobileNetV1 x0.25 on 96x96x3, the fully connected autoencoder on 640. Weights are random:
instruction counts and bit-exactness do not depend on them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)


class NetworkBuilder:
    """Adds float ONNX nodes one by one; every method returns the name of its output."""

    def __init__(self, input_shape: tuple[int, ...], *, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.input_shape = input_shape
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, ...]] = {"input": (1, *input_shape)}
        self.last = "input"
        self.almost_constant: list[str] = []  # tensors that calibration saw hardly move

    def constant(self, values: NDArray[Any] | np.generic) -> str:
        """Add a constant and return its name."""
        name = f"const{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(
        self,
        kind: str,
        inputs: list[str],
        shape: tuple[int, ...],
        **attributes: Any,
    ) -> str:
        """Add any operator."""
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [f"{name}_out"], name, **attributes))
        self.last = f"{name}_out"
        self.shapes[self.last] = shape
        return self.last

    def conv(
        self,
        channels: int,
        kernel: tuple[int, int] = (1, 1),
        *,
        stride: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] | None = None,
        groups: int = 1,
        dilation: tuple[int, int] = (1, 1),
        relu: str = "Relu",
        source: str | None = None,
    ) -> str:
        """Add a convolution with bias and an activation."""
        source = source or self.last
        _, depth, height, width = self.shapes[source]
        if pads is None:
            pads = _same_pads((height, width), kernel, stride, dilation)
        fan_in = depth // groups * kernel[0] * kernel[1]
        weights = self.rng.normal(size=(channels, depth // groups, *kernel)) / np.sqrt(fan_in)
        bias = self.rng.normal(size=channels) * 0.1
        size = tuple(
            (extent + before + after - step * (taps - 1) - 1) // jump + 1
            for extent, before, after, step, taps, jump in zip(
                (height, width), pads[:2], pads[2:], dilation, kernel, stride, strict=True
            )
        )
        self.node(
            "Conv",
            [
                source,
                self.constant(weights.astype(np.float32)),
                self.constant(bias.astype(np.float32)),
            ],
            (1, channels, *size),
            kernel_shape=list(kernel),
            strides=list(stride),
            pads=list(pads),
            dilations=list(dilation),
            group=groups,
        )
        return self.activation(relu)

    def activation(self, kind: str) -> str:
        """Add an activation by its ONNX name, `Relu6`, or nothing for an empty one."""
        shape = self.shapes[self.last]
        if kind == "Relu6":
            low, high = self.constant(np.float32(0)), self.constant(np.float32(6))
            return self.node("Clip", [self.last, low, high], shape)
        if kind:
            return self.node(kind, [self.last], shape)
        return self.last

    def depthwise(
        self,
        kernel: tuple[int, int] = (3, 3),
        *,
        stride: tuple[int, int] = (1, 1),
        pads: tuple[int, int, int, int] | None = None,
        relu: str = "Relu",
    ) -> str:
        """Add a convolution with one filter for each channel."""
        depth = self.shapes[self.last][1]
        return self.conv(depth, kernel, stride=stride, pads=pads, groups=depth, relu=relu)

    def add(self, left: str, right: str, relu: str = "") -> str:
        """Add two tensors."""
        self.node("Add", [left, right], self.shapes[left])
        return self.activation(relu)

    def mul(self, left: str, right: str) -> str:
        """Multiply two tensors; the second may broadcast."""
        return self.node("Mul", [left, right], self.shapes[left])

    def matmul(self, left: str, right: str) -> str:
        """Multiply two tensors as matrices."""
        shape = (*self.shapes[left][:-1], self.shapes[right][-1])
        return self.node("MatMul", [left, right], shape)

    def reshape(self, *shape: int) -> str:
        """Reshape the last tensor."""
        target = self.constant(np.array(shape, dtype=np.int64))
        return self.node("Reshape", [self.last, target], shape)

    def transpose(self, *permutation: int) -> str:
        """Permute the last tensor's axes."""
        shape = tuple(self.shapes[self.last][axis] for axis in permutation)
        return self.node("Transpose", [self.last], shape, perm=list(permutation))

    def global_average(self, source: str | None = None) -> str:
        """Average over height and width."""
        source = source or self.last
        return self.node("GlobalAveragePool", [source], (*self.shapes[source][:2], 1, 1))

    def pool(
        self,
        kind: str,
        kernel: tuple[int, int],
        *,
        stride: tuple[int, int] | None = None,
        pads: tuple[int, int, int, int] = (0, 0, 0, 0),
        counts_pads: bool = False,
    ) -> str:
        """Add MaxPool or AveragePool."""
        stride = stride or kernel
        _, depth, height, width = self.shapes[self.last]
        rows = (height + pads[0] + pads[2] - kernel[0]) // stride[0] + 1
        columns = (width + pads[1] + pads[3] - kernel[1]) // stride[1] + 1
        attributes: dict[str, int | list[int]] = {
            "kernel_shape": list(kernel),
            "strides": list(stride),
            "pads": list(pads),
        }
        if kind == "AveragePool":
            attributes["count_include_pad"] = int(counts_pads)
        return self.node(kind, [self.last], (1, depth, rows, columns), **attributes)

    def pad(self, pads: tuple[int, ...]) -> str:
        """Surround the last tensor with zeros: before each axis, then after each axis."""
        axes = len(pads) // 2
        shape = tuple(
            size + pads[axis] + pads[axis + axes]
            for axis, size in enumerate(self.shapes[self.last])
        )
        sizes = self.constant(np.array(pads, dtype=np.int64))
        return self.node("Pad", [self.last, sizes, self.constant(np.float32(0))], shape)

    def enlarge(self, down: int, right: int, **rule: str) -> str:
        """Repeat each position of the last map, by a rule of coordinates and of rounding."""
        batch, depth, height, width = self.shapes[self.last]
        scales = self.constant(np.array([1, 1, down, right], dtype=np.float32))
        nowhere = self.constant(np.zeros(0, dtype=np.float32))
        shape = (batch, depth, height * down, width * right)
        return self.node("Resize", [self.last, nowhere, scales], shape, **rule)

    def linear(self, outputs: int, relu: str = "") -> str:
        """Add a fully connected layer."""
        fan_in = self.shapes[self.last][-1]
        weights = (self.rng.normal(size=(outputs, fan_in)) / np.sqrt(fan_in)).astype(np.float32)
        bias = (self.rng.normal(size=outputs) * 0.1).astype(np.float32)
        names = [self.last, self.constant(weights), self.constant(bias)]
        self.node("Gemm", names, (1, outputs), transB=1)
        return self.activation(relu)

    def classifier(self, outputs: int) -> str:
        """Add global pooling and a fully connected layer."""
        features = self.shapes[self.global_average()][1]
        self.reshape(1, features)
        return self.linear(outputs)

    def model(self) -> onnx.ModelProto:
        """Return the float model."""
        floats = TensorProto.FLOAT
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("input", floats, (1, *self.input_shape))],
            [helper.make_tensor_value_info(self.last, floats, self.shapes[self.last])],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _same_pads(
    size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], step: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Return TensorFlow's "same" padding: outputs = ceil(inputs / stride), extra at the end."""
    totals = [
        max((-(-extent // jump) - 1) * jump + (taps - 1) * gap + 1 - extent, 0)
        for extent, taps, jump, gap in zip(size, kernel, stride, step, strict=True)
    ]
    return (
        totals[0] // 2, totals[1] // 2, totals[0] - totals[0] // 2, totals[1] - totals[1] // 2,
    )  # fmt: skip


class Samples(CalibrationDataReader):  # type: ignore[misc]  # untyped library
    """Gives ONNX Runtime's quantiser the inputs that it calibrates with, one by one."""

    def __init__(self, samples: np.ndarray) -> None:
        self._samples = iter(samples)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next input by its name; None after the last."""
        sample = next(self._samples, None)
        return None if sample is None else {"input": sample[None]}


def quantise(network: NetworkBuilder, folder: Path, name: str, *, per_channel: bool = True) -> Path:
    """Write `<name>.onnx` and its int8 form; return the path of the second."""
    float_path, int8_path = folder / f"{name}.onnx", folder / f"{name}_int8.onnx"
    onnx.save(network.model(), float_path)
    samples = np.random.default_rng(1).normal(size=(16, *network.input_shape)).astype(np.float32)
    quantize_static(
        str(float_path),
        str(int8_path),
        Samples(samples),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        calibrate_method=CalibrationMethod.MinMax,
        op_types_to_quantize=sorted({node.op_type for node in network.nodes}),
        extra_options={"ForceQuantizeNoInputCheck": True},
    )
    _shrink_scales(int8_path, network.almost_constant)
    return int8_path


def _shrink_scales(path: Path, tensors: list[str]) -> None:
    """Give tensors the scale of a range of about 1e-9."""
    model = onnx.load(path)
    for item in model.graph.initializer:
        if item.name in {f"{name}_scale" for name in tensors}:
            tiny = np.array(1e-9 / 255, dtype=np.float32)
            item.CopyFrom(numpy_helper.from_array(tiny, item.name))
    onnx.save(model, path)


def resnet8() -> NetworkBuilder:
    """ResNet-8: 12.5 M multiply-accumulates, 78 k weights."""
    net = NetworkBuilder((3, 32, 32))
    net.conv(16, (3, 3))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        entry = net.last
        net.conv(channels, (3, 3), stride=(stride, stride))
        main = net.conv(channels, (3, 3), relu="")
        skip = entry
        if stride > 1:
            skip = net.conv(channels, (1, 1), stride=(stride, stride), relu="", source=entry)
        net.add(main, skip, "Relu")
    net.classifier(10)
    return net


def ds_cnn() -> NetworkBuilder:
    """DS-CNN: 2.7 M multiply-accumulates, 23 k weights."""
    net = NetworkBuilder((1, 49, 10))
    net.conv(64, (10, 4), stride=(2, 2))
    for _ in range(4):
        net.depthwise()
        net.conv(64)
    net.classifier(12)
    return net


def mobilenet_v1_025() -> NetworkBuilder:
    """MobileNetV1 x0.25: 7.5 M multiply-accumulates, 209 k weights."""
    net = NetworkBuilder((3, 96, 96))
    net.conv(8, (3, 3), stride=(2, 2))
    plan = (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *((128, 1),) * 5,
        (256, 2),
        (256, 1),
    )
    for channels, stride in plan:
        net.depthwise(stride=(stride, stride))
        net.conv(channels)
    net.classifier(2)
    return net


def autoencoder() -> NetworkBuilder:
    """Fully connected autoencoder: 264 k multiply-accumulates and weights."""
    net = NetworkBuilder((640,))
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        net.linear(width, "Relu")
    net.linear(640)
    return net


MLPERF_TINY = {
    "resnet8": resnet8,
    "ds_cnn": ds_cnn,
    "mobilenet_v1_025": mobilenet_v1_025,
    "autoencoder": autoencoder,
}
