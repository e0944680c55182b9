"""Chooses which small operators to time, so that few measurements pin down every coefficient.

Each candidate is one operator. What a relative measurement of it tells about the logarithms of the
coefficients is the share that each has in its cycles (the row of the Jacobian that `solve` uses).
Candidates are added one by one, each time the one that shrinks the volume of what is still
uncertain most (greedy D-optimal design), beginning with the uncertainty of the prior: an amount
that no row contains would keep it, so none is left out.

Source:
    Fedorov 1972, Theory of Optimal Experiments; the greedy form is Galil and Kiefer 1980.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.cost.fit.design import COLUMNS, Array, Design, Measurement
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import Spread, log_covariance

__all__ = ["Experiment", "candidates", "design_experiment"]

_SPREAD = Spread(common=1.5, per_class=1.0, per_amount=1.0)
_TIMER_NOISE = 0.02
_MOST_CYCLES = 2e7


@dataclass(frozen=True)
class Experiment:
    """The chosen operators.

    Attributes:
        graphs: one operator each.
        uncertainty: (operator class, amount) -> standard deviation of its logarithm left after
            measuring, of `prior_uncertainty` before.
        prior_uncertainty: before measuring.
    """

    graphs: tuple[OpGraph, ...]
    uncertainty: dict[tuple[str, str], float]
    prior_uncertainty: float


def design_experiment(count: int) -> Experiment:
    """Choose `count` operators out of `candidates()`."""
    pool = candidates()
    rows = [
        Measurement(name=graph.ops[0].name, graph=graph, cycles=1.0, group=graph.ops[0].name)
        for graph in pool
    ]
    amounts = Design.of(rows).amounts
    work = amounts * GENERIC
    total = work.sum(axis=1)
    affordable = np.flatnonzero(total <= _MOST_CYCLES)
    shares = work / total[:, None] / _TIMER_NOISE
    covariance = log_covariance(np.arange(len(COLUMNS)), _SPREAD)
    prior = float(np.sqrt(covariance[0, 0]))
    chosen: list[int] = []
    for _ in range(count):
        best = max(
            (i for i in affordable if i not in chosen),
            key=lambda i: float(shares[i] @ covariance @ shares[i]),
        )
        chosen.append(int(best))
        covariance = _after(covariance, shares[best])
    left = np.sqrt(np.diag(covariance))
    seen = {column: float(left[i]) for i, column in enumerate(COLUMNS)}
    return Experiment(tuple(pool[i] for i in chosen), seen, prior)


def _after(covariance: Array, row: Array) -> Array:
    """Return the covariance once a measurement with unit noise is known (Sherman-Morrison)."""
    direction = covariance @ row
    return covariance - np.outer(direction, direction) / (1.0 + row @ direction)


def candidates() -> tuple[OpGraph, ...]:
    """Return every operator that the experiment may choose from, NCHW, batch 1."""
    graphs = []
    for channels, out, side in product((3, 4, 7, 16, 32, 64), (4, 15, 32, 64), (4, 9, 16)):
        for kernel, stride, pad in ((1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (5, 1, 0)):
            if kernel <= side:
                graphs.append(_conv(channels, out, side, kernel, stride, pad, groups=1))
    for channels, side, kernel, stride in product((4, 16, 64), (5, 16), (3, 5), (1, 2)):
        graphs.append(_conv(channels, channels, side, kernel, stride, kernel // 2, channels))
    for inputs, outputs in product((8, 64, 250, 640), (1, 10, 128)):
        graphs.append(_gemm(inputs, outputs))
    graphs += [_matmul(size) for size in (4, 8, 16, 32, 64)]
    for channels, side in product((1, 16, 64), (1, 4, 16)):
        shape = (1, channels, side, side)
        kinds = ("Add", "HardSwish", "Transpose", "Softmax", "GlobalAveragePool")
        graphs += [_elementwise(kind, shape) for kind in kinds]
    for channels, side, kernel in product((1, 16), (4, 16), (2, 4)):
        graphs.append(_pool(channels, side, kernel))
    return tuple(graphs)


def _conv(
    channels: int, out: int, side: int, kernel: int, stride: int, pad: int, groups: int
) -> OpGraph:
    size = (side + 2 * pad - kernel) // stride + 1
    depth = channels // groups * kernel * kernel
    label = "depthwise" if groups > 1 else "conv"
    name = f"{label}_{channels}x{side}x{side}_to_{out}_k{kernel}_s{stride}_p{pad}"
    op = Op(
        name=name, kind="Conv", inputs=("input",), outputs=("output",),
        macs=depth * out * size * size, weights=depth * out, biases=out, kernel=(kernel, kernel),
        stride=(stride, stride), pads=(pad, pad, pad, pad), groups=groups,
    )  # fmt: skip
    return _single(op, (1, channels, side, side), (1, out, size, size))


def _gemm(inputs: int, outputs: int) -> OpGraph:
    op = Op(
        name=f"gemm_{inputs}_to_{outputs}", kind="Gemm", inputs=("input",), outputs=("output",),
        macs=inputs * outputs, weights=inputs * outputs, biases=outputs,
    )  # fmt: skip
    return _single(op, (1, inputs), (1, outputs))


def _matmul(size: int) -> OpGraph:
    """Return a square matrix times itself: a model with one input, as the quantiser takes it."""
    op = Op(
        name=f"matmul_{size}x{size}", kind="MatMul", inputs=("input", "input"),
        outputs=("output",), macs=size**3,
    )  # fmt: skip
    return _single(op, (1, size, size), (1, size, size))


def _elementwise(kind: str, shape: tuple[int, ...]) -> OpGraph:
    inputs = ("input", "input") if kind == "Add" else ("input",)
    name = f"{kind.lower()}_{'x'.join(map(str, shape[1:]))}"
    op = Op(name=name, kind=kind, inputs=inputs, outputs=("output",))
    result = shape
    if kind == "GlobalAveragePool":
        result = (*shape[:2], 1, 1)
    elif kind == "Transpose":
        result = (shape[0], *shape[2:], shape[1])
    return _single(op, shape, result)


def _pool(channels: int, side: int, kernel: int) -> OpGraph:
    size = side // kernel
    op = Op(
        name=f"maxpool_{channels}x{side}x{side}_k{kernel}", kind="MaxPool", inputs=("input",),
        outputs=("output",), kernel=(kernel, kernel), stride=(kernel, kernel),
    )  # fmt: skip
    return _single(op, (1, channels, side, side), (1, channels, size, size))


def _single(op: Op, given: tuple[int, ...], output: tuple[int, ...]) -> OpGraph:
    tensors = {
        "input": Tensor(name="input", shape=given),
        "output": Tensor(name="output", shape=output),
    }
    return OpGraph(ops=(op,), tensors=tensors, inputs=("input",), outputs=op.outputs)
