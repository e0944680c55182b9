"""The file of a student with exits, and the rule by which it stops: chosen on validation."""

from __future__ import annotations

import math
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.choices import CalibrationChoice
from hwkd.core.final_record import ExitPointRecord, ExitsRecord
from hwkd.core.head import Head
from hwkd.core.student import Layers
from hwkd.cost.backend import screening_backend
from hwkd.cost.graph import build_graph
from hwkd.deploy.calibrate import DEFAULT_CALIBRATION
from hwkd.deploy.exit_rule import (
    ExitPoint,
    cheapest_within,
    entropies,
    exit_point,
    exit_points,
    write_exit_rule,
)
from hwkd.deploy.sessions import open_session, predict_all
from hwkd.deploy.to_c.export import quantise_values
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.engine.setup.context import SearchContext
from hwkd.nn.build import StudentModule
from hwkd.qgraph.read_qdq import read_qdq
from hwkd.tasks.base import Split

# Of the whole network's accuracy, what the rule may lose on validation.
LOST_RATIO = 0.003
_SHOWN_POINTS = 12
_Found: TypeAlias = tuple[list[NDArray[np.float32]], NDArray[np.bool_]]


def write_exits(
    context: SearchContext,
    network: tuple[Layers, StudentModule],
    path: Path,
    *,
    calibration: CalibrationChoice,
) -> ExitsRecord:
    """Write the int8 file with its rule; returns what the rule does on validation and test.

    Args:
        network: with its own output first, then its exits.
        calibration: how ranges are found.
    """
    layers, module = network
    method = DEFAULT_CALIBRATION if calibration == "auto" else calibration
    with TemporaryDirectory(prefix="hwkd-exits-") as folder:
        in_float = Path(folder) / "float.onnx"
        export_onnx(module, layers, in_float)
        quantise_int8(in_float, path, context.calibration, method=method)
    costs, basis = _costs(context, layers)
    data, head = context.data, context.data.head
    on_validation = exit_points(*_answers(path, data.validation, head), costs)
    chosen = cheapest_within(on_validation, LOST_RATIO)
    write_exit_rule(path, chosen.threshold)
    tested = _answers(path, data.test, head)
    on_test, whole = (exit_point(*tested, costs, limit) for limit in (chosen.threshold, 0.0))
    step = max(1, math.ceil(len(on_validation) / _SHOWN_POINTS))
    return ExitsRecord(
        outputs=(*layers.heads[1:], layers.heads[0]),
        cost_basis=basis,
        cost_ratios=tuple(cost / costs[-1] for cost in costs),
        validation=_record(chosen),
        test=_record(on_test),
        test_whole_ratio=whole.accuracy_ratio,
        front=tuple(_record(point) for point in on_validation[::step]),
    )


def _answers(path: Path, split: Split, head: Head) -> _Found:
    """Return entropies at the exits, and which outputs are right, the network's own last."""
    graph = read_qdq(path)
    tensors = [graph.tensors[name] for name in graph.outputs.values()]
    outputs = predict_all(open_session(path), split.inputs)
    right = np.stack([head.errors(output, split.labels) == 0 for output in outputs])
    found = [
        entropies(quantise_values(output, tensor), float(tensor.scale))
        for output, tensor in zip(outputs[1:], tensors[1:], strict=True)
    ]
    return found, np.concatenate([right[1:], right[:1]])


def _record(point: ExitPoint) -> ExitPointRecord:
    return ExitPointRecord(
        threshold=point.threshold,
        accuracy_ratio=point.accuracy_ratio,
        shares=point.shares,
        cost_ratio=point.cost_ratio,
    )


def _costs(context: SearchContext, layers: Layers) -> tuple[list[float], str]:
    """Return the cost of an inference that ends at each exit, and at the end, and what it is."""
    question = context.given.question
    cost = screening_backend(context.given.device).screen(build_graph(layers), question)
    timed = [op.latency_s for op in cost.per_op]
    is_known = bool(timed) and None not in timed and sum(t or 0.0 for t in timed) > 0
    each = [float(t or 0.0) for t in timed] if is_known else [float(op.macs) for op in cost.per_op]
    upto = dict(zip((op.name for op in cost.per_op), accumulate(each), strict=True))
    basis = "estimated latency" if is_known else "multiply-accumulates"
    return [upto[name] for name in (*layers.heads[1:], layers.heads[0])], basis
