"""Each layer of the C is judged by itself, and an average by what float sums of any order give."""

import shutil
from dataclasses import replace
from fractions import Fraction
from itertools import permutations, product

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from support.op_networks import OP_NETWORKS

from benchmarks.lib.c_networks import MLPERF_TINY, NetworkBuilder, quantise
from hwkd.cli.verify_view import tie_lines, verdict
from hwkd.core.verification import LayerCheck, Mismatches, Verification, judged
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.toolchain import find_host_compiler
from hwkd.deploy.verify_average import averages_in_any_order
from hwkd.deploy.verify_layers import LayerComparison, StepCount
from hwkd.deploy.verify_onnx import to_c_inputs
from hwkd.deploy.verify_run import build_host_once, run_host
from hwkd.qgraph.ir import Pool, QuantTensor

needs_cc = pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler on PATH")


def compare(model, folder, *, reference=None, count=8, rounding="float"):
    project = build_project(model, rounding=rounding)
    shape = (count, *project.input.shape[1:])
    samples = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    inputs = to_c_inputs(project, samples)
    folder.mkdir(exist_ok=True)
    program = build_host_once(project, folder, find_host_compiler(), traces=True)
    comparison = LayerComparison(reference or model, project)
    comparison.add(inputs, run_host(program, project, inputs).step_outputs)
    return dict(zip([step.name for step in project.steps], comparison.steps, strict=True))


def average(kernel, *, zero=-3, stride=None, pads=(0, 0, 0, 0), counts_pads=False):
    return Pool(
        name="pool", inputs=("x",), output="y", kind="average", kernel=kernel,
        stride=stride or kernel, pads=pads, counts_pads=counts_pads,
    )  # fmt: skip


def tensor(name, shape, scale, zero):
    return QuantTensor(name=name, shape=shape, scale=np.float32(scale), zero_point=zero)


@pytest.mark.parametrize(("seed", "out_scale"), [(0, 0.021), (1, 0.05), (2, 0.021 / 4), (3, 1e-3)])
def test_the_interval_holds_float_sums_of_every_order_that_is_tried(seed, out_scale):
    rng = np.random.default_rng(seed)
    values = rng.integers(-128, 128, (4, 3, 8, 8)).astype(np.int8)
    source = tensor("x", (1, 3, 8, 8), 0.021, -3)
    target = tensor("y", (1, 3, 1, 1), out_scale, 5)
    low, high = averages_in_any_order(average((8, 8)), values, source, target)
    reals = (values.reshape(4, 3, 64).astype(np.int32) + 3).astype(np.float32) * source.scale
    found = []
    for trial in range(200):
        order = rng.permutation(64) if trial else np.arange(64)
        lanes = 1 << (trial % 5)  # vector units add so many partial sums at the end
        partial = np.cumsum(reals[..., order].reshape(4, 3, -1, lanes), axis=2, dtype=np.float32)
        sums = np.cumsum(partial[:, :, -1], axis=-1, dtype=np.float32)[..., -1]
        steps = np.rint(sums / np.float32(64) / target.scale) + 5
        found.append(np.clip(steps, -128, 127))
    assert (np.stack(found) >= low[..., 0, 0]).all()
    assert (np.stack(found) <= high[..., 0, 0]).all()
    assert (high.astype(int) - low <= 1).all()


def test_the_interval_is_one_value_away_from_ties_and_two_at_them():
    source = tensor("x", (1, 1, 1, 2), 0.1, 0)
    values = np.array([[[[3, 5]]], [[[3, 4]]], [[[127, 127]]]], np.int8)
    low, high = averages_in_any_order(average((1, 2)), values, source, source)
    assert low.reshape(-1).tolist() == [4, 3, 127]
    assert high.reshape(-1).tolist() == [4, 4, 127]


def float_averages(steps, source_scale, target, count):
    """Every result of float32 arithmetic: all orders, sums of pairs, places of the factors."""
    reals, scale, number = steps * source_scale, target.scale, np.float32(count)
    for order in permutations(range(steps.shape[1])):
        for values, in_sums in ((reals, np.float32(1)), (steps, source_scale)):
            first, *rest = (values[:, index] for index in order)
            in_row = first
            for item in rest:
                in_row = in_row + item
            halves = (first + rest[0]) + sum(rest[1:], np.float32(0))
            for total in (in_row * in_sums, halves * in_sums):
                means = total / number, total * (np.float32(1) / number)
                for mean, divides in product(means, (True, False)):
                    quotient = mean / scale if divides else mean * (np.float32(1) / scale)
                    assert quotient.dtype == np.float32
                    yield np.clip(np.rint(quotient) + target.zero_point, -128, 127)


