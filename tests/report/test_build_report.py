from __future__ import annotations

from dataclasses import replace

import pytest
from support.synthetic_run import make_run

from hwkd.core.basis import MEASURED
from hwkd.core.decision_record import CountRecord, DecisionRecord
from hwkd.core.measure import CostEstimate
from hwkd.core.metric import Metric
from hwkd.core.run_record import DeviceRecord, RunRecord
from hwkd.core.trial import PredictedRecord, ProposalRecord, TrialRecord
from hwkd.report.build import build_report
from hwkd.report.document import Cell, Chart, Column, Report, Table


def _tables(report: Report) -> list[Table]:
    blocks = [block for section in report.sections for block in section.blocks]
    return [block for block in blocks if isinstance(block, Table)]


def _charts(report: Report) -> list[Chart]:
    blocks = [block for section in report.sections for block in section.blocks]
    return [block for block in blocks if isinstance(block, Chart)]


def _texts(report: Report) -> str:
    return repr(report.sections) + repr(report.headlines)


def _on_host(run: RunRecord, records: tuple[TrialRecord, ...]) -> Report:
    """The same run on a device that is measured and not predicted."""

    def unpredicted(cost: CostEstimate) -> CostEstimate:
        ops = tuple(replace(op, latency_s=None) for op in cost.per_op)
        return replace(cost, latency=None, energy_j=None, per_op=ops)

    assert run.final is not None
    device: DeviceRecord = run.device.model_copy(update={"basis": MEASURED})
    final = run.final.model_copy(update={"cost": unpredicted(run.final.cost)})
    host = run.model_copy(update={"device": device, "final": final})
    moved = [r.model_copy(update={"cost": unpredicted(r.cost)}) if r.cost else r for r in records]
    return build_report(host, moved)


def test_a_report_has_every_section_that_was_promised():
    keys = [section.key for section in build_report(*make_run()).sections]
    assert keys == [
        "front", "student", "host", "history", "space", "rejected", "failed", "data",
        "environment", "caveats",
    ]  # fmt: skip


def test_a_search_without_a_single_trial_has_a_report():
    run, _ = make_run()
    early = run.model_copy(update={"final": None, "status": "running", "teacher": None})
    report = build_report(early, ())
    assert report.front == ()
    assert report.best is None
    assert _charts(report) == []
    assert "The search is not complete: running." in report.caveats


def test_before_full_training_no_test_accuracy_is_shown():
    run, records = make_run()
    report = build_report(run.model_copy(update={"final": None}), records)
    labels = [headline.label for headline in report.headlines]
    assert "Test accuracy, int8" not in labels
    assert "Validation accuracy, int8" in labels


def test_a_training_says_for_how_many_epochs_and_is_not_called_full():
    run, records = make_run()
    assert run.final is not None
    final = run.final.model_copy(update={"epochs": 1})
    report = build_report(run.model_copy(update={"final": final}), records)
    scores = next(table for table in _tables(report) if table.title == "Accuracy")
    assert scores.rows[0][0].text.endswith(", 1 epoch")
    titles = [chart.title for chart in _charts(report)]
    assert "Loss terms during the final training, 1 epoch" in titles


def test_estimated_and_measured_latencies_never_share_a_table():
    run, records = make_run()
    for report in (build_report(run, records), _on_host(run, records)):
        for table in _tables(report):
            bases = {
                column.basis
                for column in table.columns
                if "latency" in column.title or "time" in column.title
            }
            assert len(bases - {None}) <= 1, table.title


def test_estimates_and_measurements_are_never_drawn_in_one_chart():
    run, records = make_run()
    for chart in _charts(build_report(run, records)):
        text = repr(chart.figure)
        assert not ("estimated" in text and "measured" in text), chart.key


def test_every_latency_says_which_runtime_and_clock_it_is_for():
    report = build_report(*make_run())
    latency = next(headline for headline in report.headlines if headline.label == "Latency")
    assert latency.basis == "estimated"
    assert "tflm-cmsis-nn 2024-05" in latency.detail
    assert "216 MHz" in latency.detail
    pareto = next(chart for chart in _charts(report) if chart.key == "pareto")
    assert "tflm-cmsis-nn" in pareto.views[0].layout["xaxis.title.text"]


