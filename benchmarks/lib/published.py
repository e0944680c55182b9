"""Published measurements in `benchmarks/facts/`, as operator graphs and rows.

Facts only: shapes, cycles, milliseconds, each with its source. Graphs are fused already, as the
measured files were.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from hwkd.core.graph import Op, OpGraph, Tensor

FACTS = Path(__file__).parents[1] / "facts"
_BIAS_BYTES = 4
# Published sizes are rounded to 10 bytes, the smallest network has 9 KiB.
_WEIGHTS_AGREE = 0.005

_KINDS = {
    "CONV_2D": "Conv", "DEPTHWISE_CONV_2D": "Conv", "FULLY_CONNECTED": "Gemm", "ADD": "Add",
    "MUL": "Mul", "AVERAGE_POOL_2D": "AveragePool", "MAX_POOL_2D": "MaxPool", "MEAN": "ReduceMean",
    "PAD": "Pad", "RESHAPE": "Reshape", "CONCATENATION": "Concat", "SOFTMAX": "Softmax",
    "LOGISTIC": "Sigmoid", "HARD_SWISH": "HardSwish", "SUB": "Sub", "LEAKY_RELU": "LeakyRelu",
    "MINIMUM": "Min", "MAXIMUM": "Max", "REDUCE_MAX": "ReduceMax", "RESIZE_BILINEAR": "Resize",
    "TRANSPOSE": "Transpose", "RELU": "Relu",
}  # fmt: skip


# Published name of a family -> the name of an architecture that is listed under another name too.
_ZOO_FAMILIES = {"mobilenet_v1": "mobilenet", "resnet_v1": "resnet"}
_MLPERF_FAMILIES = {
    "vww01": "mobilenet", "ic01": "resnet", "kws01": "ds_cnn", "ad01": "autoencoder",
    "sww01": "streaming_wake_word",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OpRow:
    """One operator measured alone.

    Attributes:
        board: where.
        graph: the operator.
        cycles: measured.
        configuration: equal for rows that measure the same operator again.
    """

    board: str
    graph: OpGraph
    cycles: float
    configuration: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow:
    """One whole model measured.

    Attributes:
        board: where.
        software: inference stack with its version.
        submitter: who published it.
        model: key of `graph_of`.
        family: architecture, named alike in all sources, for leaving one out.
        latency_s: measured.
        clock_hz: of the board.
        energy_j: measured, or None.
        source: file it was read from.
    """

    board: str
    software: str
    submitter: str
    model: str
    family: str
    latency_s: float
    clock_hz: float
    energy_j: float | None
    source: str

    @property
    def cycles(self) -> float:
        """Latency in cycles of the board's clock."""
        return self.latency_s * self.clock_hz


