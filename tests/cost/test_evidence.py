"""What a fit has never seen widens the interval, by name; what it has seen does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.lib.library_priors import ST_LIBRARY
from benchmarks.lib.published import graph_of
from benchmarks.lib.related_fits import Fitted, Kinship, Level, RelatedRows, fit_related
from hwkd.core.device import Interval
from hwkd.core.errors import ConfigError
from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.fit.describe import describe_fit
from hwkd.cost.fit.design import Measurement
from hwkd.cost.latency import Spent, with_interval
from hwkd.io.device_catalog import load_device
from hwkd.io.runtime_files import parse_runtime

NONE = Level(common=0.0, per_class=0.0, per_form=0.0, per_amount=0.0)
KIN = Kinship(
    shared=Level(common=1.0, per_class=0.4, per_form=0.3, per_amount=0.2),
    version=Level(common=0.1, per_class=0.1, per_form=0.05, per_amount=0.05),
    core=NONE, own=NONE, misfit_ratio=0.03,
)  # fmt: skip


def fit(*names: str) -> list[Fitted]:
    """Time networks at a third of the prior's cycles; a second version has no row of its own."""
    rows = []
    for name in names:
        row = Measurement(name=name, graph=graph_of(name), cycles=1.0, group=name)
        cycles = float(np.dot(_amounts(row), ST_LIBRARY)) / 3
        rows.append(Measurement(name=name, graph=row.graph, cycles=cycles, group=name))
    stacks = [
        RelatedRows(version="1", core="c", rows=rows),
        RelatedRows(version="2", core="c", rows=[]),
    ]
    return fit_related(stacks, ST_LIBRARY, KIN)


def _amounts(row: Measurement) -> np.ndarray:
    from hwkd.cost.fit.design import Design

    return Design.of([row]).amounts[0]


def test_a_form_that_was_never_timed_is_less_known_than_one_that_was() -> None:
    evidence = fit("ic01", "kws01")[0].evidence
    assert evidence["conv 3x3"].rows == 1
    assert evidence["other matmul"].rows == 0
    known, unknown = (
        math.hypot(one.spread, *one.shared)
        for one in (evidence["conv 3x3"], evidence["other matmul"])
    )
    assert known < unknown


def test_a_version_without_rows_learns_from_its_relative() -> None:
    first, second = fit("ic01", "kws01", "vww01")
    ratio = second.cycles_per_unit[ST_LIBRARY > 0] / first.cycles_per_unit[ST_LIBRARY > 0]
    assert ratio == pytest.approx(1.0, abs=0.15)
    assert second.evidence["conv 3x3"].rows == 0
    assert first.evidence["conv 3x3"].rows == 1


def test_the_band_of_an_untimed_form_reaches_the_total_by_its_share() -> None:
    found = fit("ic01", "kws01")[0]
    row = Measurement(name="ic01", graph=graph_of("ic01"), cycles=1.0, group="ic01")
    exact = Interval(low_ratio=1.0, high_ratio=1.0, calibrated_on="")
    model = describe_fit(
        found.cycles_per_unit, [row], fitted_on="t", source="t", error_ratio=None,
        validation="", interval=exact, evidence=found.evidence,
    )  # fmt: skip
    timed = with_interval(model, Spent(by_form={"conv 3x3": 1.0}), "b")
    parts = {"conv 3x3": 0.5, "MatMul, other matmul": 0.5}
    half = with_interval(model, Spent(by_form=parts), "b")
    assert not timed.never_timed
    assert half.never_timed == {"MatMul": 0.5}
    assert "never timed: MatMul (50% of it), priced as other matmul: x" in half.basis
    unknown = found.evidence["other matmul"]
    reach = math.exp(1.645 * math.hypot(unknown.spread, *unknown.shared))
    assert timed.high_s < half.high_s <= 0.5 * timed.high_s + 0.5 * reach
    assert half.low_s < timed.low_s < half.value_s == 1.0