def test_on_a_measured_device_latencies_are_called_measured():
    report = _on_host(*make_run())
    latency = next(headline for headline in report.headlines if headline.label == "Latency")
    assert latency.basis == "measured"
    assert "measured on this machine" in latency.detail
    fit = next(table for table in _tables(report) if table.title == "Against the hard limits")
    assert [row[0].text for row in fit.rows] == ["peak RAM", "flash"]


def test_a_latency_that_rests_on_operators_nobody_timed_is_a_caveat():
    run, records = make_run()
    assert run.final is not None
    cost = run.final.cost
    assert cost is not None and cost.latency is not None
    untimed = replace(cost.latency, never_timed={"Mul broadcast": 0.25, "Softmax": 0.05})
    final = run.final.model_copy(update={"cost": replace(cost, latency=untimed)})
    report = build_report(run.model_copy(update={"final": final}), records)
    (caveat,) = [line for line in report.caveats if "never timed" in line]
    assert "30%" in caveat and "Mul broadcast, Softmax" in caveat
    assert not any("never timed" in line for line in build_report(run, records).caveats)


def test_the_share_outside_the_fitted_range_stands_in_the_head():
    run, records = make_run()
    assert run.final is not None and run.final.cost is not None
    cost = run.final.cost
    assert cost.latency is not None
    weak = replace(cost.latency, weak_shares={"outside the fitted range": 0.37})
    final = run.final.model_copy(update={"cost": replace(cost, latency=weak)})
    final = final.model_copy(update={"own_c": replace(cost, latency=weak)})
    head = build_report(run.model_copy(update={"final": final}), records).headlines
    details = {line.label: line.detail for line in head}
    for label in ("Latency", "hwkd's own C: Latency"):
        assert "37% of it outside the fitted range" in details[label]
    assert all("fitted range" not in line.detail for line in build_report(run, records).headlines)


def test_an_operator_without_a_cost_is_a_lower_bound_and_a_caveat():
    run, records = make_run()
    assert run.final is not None
    first, *rest = run.final.cost.per_op
    ops = (replace(first, latency_s=None, kind="Einsum"), *rest)
    cost = replace(run.final.cost, unsupported_ops={"Einsum": 1}, per_op=ops)
    final = run.final.model_copy(update={"cost": cost})
    report = build_report(run.model_copy(update={"final": final}), records)
    latency = next(headline for headline in report.headlines if headline.label == "Latency")
    assert latency.value.startswith("≥")
    assert any("Einsum" in caveat and "lower bound" in caveat for caveat in report.caveats)
    assert "no cost known" in _texts(report)


def test_a_pareto_search_shows_errors_and_no_weighted_sum():
    run, records = make_run()
    objective = run.objective.model_copy(update={"mode": "pareto"})
    report = build_report(run.model_copy(update={"objective": objective}), records)
    history = next(chart for chart in _charts(report) if chart.key == "history")
    assert history.figure["layout"]["yaxis"]["title"]["text"] == "validation error, %"


def test_predictions_stand_beside_what_was_measured_with_the_share_that_held():
    run, records = make_run()
    done = [record for record in records if record.state == "completed"][:4]
    # Half of an 80% interval is 1.28 deviations: the last measurement is 1.3 of them off.
    made = []
    for record, off in zip(done, (0.0, 1.2, -1.2, 1.3), strict=True):
        predicted = PredictedRecord(mean=record.objective.task_error + 0.01 * off, deviation=0.01)
        why = ProposalRecord(origin="random", task_error=predicted, predicted_s=1.0)
        made.append(record.model_copy(update={"proposal": why}))
    (chart,) = (c for c in _charts(build_report(run, made)) if c.key == "predictions")
    assert "3 of 4 lie inside (75.0 %)" in chart.note
    *spaces, diagonal = chart.figure["data"]
    assert sum(len(trace["x"]) for trace in spaces) == 4
    assert list(diagonal["x"]) == list(diagonal["y"])
    assert not [c for c in _charts(build_report(run, records)) if c.key == "predictions"]