def read_csv(name: str) -> list[dict[str, str]]:
    """Return the rows of one file of `benchmarks/facts/`."""
    with (FACTS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def op_rows(board: str) -> tuple[OpRow, ...]:
    """Return every operator measured alone on a board."""
    rows = []
    for row in read_csv("op_cycles.csv"):
        if row["board"] != board:
            continue
        key = ",".join(
            row[k] for k in ("op", "in_shape_nhwc", "out_shape_nhwc", "kernel", "stride")
        )
        graph = single_op(
            row["op"], sizes(row["in_shape_nhwc"]), sizes(row["out_shape_nhwc"]),
            sizes(row["kernel"]) or (1, 1), sizes(row["stride"]) or (1, 1),
        )  # fmt: skip
        rows.append(OpRow(board=board, graph=graph, cycles=float(row["cycles"]), configuration=key))
    return tuple(rows)


@cache
def mlperf_rows() -> tuple[ModelRow, ...]:
    """Return the MLPerf Tiny closed-division rows, int8."""
    return tuple(
        ModelRow(
            board=row["board"],
            software=row["software"],
            submitter=row["submitter"],
            model=row["model"],
            family=_MLPERF_FAMILIES[row["model"]],
            latency_s=float(row["latency_ms"]) / 1e3,
            clock_hz=float(row["clock_mhz"]) * 1e6,
            energy_j=float(row["energy_uj"]) / 1e6 if row["energy_uj"] else None,
            source=row["source"],
        )
        for row in read_csv("mlperf_tiny.csv")
        if row["dtype"] == "int8"
    )


@cache
def zoo_rows() -> tuple[ModelRow, ...]:
    """Return the latencies of ST's model zoo, without those that are no measurement of their own.

    Left out are rows that repeat an older version's, whose tensors or weights lie in external
    memory, whose board is not printed, whose network cannot be rebuilt, or whose weights are not
    those of the list of layers.
    """
    return tuple(
        ModelRow(
            board=row["board"],
            software=row["software"],
            submitter="model zoo",
            model=row["model"],
            family=_ZOO_FAMILIES.get(row["family"], row["family"]),
            latency_s=float(row["latency_ms"]) / 1e3,
            clock_hz=float(row["clock_mhz"]) * 1e6,
            energy_j=None,
            source=row["source"],
        )
        for row in read_csv("stm32_model_zoo.csv")
        if not row["no_latency"] and is_its_network(row)
    )


def is_its_network(row: dict[str, str]) -> bool:
    """Tell whether the weights that a row of the zoo prints are those of its list of layers.

    All rows agree within 0.1% but four, which are 2 to 26% off: they were measured on a network of
    the same name. The ssd networks also store the anchors of their boxes, which the lists leave
    out, as int8 up to version 8 and as float32 later.
    """
    if not row["weights_flash_kib"]:
        return True
    graph = graph_of(row["model"])
    listed = sum(op.weights + _BIAS_BYTES * op.biases for op in graph.ops)
    if "ssd" in row["model"]:
        is_old = row["software"] == "X-CUBE-AI 8.1.0"
        listed += (4 if is_old else 16) * graph.tensors[graph.outputs[0]].shape[1]
    return abs(listed / 1024 / float(row["weights_flash_kib"]) - 1) < _WEIGHTS_AGREE


@cache
def other_board_rows() -> tuple[ModelRow, ...]:
    """Return whole networks that others timed: EdgeMark, TinyEngine, Ambiq."""
    return tuple(
        ModelRow(
            board=row["board"],
            software=row["software"],
            submitter=row["source"].partition("@")[0],
            model=row["model"],
            family=_MLPERF_FAMILIES.get(row["model"], row["model"]),
            latency_s=float(row["latency_ms"]) / 1e3,
            clock_hz=float(row["clock_mhz"]) * 1e6,
            energy_j=None,
            source=row["source"],
        )
        for row in read_csv("other_boards.csv")
    )


@cache
def graph_of(model: str) -> OpGraph:
    """Return a published model's operator graph by its name."""
    specs: dict[str, Any] = _specs()
    spec = specs[model]
    return _graph(specs[spec["same_as"]] if "same_as" in spec else spec)


@cache
def esp_rows(board: str, software: str) -> tuple[OpRow, ...]:
    """Return Espressif's own operator timings on one chip, with "esp-nn" or "ANSI C" kernels."""
    rows = []
    for row in read_csv("op_cycles_other.csv"):
        if row["board"] != board or software not in row["software"]:
            continue
        graph = _esp_operator(row)
        if graph is not None:
            name = f"{row['op']} {row['in_shape'] or row['note'].split(';')[0]}"
            rows.append(
                OpRow(board=board, graph=graph, cycles=float(row["cycles"]), configuration=name)
            )
    return tuple(rows)


def _esp_operator(row: dict[str, str]) -> OpGraph | None:
    """Return one row of Espressif's table as a graph; None for an operator that hwkd never runs."""
    kind, window = row["op"], _numbers(row["kernel"])
    if kind in ("convolution", "depthwise conv"):
        image, result = sizes(row["in_shape"]), sizes(row["out_shape"])
        groups = image[2] if kind == "depthwise conv" else 1
        node = {"op": "CONV_2D", "i": [0], "o": 1, "os": [1, *result], "k": window, "g": groups}
        return _graph({"input": [1, *image], "input_id": 0, "nodes": [node]})
    if kind == "fully connected":
        length, outputs = int(row["in_shape"]), int(row["out_shape"])
        return single_op("FULLY_CONNECTED", (length,), (outputs,), (1, 1), (1, 1))
    element_count = {"elementwise_add": ("ADD", 1615), "elementwise_mul": ("MUL", 1615)}
    if kind in element_count:
        name, elements = element_count[kind]
        return single_op(name, (elements,), (elements,), (1, 1), (1, 1))
    if kind in ("max pool", "avg pool"):
        name = "MAX_POOL_2D" if kind == "max pool" else "AVERAGE_POOL_2D"
        return single_op(name, (16, 16, 16), (14, 14, 16), (3, 3), (1, 1))
    if kind == "mean":
        return single_op("MEAN", (7, 7, 16), (16,), (1, 1), (1, 1))
    if kind == "softmax":
        return single_op("SOFTMAX", (256,), (256,), (1, 1), (1, 1))
    return (
        single_op("LOGISTIC", (12544,), (12544,), (1, 1), (1, 1)) if kind == "hard_swish" else None
    )


# Int8 kernels among the operators that Ambiq timed -> TensorFlow Lite's name.
_HELIUM_KINDS = {
    "conv2d 3x3": "CONV_2D", "mul s8 (half of hard-swish)": "MUL", "hard_swish s8": "HARD_SWISH",
    "minimum (half of hard-swish)": "MINIMUM", "leaky_relu s8": "LEAKY_RELU", "sub s8": "SUB",
    "relu s8": "RELU", "mean over H,W s8": "MEAN",
}  # fmt: skip


@cache
def helium_rows() -> tuple[OpRow, ...]:
    """Return the int8 operators that Ambiq timed on an Apollo510 (Cortex-M55)."""
    rows = []
    for row in read_csv("op_cycles_m55.csv"):
        kind = _HELIUM_KINDS.get(row["op"])
        if kind is None:
            continue
        window = (3, 3) if kind == "CONV_2D" else (1, 1)
        image, result = sizes(row["in_shape_nhwc"])[1:], sizes(row["out_shape_nhwc"])[1:]
        graph = single_op(kind, image, result, window, (1, 1))
        rows.append(
            OpRow(
                board=row["board"], graph=graph, cycles=float(row["cycles"]),
                configuration=row["op"],
            )
        )  # fmt: skip
    return tuple(rows)


@cache
def xg24_convolutions() -> tuple[OpRow, ...]:
    """Return the convolutions that Silicon Labs timed with TFLM and CMSIS-NN on an xG24 (M33)."""
    rows = []
    for row in read_csv("op_cycles_other.csv"):
        if "xG24" not in row["board"] or row["op"] != "conv_2d":
            continue
        image, kernel, _ = row["in_shape"].split(",")
        step = 2 if "stride:2x2" in row["note"] else 1
        node = {
            "op": "CONV_2D", "i": [0], "o": 1, "os": sizes(row["out_shape"]),
            "k": sizes(kernel)[1:3], "s": (step, step),
            "p": (0, 1, 0, 1) if "Padding:same" in row["note"] else (0, 0, 0, 0),
        }  # fmt: skip
        graph = _graph({"input": sizes(image), "input_id": 0, "nodes": [node]})
        rows.append(
            OpRow(
                board=row["board"], graph=graph, cycles=float(row["cycles"]),
                configuration=f"convolution {image} on xG24",
            )
        )  # fmt: skip
    return tuple(rows)


@cache
def ncnn_rows(board: str, dtype: str) -> tuple[tuple[str, float], ...]:
    """Return (model, latency in seconds) of ncnn on one Raspberry Pi, one thread."""
    return tuple(
        (row["model"], float(row["latency_ms"]) / 1e3)
        for row in read_csv("raspberry_pi.csv")
        if row["board"] == board and row["dtype"] == dtype
    )


def single_op(
    kind: str,
    in_shape: tuple[int, ...],
    out_shape: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    *,
    groups: int = 1,
) -> OpGraph:
    """Return a graph of one operator, "same" padding, from NHWC shapes without batch."""
    pads = [0, 0, 0, 0]
    if len(in_shape) == 3 and len(out_shape) == 3:
        for axis in (0, 1):
            side = (out_shape[axis] - 1) * stride[axis] + kernel[axis] - in_shape[axis]
            pads[2 * axis] = max(side, 0) // 2
            pads[2 * axis + 1] = max(side, 0) - pads[2 * axis]
    node = {
        "op": kind, "i": [0], "o": 1, "os": [1, *out_shape], "k": kernel, "s": stride, "p": pads,
        "g": groups,
    }  # fmt: skip
    if kind in ("ADD", "SUB", "MUL", "MINIMUM"):
        node["i"] = [0, 0]
    return _graph({"input": [1, *in_shape], "input_id": 0, "nodes": [node]})


@cache
def _specs() -> dict[str, Any]:
    text = (FACTS / "models.json").read_text(encoding="utf-8")
    specs: dict[str, Any] = json.loads(text)
    return specs


def _graph(spec: dict[str, Any]) -> OpGraph:
    tensors = {str(spec["input_id"]): _tensor(spec["input_id"], spec["input"])}
    ops = []
    for node in spec["nodes"]:
        out = _tensor(node["o"], node["os"])
        tensors[out.name] = out
        ops.append(_op(node, tensors, out))
    last = tuple(str(i) for i in spec["outputs"]) if "outputs" in spec else ops[-1].outputs
    inputs = (str(spec["input_id"]),)
    return OpGraph(ops=tuple(ops), tensors=tensors, inputs=inputs, outputs=last)


def _op(node: dict[str, Any], tensors: dict[str, Tensor], out: Tensor) -> Op:
    kind = _KINDS[node["op"]]
    first = tensors[str(node["i"][0])]
    kernel = tuple(node.get("k") or (1, 1))
    top, bottom, left, right = node.get("p") or (0, 0, 0, 0)
    if kind == "Pad" and "p" not in node:  # shapes alone: the smaller half of the zeros comes first
        rows, columns = (out.shape[axis] - first.shape[axis] for axis in (2, 3))
        top, bottom, left, right = rows // 2, rows - rows // 2, columns // 2, columns - columns // 2
    groups = node.get("g", 1)
    weights = macs = biases = 0
    if kind == "Conv":
        depth = prod(kernel) * first.shape[1] // groups
        weights, macs, biases = depth * out.shape[1], depth * out.elements, out.shape[1]
    elif kind == "Gemm":
        weights = macs = first.elements * out.elements
        biases = out.elements
    return Op(
        name=f"op{out.name}", kind=kind, inputs=tuple(str(i) for i in node["i"]),
        outputs=(out.name,), macs=macs, weights=weights, biases=biases,
        kernel=(kernel[0], kernel[1]), stride=tuple(node.get("s") or (1, 1)),
        pads=(top, left, bottom, right), groups=groups, zero_out_channels=node.get("z", 0),
    )  # fmt: skip


def _tensor(name: int, nhwc: list[int]) -> Tensor:
    shape = (nhwc[0], nhwc[3], nhwc[1], nhwc[2]) if len(nhwc) == 4 else tuple(nhwc)
    return Tensor(name=str(name), shape=shape)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.strip("[]").split(",")) if text else ()


def sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("x")) if text else ()
