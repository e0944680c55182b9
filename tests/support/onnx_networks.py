"""Small ONNX networks for tests: a builder, and the MLPerf Tiny reference shapes.

Shapes: arXiv:2106.07597 and github.com/mlcommons/tiny, benchmark/training (TensorFlow padding).
"""

from __future__ import annotations

from math import ceil, prod
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class NetworkBuilder:
    """Adds float32 operators one after another; every method returns its output's name."""

    def __init__(self, *input_shape: int, batch: int | str = 1, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.batch = batch
        self.shapes = {"input": (1, *input_shape)}
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, values: np.ndarray) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def weights(self, *shape: int) -> str:
        return self.constant((0.1 * self.random.standard_normal(shape)).astype(np.float32))

    def node(
        self, kind: str, inputs: list[str], shape: tuple[int, ...], **attributes: object
    ) -> str:
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=f"{name}_op", **attributes))
        self.shapes[name] = shape
        return name

    def conv(
        self, x: str, out: int, kernel: tuple[int, int], stride: int = 1, *, groups: int = 1,
        relu: bool = True,
    ) -> str:  # fmt: skip
        """TensorFlow's SAME padding, bias and ReLU."""
        _, channels, *sizes = self.shapes[x]
        results = [ceil(size / stride) for size in sizes]
        totals = [
            max((result - 1) * stride + k - size, 0)
            for result, k, size in zip(results, kernel, sizes, strict=True)
        ]
        before = [total // 2 for total in totals]
        pads = [*before, *(total - low for total, low in zip(totals, before, strict=True))]
        inputs = [x, self.weights(out, channels // groups, *kernel), self.weights(out)]
        y = self.node(
            "Conv", inputs, (1, out, *results),
            kernel_shape=list(kernel), strides=[stride, stride], pads=pads, group=groups,
        )  # fmt: skip
        return self.relu(y) if relu else y

    def separable(self, x: str, out: int, stride: int = 1) -> str:
        channels = self.shapes[x][1]
        return self.conv(self.conv(x, channels, (3, 3), stride, groups=channels), out, (1, 1))

    def relu(self, x: str) -> str:
        return self.node("Relu", [x], self.shapes[x])

    def add(self, x: str, y: str) -> str:
        return self.node("Add", [x, y], self.shapes[x])

    def pool(self, x: str) -> str:
        _, channels, height, width = self.shapes[x]
        return self.node("AveragePool", [x], (1, channels, 1, 1), kernel_shape=[height, width])

    def flatten(self, x: str) -> str:
        return self.node("Flatten", [x], (1, prod(self.shapes[x])))

    def dense(self, x: str, out: int) -> str:
        inputs = [x, self.weights(out, self.shapes[x][1]), self.weights(out)]
        return self.node("Gemm", inputs, (1, out), transB=1)

    def model(self, output: str) -> onnx.ModelProto:
        shape = [self.batch, *self.shapes["input"][1:]]
        result = [self.batch, *self.shapes[output][1:]]
        graph = helper.make_graph(
            self.nodes, "network",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, result)],
            self.constants,
        )  # fmt: skip
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def save(self, output: str, path: Path) -> Path:
        onnx.save(self.model(output), path)
        return path


def ad01() -> tuple[NetworkBuilder, str]:
    """Fully connected autoencoder of anomaly detection."""
    b = NetworkBuilder(640)
    x = "input"
    for width in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        x = b.relu(b.dense(x, width))
    return b, b.dense(x, 640)


def ic01() -> tuple[NetworkBuilder, str]:
    """ResNet of image classification."""
    b = NetworkBuilder(3, 32, 32)
    x = b.conv("input", 16, (3, 3))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = b.conv(b.conv(x, channels, (3, 3), stride), channels, (3, 3), relu=False)
        skip = x if stride == 1 else b.conv(x, channels, (1, 1), stride, relu=False)
        x = b.relu(b.add(skip, y))
    return b, b.dense(b.flatten(b.pool(x)), 10)


def kws01() -> tuple[NetworkBuilder, str]:
    """DS-CNN of keyword spotting."""
    b = NetworkBuilder(1, 49, 10)
    x = b.conv("input", 64, (10, 4), 2)
    for _ in range(4):
        x = b.separable(x, 64)
    return b, b.dense(b.flatten(b.pool(x)), 12)


def vww01() -> tuple[NetworkBuilder, str]:
    """MobileNetV1 x0.25 of visual wake words."""
    b = NetworkBuilder(3, 96, 96)
    x = b.conv("input", 8, (3, 3), 2)
    strided = {16: 1, 32: 2, 64: 2, 128: 2, 256: 2}
    for out in (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256):
        grows = b.shapes[x][1] != out
        x = b.separable(x, out, strided[out] if grows else 1)
    return b, b.dense(b.flatten(b.pool(x)), 2)


REFERENCES = {"ad01": ad01, "ic01": ic01, "kws01": kws01, "vww01": vww01}