def test_two_forms_of_one_name_are_added_and_what_is_borrowed_is_named() -> None:
    found = fit("ic01", "kws01")[0]
    row = Measurement(name="ic01", graph=graph_of("ic01"), cycles=1.0, group="ic01")
    model = describe_fit(
        found.cycles_per_unit, [row], fitted_on="t", source="t", error_ratio=None, validation="",
        interval=Interval(low_ratio=1.0, high_ratio=1.0, calibrated_on=""),
        evidence=found.evidence,
    )  # fmt: skip
    parts = {"MatMul, other matmul": 0.2, "MatMul, other dense": 0.5, "conv 3x3": 0.3}
    latency = with_interval(model, Spent(by_form=parts), "b")
    assert latency.never_timed == {"MatMul": pytest.approx(0.7)}
    assert "matmul" in model.borrowed  # the row holds none
    assert latency.borrowed == {"matmul": pytest.approx(0.2)}


@pytest.mark.parametrize("kind", ["HardSwish", "HardSigmoid"])
@pytest.mark.parametrize(
    ("device", "runtime"),
    [("cortex-m7", "x-cube-ai-8"), ("cortex-m4", "x-cube-ai-10"), ("cortex-m33", "st-edge-ai-4")],
)
def test_a_curve_that_nobody_timed_costs_something_and_says_so(
    device: str, runtime: str, kind: str
) -> None:
    def latency_of(act: str) -> LatencyEstimate:
        tensors = {name: Tensor(name=name, shape=(1, 32, 24, 24)) for name in "xyz"}
        conv = Op(
            name="c", kind="Conv", inputs=("x",), outputs=("y",), macs=32 * 32 * 576,
            weights=1024, biases=32, kernel=(1, 1),
        )  # fmt: skip
        after = Op(name="a", kind=act, inputs=("y",), outputs=("z",))
        graph = OpGraph(ops=(conv, after), tensors=tensors, inputs=("x",), outputs=("z",))
        found = estimate_cost(graph, load_device(device), runtime=runtime).latency
        assert found is not None
        return found

    fused, own = latency_of("Relu"), latency_of(kind)
    assert kind not in fused.never_timed
    assert own.value_s > 1.05 * fused.value_s
    assert own.high_s / own.value_s > fused.high_s / fused.value_s
    assert own.never_timed[kind] == pytest.approx(1 - fused.value_s / own.value_s)


def test_helium_is_a_device_whose_untimed_operators_are_named() -> None:
    latency = estimate_cost(graph_of("vww01"), load_device("cortex-m55")).latency
    assert latency is not None
    assert latency.low_s < latency.value_s < latency.high_s
    assert "ReduceMean" not in latency.never_timed  # timed alone on silicon


def test_a_runtime_file_whose_fit_lists_no_evidence_is_refused() -> None:
    text = (
        'schema_version = 1\nkind = "runtime"\nname = "r"\n[cores.cortex-m4]\nversion = "1"\n'
        '[cores.cortex-m4.latency.int8]\nfitted_on = "t"\nmeasurements = 1\nsource = "t"\n'
        'interval = {low_ratio = 0.9, high_ratio = 1.1, calibrated_on = "t"}\n'
        "cycles = {conv = {mac = 1.0}}\n"
    )
    with pytest.raises(ConfigError, match=r"cortex-m4\.latency\.int8 lists no evidence"):
        parse_runtime(text, origin="r.toml")


@pytest.mark.parametrize("ends", ["[5e6, 4e3]", "[-1, 5]"])
def test_a_fitted_range_that_ends_before_it_begins_is_refused(ends: str) -> None:
    text = (
        'schema_version = 1\nkind = "runtime"\nname = "r"\n[cores.cortex-m4]\nversion = "1"\n'
        '[cores.cortex-m4.latency.int8]\nfitted_on = "t"\nmeasurements = 1\nsource = "t"\n'
        'interval = {low_ratio = 0.9, high_ratio = 1.1, calibrated_on = "t"}\n'
        f"cycles = {{conv = {{mac = 1.0}}}}\nfitted_range = {{conv = {{macs = {ends}}}}}\n"
    )
    with pytest.raises(ConfigError, match="give the smallest that was timed, then the largest"):
        parse_runtime(text, origin="r.toml")
