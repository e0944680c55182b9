"""Well-known image networks as operator graphs, for the Raspberry Pi rows that ncnn publishes.

Shapes are those of the papers, as ncnn's benchmark runs them: MobileNet v1 (arXiv:1704.04861), v2
(arXiv:1801.04381), SqueezeNet 1.1 (arXiv:1602.07360), ResNet-18 and -50 (arXiv:1512.03385), VGG-16
(arXiv:1409.1556), all at 224 x 224 (SqueezeNet 227).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MappingProxyType

from hwkd.core.graph import Op, OpGraph, Tensor

Cursor = tuple[str, int, int]  # tensor, channels, side


class _Builder:
    """Appends operators; a cursor is (tensor, channels, side of the square image)."""

    def __init__(self, side: int) -> None:
        self.tensors = {"input": Tensor(name="input", shape=(1, 3, side, side))}
        self.ops: list[Op] = []
        self.start: Cursor = ("input", 3, side)

    def conv(
        self, at: Cursor, out: int, k: int, s: int = 1, *, groups: int = 1, pad: int = -1
    ) -> Cursor:
        """Append a convolution; its padding keeps the size at stride 1 unless given."""
        name, channels, side = at
        pad = (k - 1) // 2 if pad < 0 else pad
        size = (side + 2 * pad - k) // s + 1
        depth = k * k * channels // groups
        return self._add(
            "Conv", (name,), out, size, macs=depth * out * size * size, weights=depth * out,
            kernel=k, stride=s, pad=pad, groups=groups,
        )  # fmt: skip

    def pool(self, at: Cursor, k: int, s: int, pad: int = 0) -> Cursor:
        """Append a maximum pooling that rounds its size up."""
        size = -(-(at[2] + 2 * pad - k) // s) + 1
        return self._add("MaxPool", (at[0],), at[1], size, kernel=k, stride=s, pad=pad)

    def add(self, at: Cursor, other: Cursor) -> Cursor:
        """Append a residual addition."""
        return self._add("Add", (at[0], other[0]), at[1], at[2])

    def concat(self, at: Cursor, other: Cursor) -> Cursor:
        """Append a concatenation of channels."""
        return self._add("Concat", (at[0], other[0]), at[1] + other[1], at[2])

    def mean(self, at: Cursor) -> Cursor:
        """Append a global average."""
        return self._add("GlobalAveragePool", (at[0],), at[1], 1)

    def dense(self, at: Cursor, out: int) -> Cursor:
        """Append a fully connected layer."""
        weights = at[1] * at[2] * at[2] * out
        return self._add("Gemm", (at[0],), out, 1, macs=weights, weights=weights)

    def graph(self, at: Cursor) -> OpGraph:
        """Finish at a cursor."""
        return OpGraph(
            ops=tuple(self.ops), tensors=self.tensors, inputs=("input",), outputs=(at[0],)
        )

    def _add(
        self, kind: str, inputs: tuple[str, ...], channels: int, side: int, *, macs: int = 0,
        weights: int = 0, kernel: int = 1, stride: int = 1, pad: int = 0, groups: int = 1,
    ) -> Cursor:  # fmt: skip
        name = f"t{len(self.ops)}"
        self.tensors[name] = Tensor(name=name, shape=(1, channels, side, side))
        self.ops.append(
            Op(
                name=f"op_{name}", kind=kind, inputs=inputs, outputs=(name,), macs=macs,
                weights=weights, biases=channels if weights else 0, kernel=(kernel, kernel),
                stride=(stride, stride), pads=(pad, pad, pad, pad), groups=groups,
            )
        )  # fmt: skip
        return name, channels, side


def _mobilenet_v1() -> OpGraph:
    b = _Builder(224)
    at = b.conv(b.start, 32, 3, 2)
    for out, s in [
        (64, 1),
        (128, 2),
        (128, 1),
        (256, 2),
        (256, 1),
        (512, 2),
        *[(512, 1)] * 5,
        (1024, 2),
        (1024, 1),
    ]:
        at = b.conv(b.conv(at, at[1], 3, s, groups=at[1]), out, 1)
    return b.graph(b.dense(b.mean(at), 1000))


def _mobilenet_v2() -> OpGraph:
    b = _Builder(224)
    at = b.conv(b.start, 32, 3, 2)
    stages = [
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ]
    for expand, out, repeats, first_stride in stages:
        for step in range(repeats):
            s = first_stride if step == 0 else 1
            wide = at if expand == 1 else b.conv(at, at[1] * expand, 1)
            new = b.conv(b.conv(wide, wide[1], 3, s, groups=wide[1]), out, 1)
            at = b.add(new, at) if s == 1 and out == at[1] else new
    return b.graph(b.dense(b.mean(b.conv(at, 1280, 1)), 1000))


def _squeezenet() -> OpGraph:
    b = _Builder(227)
    at = b.pool(b.conv(b.start, 64, 3, 2, pad=0), 3, 2)
    for i, (squeeze, expand) in enumerate(
        [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
    ):
        if i in (2, 4):
            at = b.pool(at, 3, 2)
        small = b.conv(at, squeeze, 1)
        at = b.concat(b.conv(small, expand, 1), b.conv(small, expand, 3))
    return b.graph(b.mean(b.conv(at, 1000, 1)))


def _resnet(blocks: tuple[int, ...], bottleneck: bool) -> OpGraph:
    b = _Builder(224)
    at = b.pool(b.conv(b.start, 64, 7, 2), 3, 2, 0)
    for stage, repeats in enumerate(blocks):
        width = 64 << stage
        out = width * 4 if bottleneck else width
        for step in range(repeats):
            s = 2 if step == 0 and stage else 1
            if bottleneck:
                new = b.conv(b.conv(b.conv(at, width, 1), width, 3, s), out, 1)
            else:
                new = b.conv(b.conv(at, width, 3, s), width, 3)
            at = b.add(new, b.conv(at, out, 1, s) if s == 2 or at[1] != out else at)
    return b.graph(b.dense(b.mean(at), 1000))


def _vgg16() -> OpGraph:
    b = _Builder(224)
    at = b.start
    for width, repeats in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(repeats):
            at = b.conv(at, width, 3)
        at = b.pool(at, 2, 2)
    return b.graph(b.dense(b.dense(b.dense(at, 4096), 4096), 1000))


_BUILDERS: MappingProxyType[str, Callable[[], OpGraph]] = MappingProxyType(
    {
        "mobilenet": _mobilenet_v1,
        "mobilenet_v2": _mobilenet_v2,
        "squeezenet": _squeezenet,
        "resnet18": lambda: _resnet((2, 2, 2, 2), False),
        "resnet50": lambda: _resnet((3, 4, 6, 3), True),
        "vgg16": _vgg16,
    }
)
CLASSIC_MODELS = tuple(_BUILDERS)


@cache
def classic_graph(name: str) -> OpGraph:
    """Return one of `CLASSIC_MODELS`."""
    return _BUILDERS[name]()
