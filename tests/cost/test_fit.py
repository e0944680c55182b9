"""Fits on synthetic stacks whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.lib.published import graph_of
from hwkd.core.device import FormEvidence
from hwkd.core.errors import ConfigError, OutlierError
from hwkd.core.graph import OpGraph
from hwkd.cost.fit.calibrate import KnownStack, calibrate_model, refuse_outlier, refuse_worse
from hwkd.cost.fit.credible import refuse_contradictions, refuse_operators_without_cost
from hwkd.cost.fit.design import COLUMNS, Array, Design, Measurement, as_table, as_vector
from hwkd.cost.fit.experiment import candidates, design_experiment
from hwkd.cost.fit.prior import GENERIC, typical_stack
from hwkd.cost.fit.solve import Spread, fit_cycles
from hwkd.cost.fit.validate import fold_of, interval_ratios, summarise
from hwkd.cost.graph import build_graph
from hwkd.cost.latency import LatencyTable, Spent, with_interval

MODELS = ("ad01", "ic01", "kws01", "vww01", "sww01")
WIDE = Spread(common=1.5, per_class=1.0, per_amount=1.0)


def measured(stack: Array, noise: float = 0.0, count: int = 405) -> list[Measurement]:
    """Time the first candidates of the bench kit on a stack with known coefficients."""
    rng = np.random.default_rng(0)
    rows = []
    for graph in map(build_graph, candidates()[:count]):
        name = graph.ops[0].name
        row = Measurement(name=name, graph=graph, cycles=1.0, group=name, noise_ratio=0.02)
        truth = float(Design.of([row]).amounts[0] @ stack)
        cycles = truth * float(np.exp(rng.normal(0, noise)))
        rows.append(
            Measurement(name=name, graph=graph, cycles=cycles, group=name, noise_ratio=0.02)
        )
    return rows


def whole_models() -> Array:
    """Return the work of the MLPerf Tiny models, [model, column]."""
    rows = [Measurement(name=m, graph=graph_of(m), cycles=1.0, group=m) for m in MODELS]
    return Design.of(rows).amounts


def other_stack(seed: int) -> Array:
    """Return a stack unlike the generic one: factors by class and by amount."""

    def drawn(*names: str) -> float:
        """A class that is added draws nothing of the others."""
        return float(np.random.default_rng([seed, *"".join(names).encode()]).normal())

    factors = [0.4 * drawn(name) + 0.25 * drawn(name, amount) for name, amount in COLUMNS]
    return GENERIC * np.exp(1.0 + np.array(factors))


def test_many_noiseless_operators_give_exact_predictions_of_whole_models() -> None:
    truth = other_stack(1)
    fitted = fit_cycles(Design.of(measured(truth)), GENERIC, WIDE)
    assert whole_models() @ fitted == pytest.approx(whole_models() @ truth, rel=0.005)


def test_one_measured_model_moves_everything_by_one_factor() -> None:
    row = Measurement(name="m", graph=graph_of("vww01"), cycles=1e9, group="m", noise_ratio=1e-3)
    tight = Spread(common=1.5, per_class=1e-6, per_amount=1e-6)
    fitted = fit_cycles(Design.of([row]), GENERIC, tight)
    used = GENERIC > 0
    assert np.ptp(fitted[used] / GENERIC[used]) < 1e-3 * fitted.max() / GENERIC.max()
    assert Design.of([row]).amounts[0] @ fitted == pytest.approx(1e9, rel=1e-3)


def test_coefficients_are_positive_even_when_rows_contradict_each_other() -> None:
    rows = measured(GENERIC, noise=2.0, count=60)
    assert (fit_cycles(Design.of(rows), GENERIC, WIDE)[GENERIC > 0] > 0).all()


def test_the_typical_stack_reproduces_the_model_that_was_measured() -> None:
    known = [other_stack(seed) for seed in range(4)]
    work = whole_models()[3]
    typical = typical_stack(known, [True, False, True, False], work, 5e7)
    assert work @ typical == pytest.approx(5e7, rel=0.25)
    assert (typical > 0).sum() == (GENERIC > 0).sum()


@pytest.mark.parametrize("seed", [2, 3])
def test_the_bench_kit_identifies_what_whole_models_cost(seed: int) -> None:
    truth = other_stack(seed)
    chosen = {network.layers[0].name for network in design_experiment(40).networks}
    rows = [row for row in measured(truth, noise=0.02) if row.name in chosen]
    fitted = fit_cycles(Design.of(rows), GENERIC, WIDE)
    assert whole_models() @ fitted == pytest.approx(whole_models() @ truth, rel=0.06)


def test_the_bench_kit_beats_as_many_operators_at_random() -> None:
    def uncertainty(names: set[str]) -> float:
        errors = []
        for seed in range(3):
            truth = other_stack(seed)
            rows = [row for row in measured(truth, noise=0.02) if row.name in names]
            fitted = fit_cycles(Design.of(rows), GENERIC, WIDE)
            errors.append(np.abs(whole_models() @ fitted / (whole_models() @ truth) - 1).max())
        return float(np.mean(errors))

    names = [network.layers[0].name for network in candidates()]
    designed = uncertainty({network.layers[0].name for network in design_experiment(40).networks})
    draws = [np.random.default_rng(seed).choice(names, 40, replace=False) for seed in range(3)]
    assert designed < 0.03
    assert all(designed < uncertainty(set(drawn)) for drawn in draws)


def test_every_amount_is_less_uncertain_after_the_kit() -> None:
    experiment = design_experiment(40)
    assert max(experiment.uncertainty.values()) < 0.6 * experiment.prior_uncertainty


def test_rows_of_one_group_share_a_fold() -> None:
    groups = [f"g{i % 7}" for i in range(50)]
    folds = fold_of(groups, 5)
    assert all(len(set(folds[np.array(groups) == g])) == 1 for g in set(groups))
    assert set(folds) == set(range(5))


@pytest.mark.parametrize("rows", [12, 400])
def test_intervals_hold_nine_of_ten_new_measurements(rows: int) -> None:
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(60):
        low, high = interval_ratios(np.exp(rng.normal(0, 0.1, rows)))
        fresh = np.exp(rng.normal(0, 0.1, 100))
        inside.append(np.mean((fresh >= low) & (fresh <= high)))
    assert 0.87 < float(np.mean(inside)) < 0.95


def test_errors_are_relative_to_the_measurement() -> None:
    errors = summarise(np.array([109.0, 50.0]), np.array([100.0, 100.0]))
    assert (errors.mean_ratio, errors.worst_ratio) == pytest.approx((0.295, 0.5))
    assert errors.within_10_percent_ratio == 0.5


def test_a_table_and_its_vector_are_the_same_stack() -> None:
    assert as_vector(as_table(GENERIC)) == pytest.approx(GENERIC)


def known() -> list[KnownStack]:
    return [KnownStack("board.r", GENERIC, True)]


def test_calibration_reports_the_error_before_and_after() -> None:
    done = calibrate_model(
        measured(2 * GENERIC, noise=0.02), known(), kind="auto", fitted_on="t", source="t"
    )
    assert done.error_before_ratio == pytest.approx(0.5, abs=0.02)
    assert done.error_after_ratio is not None
    assert done.error_after_ratio < 0.05
    assert done.model.measurements == 405
    assert 0.9 < done.model.interval.low_ratio < 1 < done.model.interval.high_ratio < 1.1


def test_calibration_starts_from_what_is_known_of_each_form() -> None:
    evidence = {
        "pointwise": FormEvidence(op_class="pointwise", rows=3, factor=2.0, spread=0.3),
        "conv 7x7": FormEvidence(op_class="conv", rows=0, spread=0.5, shared=(0.1,)),
    }
    rows = [
        replace(row, cycles=float(GENERIC @ Design.of([row], evidence).amounts[0]))
        for row in measured(GENERIC)
        if {op.kind for op in row.graph.ops} == {"Conv"}
    ]
    stack = replace(known()[0], evidence=evidence)
    done = calibrate_model(rows, [stack], kind="scale", fitted_on="t", source="t")
    assert done.error_before_ratio == pytest.approx(0, abs=1e-9)
    plain = calibrate_model(rows, known(), kind="scale", fitted_on="t", source="t")
    assert plain.error_before_ratio > 0.1
    assert done.model.evidence["pointwise"].factor == 2.0
    assert done.model.evidence["pointwise"].spread == 0
    assert done.model.evidence["conv 7x7"] == evidence["conv 7x7"]


def test_what_a_calibration_measured_counts_as_timed_and_what_it_lacks_is_borrowed() -> None:
    evidence = {
        f"other {name}": FormEvidence(op_class=name, rows=0, spread=0.6)
        for name in ("activation", "depthwise", "conv", "pointwise")
    }
    rows = [
        row
        for row in measured(GENERIC)
        if {op.kind for op in row.graph.ops} <= {"HardSwish", "Softmax"}
        or any(op.groups > 1 and op.kernel == (5, 5) for op in row.graph.ops)
    ]
    stack = replace(known()[0], evidence=evidence)
    model = calibrate_model(rows, [stack], kind="auto", fitted_on="t", source="t").model
    assert not stack.evidence.keys() & {"HardSwish", "depthwise 5x5"}
    for form, op_class in (("HardSwish", "activation"), ("depthwise 5x5", "depthwise")):
        assert model.evidence[form].op_class == op_class
        assert model.evidence[form].rows > 0
        assert model.evidence[form].spread == 0
    row = next(row for row in rows if row.graph.ops[0].kind == "HardSwish")
    cost = LatencyTable.of(model).op_cycles(row.graph.ops[0], row.graph.tensors)
    assert cost is not None
    assert cost.cycles == pytest.approx(row.cycles, rel=0.05)
    spent = Spent()
    spent.add(cost)
    assert not with_interval(model, spent, "b").never_timed
    assert model.evidence["other conv"].rows == 0
    assert {"conv", "pointwise"} <= set(model.borrowed)


def test_few_rows_that_a_fit_misses_widen_its_interval() -> None:
    rows = measured(GENERIC)[:4]
    close = calibrate_model(rows, known(), kind="auto", fitted_on="t", source="t")
    assert (close.model.interval.low_ratio, close.model.interval.high_ratio) == (0.8, 1.2)
    far = [replace(rows[0], cycles=3 * rows[0].cycles), *rows[1:]]
    done = calibrate_model(far, known(), kind="auto", fitted_on="t", source="t")
    assert done.model.interval.high_ratio > 2
    assert done.model.interval.low_ratio < 0.8


def test_one_row_cannot_carry_a_full_fit() -> None:
    with pytest.raises(ConfigError, match=r"1 measured rows cannot tell \d+ coefficients apart"):
        calibrate_model(measured(GENERIC)[:1], known(), kind="full", fitted_on="t", source="t")


def test_a_measurement_in_the_wrong_unit_is_noticed() -> None:
    rows = measured(GENERIC * 1e4)[:3]
    with pytest.raises(ConfigError, match="check the unit"):
        refuse_outlier(rows, known(), file="rows.csv")


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_row_far_from_what_the_others_say_is_named(factor: float) -> None:
    rows = measured(2 * other_stack(1), noise=0.05, count=20)
    refuse_outlier(rows, known(), file="rows.csv")
    rows[7] = replace(rows[7], cycles=rows[7].cycles * factor)
    with pytest.raises(OutlierError, match=rf"rows.csv: {rows[7].name} took .* --outliers keep"):
        refuse_outlier(rows, known(), file="rows.csv")


def test_of_two_rows_none_is_the_outlier() -> None:
    rows = measured(GENERIC, count=2)
    rows[1] = replace(rows[1], cycles=rows[1].cycles * 5)
    refuse_outlier(rows, known(), file="rows.csv")


@pytest.mark.parametrize(("factor", "shown"), [(1000.0, "1,000 times"), (0.001, "1/1,000 of")])
def test_a_single_row_in_another_unit_is_named_by_what_known_stacks_take(
    factor: float, shown: str
) -> None:
    (row,) = measured(GENERIC, count=1)
    stack = KnownStack("generic", GENERIC, same_core=True)
    far = replace(row, cycles=row.cycles * factor)
    with pytest.raises(OutlierError) as caught:
        refuse_outlier([far], [stack], file="rows.csv")
    said = f"{row.name} took {far.cycles:,.0f} cycles, {shown} the {row.cycles:,.0f} expected"
    assert said in str(caught.value)


def test_a_fit_that_is_worse_on_rows_left_out_than_its_start_is_refused() -> None:
    done = calibrate_model(
        measured(other_stack(1), noise=0.05, count=20), known(), kind="auto", fitted_on="t",
        source="t",
    )  # fmt: skip
    refuse_worse(done)
    worse = replace(done, error_before_ratio=0.388, error_after_ratio=0.545)
    with pytest.raises(OutlierError, match=r"54\.5%, of .* 38\.8%.*--outliers keep"):
        refuse_worse(worse)


def timed(name: str, graph: OpGraph, cycles: float) -> Measurement:
    return Measurement(name=name, graph=graph, cycles=cycles, group=name)


def named_anew(graph: OpGraph) -> OpGraph:
    """Return an equal network whose operators and tensors are called otherwise."""
    ops = [
        replace(
            op, name=f"n_{op.name}", inputs=tuple(f"n_{name}" for name in op.inputs),
            outputs=tuple(f"n_{name}" for name in op.outputs),
        )
        for op in graph.ops
    ]  # fmt: skip
    return OpGraph(
        ops=tuple(ops), tensors={f"n_{name}": t for name, t in graph.tensors.items()},
        inputs=tuple(f"n_{name}" for name in graph.inputs),
        outputs=tuple(f"n_{name}" for name in graph.outputs),
    )  # fmt: skip


def test_two_times_of_one_network_further_apart_than_repeats_are_named() -> None:
    graph = graph_of("ic01")
    rows = [timed("line 2 (a)", graph, 1e6), timed("line 3 (b)", named_anew(graph), 1.1e6)]
    refuse_contradictions(rows)
    rows[1] = timed("line 3 (b)", named_anew(graph), 1.2e6)
    message = r"line 2 \(a\) and line 3 \(b\) contradict each other.*the same operators.*1\.2 times"
    with pytest.raises(ConfigError, match=message):
        refuse_contradictions(rows)
    with pytest.raises(ConfigError, match="contradict each other"):
        calibrate_model(rows, known(), kind="auto", fitted_on="t", source="t")


def test_a_part_never_takes_longer_than_the_whole() -> None:
    whole = graph_of("ic01")
    first = whole.ops[0]
    part = OpGraph(
        ops=(first,), tensors=whole.tensors, inputs=first.inputs, outputs=first.outputs
    )  # fmt: skip
    refuse_contradictions([timed("whole", whole, 1e6), timed("part", part, 9e5)])
    with pytest.raises(ConfigError, match=r"whole and part .* a part of its operators"):
        refuse_contradictions([timed("part", part, 1.5e6), timed("whole", whole, 1e6)])


def test_a_network_with_an_operator_without_a_cost_is_refused_by_name() -> None:
    whole = graph_of("kws01")
    strange = replace(whole.ops[0], kind="NonMaxSuppression")
    graph = OpGraph(
        ops=(strange, *whole.ops[1:]), tensors=whole.tensors, inputs=whole.inputs,
        outputs=whole.outputs,
    )  # fmt: skip
    refuse_operators_without_cost([timed("line 2 (a)", whole, 1e6)], "int8")
    with pytest.raises(ConfigError, match=r"line 2 \(a\): it runs NonMaxSuppression, which the"):
        refuse_operators_without_cost([timed("line 2 (a)", graph, 1e6)], "int8")