@pytest.mark.parametrize(("source_scale", "out_scale"), [(0.05, 0.05), (0.021, 0.013), (0.3, 0.1)])
@pytest.mark.parametrize("taps", [2, 3, 4])
def test_float_sums_of_every_order_agree_away_from_ties_that_rational_numbers_show(
    taps, source_scale, out_scale
):
    rng = np.random.default_rng(taps)
    values = rng.integers(-128, 128, (2000, 1, 1, taps)).astype(np.int8)
    source = tensor("x", (1, 1, 1, taps), source_scale, -3)
    target = tensor("y", (1, 1, 1, 1), out_scale, 5)
    low, high = (
        bound.reshape(-1)
        for bound in averages_in_any_order(average((1, taps)), values, source, target)
    )
    steps = (values.reshape(-1, taps).astype(np.int32) + 3).astype(np.float32)
    found = np.stack(list(float_averages(steps, source.scale, target, taps)))
    assert (low <= found.min(axis=0)).all()
    assert (found.max(axis=0) <= high).all()
    factor = Fraction(float(source.scale)) / Fraction(float(target.scale)) / taps
    exact = [Fraction(int(total)) * factor for total in steps.sum(axis=1)]
    from_tie = np.array([float(abs(value - value.__floor__() - Fraction(1, 2))) for value in exact])
    assert (from_tie[low < high] < 1e-4).all()
    is_single = low == high
    assert (found[:, is_single] == low[is_single]).all()
    rounded = np.clip([round(value) + 5 for value in exact], -128, 127)
    assert (rounded[is_single] == low[is_single]).all()


def test_windows_over_the_edge_count_what_lies_inside_or_all():
    values = np.full((1, 1, 3, 3), 10, np.int8)
    source = tensor("x", (1, 1, 3, 3), 0.5, 0)
    op = average((3, 3), stride=(1, 1), pads=(1, 1, 1, 1))
    low, high = averages_in_any_order(op, values, source, source)
    assert (low == 10).all()
    assert (high == 10).all()
    counted = replace(op, counts_pads=True)
    low, high = averages_in_any_order(counted, values, source, source)
    assert low[0, 0].tolist() == [[4, 7, 4], [7, 10, 7], [4, 7, 4]]  # 40/9, 60/9, 90/9
    assert high[0, 0].tolist() == [[4, 7, 4], [7, 10, 7], [4, 7, 4]]


@needs_cc
def test_averages_at_ties_are_counted_apart_and_nothing_else_differs(tmp_path):
    found = compare(quantise(OP_NETWORKS["pooling"](), tmp_path, "net"), tmp_path)
    assert all(step.differing == step.max_lsb == 0 for step in found.values())
    assert all(step.fault("float") is None for step in found.values())