def test_a_wake_word_shows_what_is_missed_by_how_often_it_is_heard_falsely():
    run, records = make_run()
    assert run.final is not None
    decision = DecisionRecord(
        answer="hey", threshold=0.9, rate="false accepts in audio without it", unit="per hour",
        wanted=0.5, reached=0.4, detected=0.95, smoothing=2, stride=4000, rate_hz=16_000.0,
        curve=((30.0, 0.01), (4.0, 0.02), (0.0, 1.0)),
        on_validation=CountRecord(events=4, base=10.0), on_test=CountRecord(events=9, base=10.0),
    )  # fmt: skip
    final = run.final.model_copy(update={"decision": decision})
    report = build_report(run.model_copy(update={"final": final}), records)
    assert "0.5 per hour" in _texts(report)
    (told,) = (line for line in report.headlines if line.label == "Test false accepts, int8")
    assert told.value == "0.9 per hour"
    assert told.detail.startswith("9 in 10 h; asked at most 0.5 per hour, which it exceeds")
    assert report.caveats[0].startswith("On test there are more false accepts than asked for")
    (chart,) = (chart for chart in _charts(report) if chart.key == "trade-off")
    line, chosen = chart.figure["data"]
    assert list(zip(line["x"], line["y"], strict=True)) == [
        (0.0, 100.0), (0.4, pytest.approx(5.0)), (4.0, 2.0), (30.0, 1.0),
    ]  # fmt: skip
    assert (chosen["x"], chosen["y"]) == ([0.4], [pytest.approx(5.0)])


def test_a_score_of_windows_has_no_interval_and_says_of_how_few_people_it_is():
    run, records = make_run()
    splits = tuple(
        split.model_copy(update={"wholes": 4, "groups": ("p4",)}) if split.name == "test" else split
        for split in run.data.splits
    )
    metrics = (*run.data.metrics, Metric(name="recording accuracy", unit="ratio", direction="max"))
    of_people = {"splits": splits, "grouped_by": "subject", "metrics": metrics}
    run = run.model_copy(update={"data": run.data.model_copy(update=of_people)})
    report = build_report(run, records)
    (score,) = (line for line in report.headlines if line.label.startswith("Test"))
    assert "windows of 4 recordings depend on each other, so there is no interval" in score.detail
    assert "The test is of 1 subject (p4): another may be known far better or worse" in score.detail
    assert any(line.startswith("The test is of 1 subject (p4)") for line in report.caveats)
    assert "1 subject: p4" in _texts(report)


def test_every_limit_is_drawn_in_its_view_of_the_front():
    report = build_report(*make_run())
    pareto = next(chart for chart in _charts(report) if chart.key == "pareto")
    assert [view.label for view in pareto.views] == ["Latency", "Peak RAM", "Flash", "Energy"]
    for view in pareto.views[:3]:
        assert "limit" in view.layout["annotations"][0]["text"]
    assert pareto.views[0].layout["shapes"][0]["x0"] == pytest.approx(20)
    assert pareto.views[1].layout["shapes"][0]["x0"] == pytest.approx(14)


def test_every_rejected_and_failed_trial_is_listed_with_its_reason():
    run, records = make_run()
    text = _texts(build_report(run, records))
    for record in records:
        if record.state == "failed":
            assert record.reason is not None
            assert record.reason in text
    rejected = [record for record in records if record.state == "rejected"]
    table = next(t for t in _tables(build_report(run, records)) if "rejected trials" in t.title)
    assert [row[0].text for row in table.rows] == [str(record.number) for record in rejected]
    assert all("over" in row[2].text for row in table.rows)


def test_a_row_of_another_length_than_the_headings_is_a_defect():
    with pytest.raises(ValueError, match="1 cells, 2 columns"):
        Table(title="t", columns=(Column(title="a"), Column(title="b")), rows=((Cell("1"),),))


def test_no_chart_draws_under_its_toolbar():
    for chart in _charts(build_report(*make_run())):
        assert chart.figure["layout"]["margin"]["t"] >= 32, chart.key  # plotly's buttons end at 28


def test_the_label_of_a_limit_off_scale_lies_inside_the_plot():
    run, records = make_run()
    limits = [
        limit.model_copy(update={"value": 1e9}) if limit.name == "ram" else limit
        for limit in run.device.limits
    ]
    wide = run.model_copy(update={"device": run.device.model_copy(update={"limits": limits})})
    (chart,) = (c for c in _charts(build_report(wide, records)) if c.key == "memory")
    (label,) = (a for a in chart.figure["layout"]["annotations"] if "off scale" in a["text"])
    assert (label["yanchor"], label["xanchor"], label["x"]) == ("top", "left", 0.0)
