"""Networks that hold every layer kind, and what each of their layers takes of the exported C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.lib.c_fit import pricing
from benchmarks.lib.instruction_mix import mix_of_steps
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layers
from hwkd.cost.estimate import estimate_cost
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.toolchain import Tools
from hwkd.io.core_files import load_core
from hwkd.io.device_catalog import load_device
from hwkd.nn.build import build_module
from hwkd.trace.onnx_file import load_graph

_CALIBRATED_WITH = 16
# What the C calls a copy before an operator that cannot read a tensor as it lies: transposes.
_COPY, _COPIES = "_relayout", "transposes"


@dataclass(frozen=True, kw_only=True)
class LayerCycles:
    """One layer of a network.

    Attributes:
        network: that holds it.
        name: of the operator.
        kind: ONNX operator.
        predicted: cycles by `hwkd-c`'s closed forms.
        counted: cycles of its instructions by the same prices.
    """

    network: str
    name: str
    kind: str
    predicted: float
    counted: float


def image_layers() -> Layers:
    """Return a network of what students for images are made of."""
    b = LayersBuilder((3, 20, 28))
    x = b.conv("input", "stem", 12, kernel=3, stride=2, activation="relu")
    gate = b.conv(x, "gate", 12, kernel=1, activation="sigmoid")
    x = b.mul(x, gate, "gated")
    x = b.depthwise(x, "apart", kernel=5, activation="hard_swish")
    x = b.conv(x, "wide", 28, activation="relu6")
    side = b.conv(x, "side", 28, activation="hard_sigmoid")
    x = b.add(x, side, "sum")
    pooled = b.max_pool(x, "max", kernel=2)
    mean = b.avg_pool(x, "average", kernel=2)
    x = b.concat([pooled, mean], "both")
    x = b.slice(x, "some", start=8, stop=40)
    x = b.hard_swish(x, "swish")
    squeezed = b.conv(b.global_avg_pool(x, "mean"), "squeezed", 32, activation="hard_sigmoid")
    x = b.mul(x, squeezed, "scaled")
    b.classifier(x, 7)
    return b.build()


def map_layers() -> Layers:
    """Return a network of what students that answer with maps are made of."""
    b = LayersBuilder((4, 12, 16))
    x = b.conv("input", "stem", 10, kernel=3, activation="relu")
    deep = b.conv(x, "deep", 20, kernel=3, stride=2, activation="relu")
    near = b.upsample(deep, "nearest", factor=(2, 2))
    between = b.upsample(deep, "between", factor=(2, 2), mode="half_pixel")
    spread = b.conv_transpose(deep, "spread", 14, activation="relu")
    wider = b.conv_transpose(deep, "wider", 6, kernel=4, norm=False)
    x = b.concat([near, between, spread, wider], "all")
    x = b.conv(x, "mixed", 16, kernel=3, dilation=(2, 2), activation="relu")
    x = b.slice(x, "rows", start=2, stop=10, axis=1)
    b.classifier(x, 5)
    return b.build()


def sequence_layers() -> Layers:
    """Return a network of what students with attention are made of."""
    b = LayersBuilder((6, 8, 12))
    x = b.conv("input", "stem", 24, kernel=3, activation="relu")
    rows = b.reshape(x, "flat", (24, 96))
    positions = b.transpose(rows, "positions", (1, 0))
    normal = b.layer_norm(positions, "normal")
    scores = b.matmul(normal, rows, "scores")
    chances = b.softmax(scores, "chances", axis=1)
    mixed = b.matmul(chances, normal, "mixed")
    x = b.reshape(b.transpose(mixed, "back", (1, 0)), "map", (24, 8, 12))
    b.classifier(x, 4)
    return b.build()


NETWORKS: dict[str, Callable[[], Layers]] = {
    "images": image_layers, "maps": map_layers, "sequences": sequence_layers,
}  # fmt: skip


def quantised(layers: Layers, name: str, folder: Path) -> Path:
    """Write an untrained student as an int8 file; return its path."""
    samples = np.random.default_rng(0).normal(size=(_CALIBRATED_WITH, *layers.input_shape))
    floating, int8 = folder / f"{name}.onnx", folder / f"{name}_int8.onnx"
    export_onnx(build_module(layers, seed=0).eval(), layers, floating)
    quantise_int8(floating, int8, samples.astype(np.float32))
    return int8


def layer_cycles(
    name: str, layers: Layers, core: str, tools: Tools, folder: Path
) -> Iterator[LayerCycles]:
    """Yield every operator of a network that runs, predicted and counted."""
    int8 = quantised(layers, name, folder)
    price = pricing(core).cycles
    steps = mix_of_steps(int8, load_core(core), tools)
    counted: dict[str, float] = {}
    for step in steps:
        key = _COPIES if step.name.endswith(_COPY) else step.name
        counted[key] = counted.get(key, 0.0) + float(np.array(step.amounts) @ price)
    cost = estimate_cost(load_graph(int8), load_device(core), runtime="hwkd-c", clock_hz=1.0)
    moved = 0.0
    for op in cost.per_op:
        predicted = op.latency_s or 0.0
        if op.kind == "Transpose":
            moved += predicted
        elif predicted:
            yield LayerCycles(network=name, name=op.name, kind=op.kind, predicted=predicted,
                              counted=counted.pop(op.name, 0.0))  # fmt: skip
    copies = counted.pop(_COPIES, 0.0)
    if moved or copies:
        yield LayerCycles(network=name, name=_COPIES, kind="Transpose", predicted=moved,
                          counted=copies)  # fmt: skip
    for left, cycles in counted.items():
        yield LayerCycles(network=name, name=left, kind="", predicted=0.0, counted=cycles)
