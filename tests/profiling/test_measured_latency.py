from __future__ import annotations

import hashlib

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from hwkd.core.errors import ProfilingError
from hwkd.profiling.onnx_runtime import host_name, measure_latency
from hwkd.profiling.summary import summarise


def write(path, *, shape, kind=TensorProto.FLOAT, op="Relu"):
    inputs = [helper.make_tensor_value_info("x", kind, list(shape))]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    weight = numpy_helper.from_array(np.ones((4, 4), dtype=np.float32), "w")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["z"], name="mix")] if op == "MatMul" else []
    last = "z" if nodes else "x"
    nodes.append(helper.make_node("Relu" if op == "MatMul" else op, [last], ["y"], name="last"))
    graph = helper.make_graph(nodes, "g", inputs, outputs, [weight] if len(nodes) > 1 else [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def test_a_measurement_says_what_was_measured_and_how(tmp_path):
    path = write(tmp_path / "m.onnx", shape=["batch", 4], op="MatMul")
    found = measure_latency(path, runs=12, warmup_runs=2, profiled_runs=3)
    assert (found.runs, found.warmup_runs, found.threads) == (12, 2, 1)
    assert 0 < found.median_s <= found.p90_s
    assert found.spread_s >= 0
    assert found.file_bytes == path.stat().st_size
    assert found.file_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.provider == "CPUExecutionProvider"
    assert found.host == host_name()


def test_shares_per_operator_add_up_to_one_slowest_first(tmp_path):
    path = write(tmp_path / "m.onnx", shape=["batch", 4], op="MatMul")
    shares = measure_latency(path, runs=5, profiled_runs=5).per_op
    assert {share.kind for share in shares} >= {"MatMul"}
    assert sum(share.share_ratio for share in shares) == pytest.approx(1.0)
    assert [share.mean_s for share in shares] == sorted((s.mean_s for s in shares), reverse=True)
    assert measure_latency(path, runs=5, profiled_runs=0).per_op == ()


def test_the_time_limit_leaves_at_least_five_runs(tmp_path):
    path = write(tmp_path / "m.onnx", shape=[1, 4])
    assert measure_latency(path, runs=1000, max_seconds=0.0, profiled_runs=0).runs == 5


def test_no_trace_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    measure_latency(write(tmp_path / "m.onnx", shape=[1, 4]), runs=5)
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        (["batch", "time"], TensorProto.FLOAT, r"shape \[1, 'time'\]; expected static sizes"),
        ([1, 4], TensorProto.DOUBLE, r"type tensor\(double\); expected float"),
    ],
)
def test_inputs_that_cannot_be_made_are_refused(tmp_path, shape, kind, message):
    with pytest.raises(ProfilingError, match=message):
        measure_latency(write(tmp_path / "m.onnx", shape=shape, kind=kind))


def test_a_file_that_is_no_model_is_one_line(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"nothing")
    with pytest.raises(ProfilingError, match=r"m\.onnx: ONNX Runtime cannot run it") as caught:
        measure_latency(path)
    assert "\n" not in str(caught.value)


def test_a_summary_of_known_samples():
    found = summarise([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.median_s, found.spread_s) == (3.0, 2.0)
    assert found.p90_s == pytest.approx(4.6)
    with pytest.raises(ValueError, match="no samples"):
        summarise([])


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=30))
def test_a_summary_ignores_the_order_and_stays_inside_the_samples(samples):
    found = summarise(samples)
    assert found == summarise(sorted(samples))
    assert min(samples) <= found.median_s <= found.p90_s <= max(samples)
    assert 0 <= found.spread_s <= max(samples) - min(samples)
