"""Latency, intervals and energy of whole estimates, on coefficients that fit in a comment."""

from __future__ import annotations

import math

import pytest

from benchmarks.lib.published import graph_of
from hwkd.core.device import Device, FittedRange
from hwkd.core.errors import ConfigError
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.cost.backend import CostQuestion, backend_of
from hwkd.cost.estimate import estimate_cost
from hwkd.io.device_catalog import load_device


def device(**changes: object) -> Device:
    """1 MHz; a fully connected layer takes 2 cycles per MAC, 10 per output and 100 per call."""
    latency = {
        "cycles": {"dense": {"mac": 2.0, "output": 10.0, "call": 100.0}},
        "fitted_on": "a comment", "measurements": 1, "source": "a comment",
        "interval": {"low_ratio": 0.8, "high_ratio": 1.25, "calibrated_on": "a comment"},
        "fitted_range": {"dense": {"macs": (40, 80), "depth": (8, 8)}},
    }  # fmt: skip
    runtime = {"name": "r", "version": "1", "latency": {"int8": latency}}
    data = {
        "schema_version": 1, "name": "d", "description": "d", "core": "c", "board": "b",
        "clock_hz": 1e6, "target_latency_s": 1.0, "default_runtime": "r",
        "runtimes": {"r": runtime | changes},
        "sources": {"clock_hz": "a comment", "target_latency_s": "a comment"},
    }  # fmt: skip
    return Device.model_validate(data)


def dense(outputs: int, kind: str = "Gemm") -> OpGraph:
    op = Op(name="fc", kind=kind, inputs=("x",), outputs=("y",), macs=8 * outputs,
            weights=8 * outputs, biases=outputs)  # fmt: skip
    tensors = {"x": Tensor(name="x", shape=(1, 8)), "y": Tensor(name="y", shape=(1, outputs))}
    return OpGraph(ops=(op,), tensors=tensors, inputs=("x",), outputs=("y",))


def test_latency_is_the_sum_of_work_times_cycles_over_the_clock() -> None:
    latency = estimate_cost(dense(10), device()).latency
    assert latency is not None
    assert latency.value_s == pytest.approx((2 * 80 + 10 * 10 + 100) / 1e6)
    assert latency.low_s == pytest.approx(0.8 * latency.value_s)
    assert latency.high_s == pytest.approx(1.25 * latency.value_s)
    assert not latency.is_extrapolated


def test_clock_and_scale_of_the_board_multiply() -> None:
    scaled = device(cycles_scale=3.0, sources={"cycles_scale": "a comment"})
    fast = estimate_cost(dense(10), scaled, clock_hz=2e6)
    plain = estimate_cost(dense(10), device())
    assert fast.latency and plain.latency
    assert fast.latency.value_s == pytest.approx(plain.latency.value_s * 3 / 2)
    assert fast.clock_hz == 2e6


@pytest.mark.parametrize(("outputs", "widening"), [(10, 0.0), (40, 0.2), (160, 0.4), (1000, 0.4)])
def test_the_further_outside_the_fitted_range_the_wider_the_interval(
    outputs: int, widening: float
) -> None:
    # The largest operator that was timed has 10 outputs; four times as many are half of far.
    latency = estimate_cost(dense(outputs), device()).latency
    assert latency is not None
    assert latency.is_extrapolated is ("outside the fitted range" in latency.basis)
    assert latency.is_extrapolated is bool(widening)
    # A network of one operator lies outside as a whole or not at all.
    assert latency.weak_shares == ({"outside the fitted range": 1.0} if widening else {})
    reach = math.exp(math.hypot(math.log(1.25), widening))
    assert latency.high_s / latency.value_s == pytest.approx(reach)
    assert latency.low_s / latency.value_s == pytest.approx(1 / reach)


