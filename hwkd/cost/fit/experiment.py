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

from hwkd.core.kinds import LAYER_KINDS, Kind
from hwkd.core.student import Layer, Layers
from hwkd.cost.fit.design import COLUMNS, Array, Design, Measurement
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import Spread, log_covariance
from hwkd.cost.graph import build_graph

_SPREAD = Spread(common=1.5, per_class=1.0, per_amount=1.0)
_TIMER_NOISE = 0.02
_MOST_CYCLES = 2e7


@dataclass(frozen=True)
class Experiment:
    """The chosen operators.

    Attributes:
        uncertainty: (operator class, amount) -> standard deviation of its logarithm left after
            measuring, of `prior_uncertainty` before.
    """

    networks: tuple[Layers, ...]
    uncertainty: dict[tuple[str, str], float]
    prior_uncertainty: float


def design_experiment(count: int) -> Experiment:
    """Choose `count` operators out of `candidates()`."""
    pool = candidates()
    rows = [
        Measurement(
            name=network.layers[0].name, graph=build_graph(network), cycles=1.0,
            group=network.layers[0].name,
        )
        for network in pool
    ]  # fmt: skip
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
    priced = np.flatnonzero(GENERIC > 0)
    seen = {COLUMNS[i]: float(left[i]) for i in priced}
    return Experiment(tuple(pool[i] for i in chosen), seen, prior)


def _after(covariance: Array, row: Array) -> Array:
    """Return the covariance once a measurement with unit noise is known (Sherman-Morrison)."""
    direction = covariance @ row
    return covariance - np.outer(direction, direction) / (1.0 + row @ direction)


def candidates() -> tuple[Layers, ...]:
    """Return every network of one layer that the experiment may choose from."""
    found = []
    for channels, out, side in product((3, 4, 7, 16, 32, 64), (4, 15, 32, 64), (4, 9, 16)):
        for kernel, stride, pad in ((1, 1, 0), (3, 1, 1), (3, 2, 1), (5, 1, 2), (5, 1, 0)):
            if kernel <= side:
                found.append(_conv(channels, out, side, kernel, stride, pad, groups=1))
    for channels, side, kernel, stride in product((4, 16, 64), (5, 16), (3, 5), (1, 2)):
        found.append(_conv(channels, channels, side, kernel, stride, kernel // 2, channels))
    for inputs, outputs in product((8, 64, 250, 640), (1, 10, 128)):
        name = f"gemm_{inputs}_to_{outputs}"
        found.append(_single("linear", name, (inputs,), (outputs,)))
    # A square matrix times itself: a model with one input, as the quantiser takes it.
    for size in (4, 8, 16, 32, 64):
        name = f"matmul_{size}x{size}"
        found.append(_single("matmul", name, (size, size), (size, size)))
    for channels, side in product((1, 16, 64), (1, 4, 16)):
        found += _without_window(channels, side)
    # Of poolings one is enough, that which compares: others do the same amounts of work.
    compared = [
        kind for kind in map(LAYER_KINDS.get, LAYER_KINDS) if kind.is_pooling and kind.moves
    ]
    for kind, channels, side, kernel in product(compared, (1, 16), (4, 16), (2, 4)):
        found.append(_pooled(kind, channels, side, kernel))
    return tuple(found)


def _pooled(kind: Kind, channels: int, side: int, kernel: int) -> Layers:
    layer = Layer(
        name=f"{kind.onnx.lower()}_{channels}x{side}x{side}_k{kernel}", kind=kind.layer,
        inputs=("input",), shape=(channels, side // kernel, side // kernel),
        kernel=(kernel, kernel), stride=(kernel, kernel),
    )  # fmt: skip
    return Layers(input_shape=(channels, side, side), layers=(layer,))


def _conv(
    channels: int, out: int, side: int, kernel: int, stride: int, pad: int, groups: int
) -> Layers:
    size = (side + 2 * pad - kernel) // stride + 1
    label = "depthwise" if groups > 1 else "conv"
    layer = Layer(
        name=f"{label}_{channels}x{side}x{side}_to_{out}_k{kernel}_s{stride}_p{pad}",
        kind="conv", inputs=("input",), shape=(out, size, size), kernel=(kernel, kernel),
        stride=(stride, stride), pads=(pad, pad, pad, pad), groups=groups,
    )  # fmt: skip
    return Layers(input_shape=(channels, side, side), layers=(layer,))


def _without_window(channels: int, side: int) -> list[Layers]:
    """Return one network for each kind that goes over an image element by element."""
    shape, label = (channels, side, side), f"{channels}x{side}x{side}"
    return [
        _single("add", f"add_{label}", shape, shape),
        _single("hard_swish", f"hardswish_{label}", shape, shape),
        _single(
            "transpose", f"transpose_{label}", shape, (side, side, channels),
            permutation=(1, 2, 0),
        ),
        _single("softmax", f"softmax_{label}", shape, shape, axis=2),
        _single("global_avg_pool", f"globalaveragepool_{label}", shape, (channels, 1, 1)),
    ]  # fmt: skip


def _single(
    kind: str,
    name: str,
    given: tuple[int, ...],
    output: tuple[int, ...],
    *,
    permutation: tuple[int, ...] = (),
    axis: int = 0,
) -> Layers:
    """Return a network of one layer, which reads its input as often as its kind has operands."""
    inputs = ("input",) * LAYER_KINDS.get(kind).inputs
    layer = Layer(
        name=name, kind=kind, inputs=inputs, shape=output, permutation=permutation, axis=axis
    )
    return Layers(input_shape=given, layers=(layer,))
