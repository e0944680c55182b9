"""What every packaged device keeps, whoever adds it."""

from __future__ import annotations

import math

import pytest

from hwkd.core.basis import ESTIMATED
from hwkd.core.device import WORK
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.cost.backend import backend_of
from hwkd.cost.estimate import estimate_cost
from hwkd.io.device_catalog import device_names, load_device


def small_network() -> OpGraph:
    """3x8x8 -> conv 3x3 to 8 channels -> depthwise 3x3 -> mean -> 10 classes."""
    shapes: dict[str, tuple[int, ...]] = {
        "x": (1, 3, 8, 8), "a": (1, 8, 8, 8), "b": (1, 8, 8, 8), "c": (1, 8, 1, 1), "d": (1, 8),
        "e": (1, 10),
    }  # fmt: skip
    window = {"kernel": (3, 3), "pads": (1, 1, 1, 1)}
    ops = (
        Op(name="conv", kind="Conv", inputs=("x",), outputs=("a",), macs=13824, weights=216,
           biases=8, **window),
        Op(name="dw", kind="Conv", inputs=("a",), outputs=("b",), macs=4608, weights=72, biases=8,
           groups=8, **window),
        Op(name="mean", kind="GlobalAveragePool", inputs=("b",), outputs=("c",)),
        Op(name="flat", kind="Reshape", inputs=("c",), outputs=("d",)),
        Op(name="fc", kind="Gemm", inputs=("d",), outputs=("e",), macs=80, weights=80, biases=10),
    )  # fmt: skip
    tensors = {name: Tensor(name=name, shape=shape) for name, shape in shapes.items()}
    return OpGraph(ops=ops, tensors=tensors, inputs=("x",), outputs=("e",))


CASES = [
    (name, runtime, dtype)
    for name in device_names()
    for runtime, stack in load_device(name).runtimes.items()
    for dtype in stack.latency
]


@pytest.mark.parametrize("name", device_names())
def test_name_equals_file_and_every_number_has_a_source(name: str) -> None:
    device = load_device(name)
    assert device.name == name
    assert device.description
    assert {row.runtime.split()[0] for row in backend_of(device).evidence(device)} == set(
        device.runtimes
    )
    assert device.costed_by != ESTIMATED.name or device.runtime().latency


@pytest.mark.parametrize(("name", "runtime", "dtype"), CASES)
def test_every_runtime_prices_a_common_network_without_gaps(
    name: str, runtime: str, dtype: str
) -> None:
    cost = estimate_cost(small_network(), load_device(name), runtime=runtime, dtype=dtype)
    latency = cost.latency
    assert latency is not None
    assert not cost.unsupported_ops
    assert 0 < latency.low_s < latency.value_s < latency.high_s < math.inf
    assert cost.runtime == runtime
    assert runtime in latency.basis


@pytest.mark.parametrize(("name", "runtime", "dtype"), CASES)
def test_every_fit_says_what_it_rests_on(name: str, runtime: str, dtype: str) -> None:
    model = load_device(name).runtimes[runtime].latency[dtype]  # type: ignore[index]
    assert model.measurements > 0
    assert model.error_ratio is not None
    assert model.validation
    assert set(model.cycles) <= set(WORK)
    assert set(model.borrowed) == set(model.cycles) - set(model.fitted_range)