@pytest.mark.parametrize(("channels", "widening"), [(1, 0.0), (2, 1.8), (8, 1.8)])
def test_groups_of_several_channels_are_a_guess_from_depthwise_convolutions(
    channels: int, widening: float
) -> None:
    in_all, pixels = 8 * channels, 16
    macs = in_all * pixels * 9 * channels
    op = Op(name="c", kind="Conv", inputs=("x",), outputs=("y",), macs=macs, kernel=(3, 3),
            weights=9 * in_all * channels, pads=(1, 1, 1, 1), groups=8)  # fmt: skip
    tensors = {name: Tensor(name=name, shape=(1, in_all, 4, 4)) for name in ("x", "y")}
    graph = OpGraph(ops=(op,), tensors=tensors, inputs=("x",), outputs=("y",))
    model = device().runtimes["r"].latency["int8"]
    known = model.model_copy(
        update={
            "cycles": {"depthwise": {"mac": 3.0, "output": 5.0, "call": 7.0}},
            "fitted_range": {"depthwise": FittedRange(macs=(1, 1e9))},
        }
    )
    latency = estimate_cost(graph, device(latency={"int8": known})).latency
    assert latency is not None
    assert latency.value_s == pytest.approx((3 * macs + 5 * in_all * pixels + 7) / 1e6)
    reach = math.exp(math.hypot(math.log(1.25), widening))
    assert latency.high_s / latency.value_s == pytest.approx(reach)
    assert latency.low_s / latency.value_s == pytest.approx(1 / reach)
    named = "in grouped or transposed convolutions, priced as depthwise ones, interval widened"
    assert (named in latency.basis) is latency.is_extrapolated is bool(widening)


def test_an_operator_without_cost_makes_a_named_lower_bound() -> None:
    cost = estimate_cost(dense(10, kind="Einsum"), device())
    assert cost.unsupported_ops == {"Einsum": 1}
    assert cost.is_lower_bound
    assert cost.per_op[0].latency_s is None


def test_energy_is_power_times_time_at_the_clock_it_was_measured_at() -> None:
    powered = device(active_power_w=0.05, sources={"active_power_w": "a comment"})
    cost = estimate_cost(dense(10), powered)
    assert cost.latency
    assert cost.energy_j == pytest.approx(0.05 * cost.latency.value_s)
    assert estimate_cost(dense(10), powered, clock_hz=2e6).energy_j is None
    assert estimate_cost(dense(10), device()).energy_j is None


def test_a_dtype_or_runtime_without_data_is_refused() -> None:
    with pytest.raises(ConfigError, match="no data for float32; it has int8"):
        estimate_cost(dense(10), device(), dtype="float32")
    with pytest.raises(ConfigError, match="'bfloat16' is not one of int8, float32"):
        estimate_cost(dense(10), device(), dtype="bfloat16")
    with pytest.raises(ConfigError, match="those that have: r"):
        estimate_cost(dense(10), device(), runtime="tvm")


def test_this_machine_is_never_predicted() -> None:
    host = load_device("host")
    cost = backend_of(host).screen(graph_of("kws01"), CostQuestion(device=host))
    assert cost.latency is None
    assert cost.energy_j is None


def test_dead_channels_cost_time_only_where_the_runtime_computes_them() -> None:
    # vww01 holds 1,040 all-zero output channels; X-CUBE-AI drops them from 8.1 on.
    m7 = load_device("cortex-m7")
    older = estimate_cost(graph_of("vww01"), m7, runtime="x-cube-ai-7")
    newer = estimate_cost(graph_of("vww01"), m7, runtime="x-cube-ai-8")
    assert newer.macs < 0.6 * older.macs == 0.6 * 7_489_664
    assert newer.latency and older.latency
    assert newer.latency.value_s < 0.7 * older.latency.value_s


@pytest.mark.parametrize(
    ("device_name", "runtime", "model", "measured_s"),
    [  # MLPerf Tiny closed division, in benchmarks/facts/mlperf_tiny.csv
        ("cortex-m7", "x-cube-ai-8", "vww01", 29.6288e-3),
        ("cortex-m7", "x-cube-ai-7", "ic01", 54.3449e-3),
        ("cortex-m4", "x-cube-ai-8", "kws01", 62.8733e-3),
        ("cortex-m33", "x-cube-ai-10", "ad01", 3.20946e-3),
        ("cortex-m4", "tflm-reference", "ic01", 704.225e-3),
    ],
)
def test_published_models_are_reproduced(
    device_name: str, runtime: str, model: str, measured_s: float
) -> None:
    latency = estimate_cost(graph_of(model), load_device(device_name), runtime=runtime).latency
    assert latency is not None
    assert latency.value_s == pytest.approx(measured_s, rel=0.06)
    assert latency.low_s < measured_s < latency.high_s


def test_latency_of_a_network_is_the_sum_over_its_operators() -> None:
    cost = estimate_cost(graph_of("ic01"), load_device("cortex-m4"))
    assert cost.latency
    assert sum(op.latency_s or 0 for op in cost.per_op) == pytest.approx(cost.latency.value_s)