def averages_in_one_scale(tmp_path, *, second_scale=1.0):
    """Padded average pools whose input and output share a scale: a quarter lies at ties."""
    net = NetworkBuilder((3, 12, 12))
    net.conv(6, (3, 3))
    for _ in range(2):
        net.pool("AveragePool", (2, 2), stride=(1, 1), pads=(1, 1, 0, 0))
    model = onnx.load(quantise(net, tmp_path, "net"))
    names = ("conv", "first", "second")
    values = (0.017, 0.017, 0.017 * second_scale)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float32), f"own_{name}")
        for name, value in zip(names, values, strict=True)
    )
    pairs = [node for node in model.graph.node if node.op_type == "QuantizeLinear"][1:]
    readers = {n.input[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for name, node in zip(names, pairs, strict=True):
        node.input[1] = readers[node.output[0]].input[1] = f"own_{name}"
    path = tmp_path / f"averages_{second_scale}.onnx"
    onnx.save(model, path)
    return path


@needs_cc
def test_averages_of_one_scale_lie_at_ties_and_only_there_differ(tmp_path):
    found = compare(averages_in_one_scale(tmp_path), tmp_path)
    pools = [step for step in found.values() if step.averages_at_tie]
    assert len(pools) == 2
    for step in pools:
        assert step.averages_at_tie > 0.1 * step.values
        assert step.averages_within_bound <= step.averages_at_tie
        assert step.fault("float") is None


@needs_cc
def test_an_average_that_is_a_step_off_away_from_a_tie_is_a_fault(tmp_path):
    reference = averages_in_one_scale(tmp_path, second_scale=1.004)
    found = compare(averages_in_one_scale(tmp_path), tmp_path, reference=reference)
    *_, last = found.values()
    assert last.max_lsb == 1
    assert last.differing > 0
    assert last.fault("float") is not None


class Noise(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name):
        samples = np.random.default_rng(5).standard_normal((32, 1, 3, 32, 32)).astype(np.float32)
        self._samples = iter([{name: sample} for sample in samples])

    def get_next(self):
        return next(self._samples, None)


@pytest.mark.slow
@needs_cc
def test_an_average_over_the_whole_map_is_judged_within_its_bound_and_the_rest_exactly(tmp_path):
    model = MLPERF_TINY["resnet8"]().model()
    for node in model.graph.node:
        if node.op_type == "GlobalAveragePool":
            node.op_type = "AveragePool"
            node.attribute.append(helper.make_attribute("kernel_shape", [8, 8]))
    onnx.save(model, tmp_path / "float.onnx")
    quantize_static(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", Noise(model.graph.input[0].name),
        quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    found = compare(tmp_path / "int8.onnx", tmp_path, count=10)
    assert {name for name, step in found.items() if step.differing} == set()
    pools = [step for name, step in found.items() if "pool" in name]
    assert [step.values for step in pools] == [640]
    assert pools[0].averages_within_bound <= 6  # 1% of the averages lie near a tie


def coarse_output_network(tmp_path):
    """A hidden convolution, then one so coarse that its output hides the first one's errors."""
    net = NetworkBuilder((3, 8, 8))
    net.conv(4, (3, 3), relu="")
    net.conv(2, (1, 1), relu="")
    model = onnx.load(quantise(net, tmp_path, "net"))
    last = [node for node in model.graph.node if node.op_type == "QuantizeLinear"][-1]
    for item in model.graph.initializer:
        if item.name == last.input[1]:
            item.CopyFrom(numpy_helper.from_array(np.float32(9.0), item.name))
    onnx.save(model, tmp_path / "coarse.onnx")
    return tmp_path / "coarse.onnx"


@needs_cc
@pytest.mark.parametrize("change", [3, 40])
def test_a_wrong_hidden_layer_is_found_behind_a_coarse_output(change, tmp_path):
    path = coarse_output_network(tmp_path)
    model = onnx.load(path)
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    bias = next(n for n in model.graph.node if n.output[0] == convolution.input[2]).input[0]
    weight_scale = next(n for n in model.graph.node if n.output[0] == convolution.input[1]).input[1]
    constants = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    wrong = constants[bias] + (change * 0.02 / constants[weight_scale]).astype(np.int32)
    for item in model.graph.initializer:
        if item.name == bias:
            item.CopyFrom(numpy_helper.from_array(wrong, item.name))
    onnx.save(model, tmp_path / "other.onnx")
    found = list(compare(path, tmp_path, reference=tmp_path / "other.onnx").values())
    assert found[0].max_lsb >= 1
    assert found[0].fault("float") is not None
    assert found[1].differing == 0  # it reads what the C's layer reads
    assert all(step.fault("float") is None for step in compare(path, tmp_path / "c").values())


@pytest.mark.parametrize(
    ("rounding", "differing", "max_lsb", "is_fault"),
    [
        ("float", 0, 0, False),
        ("float", 1, 1, True),
        ("q31", 33, 1, False),  # 20, and three standard deviations of 1,000 values
        ("q31", 34, 1, True),
        ("q31", 1, 2, True),
        ("tflite", 291, 1, False),
        ("tflite", 292, 1, True),
    ],
)
def test_a_layer_may_differ_by_one_step_in_the_stated_share(rounding, differing, max_lsb, is_fault):
    step = StepCount(values=1000, differing=differing, averages_within_bound=7, max_lsb=max_lsb)
    assert (step.fault(rounding) is not None) == is_fault


def verification(**changes):
    fields = {
        "model": "m.onnx", "device": "d", "core": "cortex-m4", "emulated_cpu": "Cortex-M4",
        "note": "", "rounding": "q31", "kernels": "hwkd", "inputs": 10, "traced_inputs": 10,
        "outputs": 10, "mismatches": Mismatches(onnxruntime=0, host_c=0), "max_lsb": 0,
        "judged_max_lsb": 0, "intermediate_max_lsb": 0, "averages_within_bound": 0,
        "host_tensors_equal": True, "instructions_per_inference": 1,
        "instructions_per_layer": (), "flash_bytes": 1, "flash_predicted_bytes": None,
        "ram_bytes": 1, "ram_predicted_bytes": None, "stack_bytes": 1, "arena_bytes": 1,
        "arena_predicted_bytes": 1, "scores": None, "seconds": 1.0, "tools": {},
    }  # fmt: skip
    return judged(Verification(**(fields | changes)))


def layer(**difference):
    fields = {"values": 1000, "differing": 0, "averages_within_bound": 0, "max_lsb": 0}
    return LayerCheck(name="conv0", kind="Conv", macs=1, instructions=1, **(fields | difference))


def test_passed_says_every_mismatch_in_the_same_line():
    found = verification(
        mismatches=Mismatches(onnxruntime=4, host_c=0), max_lsb=1, judged_max_lsb=1,
        intermediate_max_lsb=1, averages_within_bound=3,
        instructions_per_layer=(layer(differing=9, max_lsb=1),),
    )  # fmt: skip
    text = verdict(found)
    assert found.passed
    assert text.startswith("passed: ")
    assert "\n" not in text
    assert "9 of 1,000 values of the layers differ from ONNX Runtime, by up to 1 LSB" in text
    assert "4 of 100 outputs differ from ONNX Runtime, by up to 1 LSB" in text
    assert "3 values at a tie differ by 1 LSB" in text


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mismatches": Mismatches(onnxruntime=0, host_c=2)}, "2 outputs differ from this"),
        ({"host_tensors_equal": False}, "a tensor inside differs from this computer's C"),
        ({"max_lsb": 2, "judged_max_lsb": 2}, "outputs differ from ONNX Runtime by up to 2 steps"),
        ({"instructions_per_layer": (layer(differing=1, max_lsb=2),)}, "layer conv0: 1 of 1,000"),
        ({"instructions_per_layer": (layer(differing=99, max_lsb=1),)}, "more than the 2% that"),
    ],
)
def test_every_fault_fails_the_check_and_is_named(changes, reason):
    found = verification(**changes)
    assert not found.passed
    assert verdict(found).startswith("FAILED (")
    assert reason in verdict(found)
    assert found.as_dict()["passed"] is False


def test_each_node_with_averages_at_ties_is_named_with_the_reason_and_what_a_fault_would_be():
    steps = [
        layer(averages_within_bound=40, averages_at_tie=90),
        layer(averages_at_tie=7),
        layer(averages_within_bound=2),  # of a run that did not count all of them
    ]
    names = ("pool[/0]", "mean", "old")
    named = [
        step.model_copy(update={"name": name}) for step, name in zip(steps, names, strict=True)
    ]
    found = verification(
        instructions_per_layer=tuple(named), averages_within_bound=42, max_lsb=2,
        mismatches=Mismatches(onnxruntime=5, host_c=0),
    )  # fmt: skip
    lines = tie_lines(found)
    assert lines[0] == (
        "node 'pool[/0]': 40 of 90 at a tie are one step from ONNX Runtime's, of 1,000 values"
    )
    assert lines[1] == "node 'old': 2 are one step from ONNX Runtime's, of 1,000 values"
    assert lines[2] == "all outputs that differ are of inputs with such a value"
    assert "no faults" in lines[3]
    assert "fails this check" in lines[3]
    assert len(lines) == 4
    assert tie_lines(verification()) == ()


def test_what_follows_from_a_tie_is_no_fault_of_the_output():
    found = verification(max_lsb=3, judged_max_lsb=0, averages_within_bound=1)
    assert found.passed
