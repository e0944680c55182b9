"""A network that stops at the first sure exit: the rule, the C, and the check of the C."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from support.tiny_student import small_layers

from hwkd.core.cohort import STUDENT, Exit, Network
from hwkd.core.errors import ExportError
from hwkd.deploy.exit_rule import (
    cheapest_within,
    entropies,
    exit_points,
    exits_taken,
    read_exit_rule,
    write_exit_rule,
)
from hwkd.deploy.sessions import open_session, predict_all
from hwkd.deploy.to_c.export import build_project, quantise_values
from hwkd.deploy.to_int8 import quantise_int8
from hwkd.deploy.to_onnx import export_onnx
from hwkd.deploy.toolchain import find_host_compiler, host_compiler
from hwkd.deploy.verify import verify_model
from hwkd.deploy.verify_exits import outputs_taken, reached
from hwkd.deploy.verify_onnx import reference_outputs, to_c_inputs
from hwkd.deploy.verify_run import build_host_once, run_host
from hwkd.deploy.verify_target import target_named
from hwkd.nn.cohort import Cohort
from hwkd.nn.exits import exits_of

needs_host_compiler = pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
needs_emulator = pytest.mark.skipif(
    not all(map(shutil.which, ("qemu-system-arm", "arm-none-eabi-gcc"))), reason="needs an emulator"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, float]:
    """A student with an exit in int8, inputs, and the entropy below which a third of them leave."""
    folder = tmp_path_factory.mktemp("exits")
    roles = [Network(name=STUDENT), Exit(name="exit1", of=STUDENT, stage=1)]
    cohort = Cohort(roles, small_layers(), seed=3).eval()
    made = exits_of(cohort)
    assert made is not None
    layers, module = made
    samples = np.random.default_rng(0).normal(size=(48, 1, 8, 8)).astype(np.float32)
    with torch.no_grad():
        together = cohort.signals(torch.from_numpy(samples), plain=True)
        apart = module(torch.from_numpy(samples))
    for ours, name in zip(apart, (STUDENT, "exit1"), strict=True):
        assert torch.allclose(ours, together[f"{name}.logits"], atol=1e-6)
    export_onnx(module, layers, folder / "float.onnx")
    quantise_int8(folder / "float.onnx", folder / "exits.onnx", samples)
    tensor = list(build_project(folder / "exits.onnx").outputs.values())[1]
    logits = predict_all(open_session(folder / "exits.onnx"), samples)[1]
    found = entropies(quantise_values(logits, tensor), float(tensor.scale))
    threshold = float(np.quantile(found, 0.34))
    write_exit_rule(folder / "exits.onnx", threshold)
    return folder / "exits.onnx", samples, threshold


def test_entropy_of_whole_steps_is_that_of_the_softmax() -> None:
    generator = np.random.default_rng(1)
    steps = generator.integers(-128, 128, (200, 10)).astype(np.int8)
    for scale in (0.005, 0.05, 0.3):
        whole = steps.astype(float)
        shares = np.exp(scale * (whole - whole.max(1, keepdims=True)))
        shares /= shares.sum(1, keepdims=True)
        wanted = -(shares * np.log(np.maximum(shares, 1e-300))).sum(1)
        np.testing.assert_allclose(entropies(steps, scale), wanted, atol=2e-3)


def test_the_rule_takes_the_first_sure_exit_and_the_cheapest_threshold_within_the_loss() -> None:
    found = [np.array([0.1, 0.9, 0.9, 0.2]), np.array([0.1, 0.1, 0.9, 0.9])]
    assert exits_taken(found, 0.5).tolist() == [0, 1, 2, 0]
    right = np.array([[True, False, False, False], [True, True, False, True], [True] * 4])
    points = exit_points(found, right, [1.0, 2.0, 4.0])
    assert points[0].accuracy_ratio == 1.0
    assert points[0].cost_ratio == 1.0
    best = cheapest_within(points, 0.0)
    assert best.shares == (0.25, 0.25, 0.5)
    assert best.cost_ratio == (0.25 * 1 + 0.25 * 2 + 0.5 * 4) / 4
    assert cheapest_within(points, 2.0).cost_ratio < best.cost_ratio


def test_a_loss_that_is_allowed_must_be_it_with_its_error_too() -> None:
    # Of 400, the exit is wrong for two that the end knows: lost .005, its error .0035.
    right = np.ones((2, 400), bool)
    right[0, 10:12] = False
    sure = (np.arange(400) / 1000).astype(np.float32)
    points = exit_points([sure], right, [1.0, 4.0])
    early = next(point for point in points if point.shares[0] > 0.05)
    assert early.error == pytest.approx(np.sqrt(0.005 * 0.995 / 400), rel=1e-6)
    assert cheapest_within(points, 0.008).shares[0] <= 11 / 400
    assert cheapest_within(points, 0.009).cost_ratio < 0.3


def test_nothing_that_an_exit_does_not_need_is_computed_before_it(file, tmp_path: Path) -> None:
    path = tmp_path / "late.onnx"
    model = onnx.load(file[0])
    nodes = list(model.graph.node)
    of_exit = [n for n in nodes if any("exit" in name for name in (*n.output, *n.input))]
    del model.graph.node[:]
    model.graph.node.extend([*(n for n in nodes if n not in of_exit), *of_exit])
    onnx.save(model, path)

    def order() -> list[str]:
        return [op.output for op in build_project(path).arranged.graph.ops]

    exit_name, own = list(build_project(path).outputs.values())[1].name, order()[-1]
    assert order().index(exit_name) == len(order()) - 1
    before = predict_all(open_session(path), file[1])
    write_exit_rule(path, file[2])
    steps = order()
    assert own == exit_name != steps[-1]
    first, rest = steps[: steps.index(exit_name)], steps[steps.index(exit_name) + 1 :]
    before_the_exit = ("stem", "stage1", "exit1")
    assert all(name.startswith(before_the_exit) for name in first)
    assert not any(name.startswith(before_the_exit) for name in rest)
    for ours, theirs in zip(before, predict_all(open_session(path), file[1]), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_rule_that_is_no_number_is_refused(file, tmp_path: Path) -> None:
    path = tmp_path / "copy.onnx"
    shutil.copyfile(file[0], path)
    assert read_exit_rule(path) == pytest.approx(file[2], rel=1e-6)
    write_exit_rule(path, float("nan"))
    with pytest.raises(ExportError, match="expected a threshold in nats"):
        read_exit_rule(path)


@needs_host_compiler
def test_the_c_leaves_where_the_rule_says(file, tmp_path: Path) -> None:
    path, samples, _ = file
    project = build_project(path)
    program = build_host_once(project, tmp_path, find_host_compiler(), traces=False)
    inputs = to_c_inputs(project, samples)
    expected = reference_outputs(path, project, samples)
    taken = outputs_taken(project, expected)
    assert 5 < (taken == 1).sum() < 40
    ours = run_host(program, project, inputs).outputs
    assert np.array_equal(reached(project, ours, taken), reached(project, expected, taken))
    # What is behind the exit was not computed: it holds what an earlier inference left there.
    classes = project.output.elements
    assert not np.array_equal(ours[taken == 1][:, :classes], expected[taken == 1][:, :classes])


@needs_emulator
@pytest.mark.slow
def test_the_check_counts_instructions_of_each_exit(file) -> None:
    path, samples, _ = file
    found = verify_model(path, target_named("cortex-m4"), samples[:16])
    assert not found.faults
    early, whole = found.exits
    assert early.inputs + whole.inputs == 16
    assert early.instructions is not None
    assert whole.instructions is not None
    assert early.instructions < whole.instructions
