"""Of thousands of trials a page draws those that matter and an even sample of the others."""

import csv
import itertools
from dataclasses import replace

import pytest
from support.synthetic_run import make_run

from hwkd.core.measure import CostEstimate
from hwkd.core.pareto import dominates, pareto_front
from hwkd.report import drawn
from hwkd.report.analysis import running_best
from hwkd.report.build import build_report
from hwkd.report.columns import trial_columns, write_csv
from hwkd.report.html import render_html

RUN, RECORDS = make_run(trials=60)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(drawn, "_MOST_DRAWN", 25)


def test_a_usual_run_is_drawn_whole():
    report = build_report(RUN, RECORDS)
    assert report.drawn == report.records == RECORDS
    assert not any("Charts and long tables" in caveat for caveat in report.caveats)


@pytest.mark.usefixtures("few")
def test_front_best_and_improvements_are_always_drawn():
    report = build_report(RUN, RECORDS)
    numbers = [record.number for record in report.drawn]
    assert len(numbers) == 25
    assert numbers == sorted(set(numbers))
    assert {point.trial for point in report.front} <= set(numbers)
    assert report.best.number in numbers
    before = {n: best for n, _, best in running_best(RUN, RECORDS)}
    assert all(before[n] == best for n, _, best in running_best(RUN, report.drawn))


@pytest.mark.usefixtures("few")
def test_what_is_drawn_is_said_and_counts_stay_those_of_all_trials():
    report = build_report(RUN, RECORDS)
    assert "Charts and long tables show 25 of 60 trials" in " ".join(report.caveats)
    assert "25 of 60 trials" in render_html(report)
    trials = next(line for line in report.headlines if line.label == "Trials")
    assert trials.value == "60"


@pytest.mark.usefixtures("few")
def test_every_trial_is_in_the_csv(tmp_path):
    write_csv(trial_columns(build_report(RUN, RECORDS)), tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == [record.number for record in RECORDS]
    on_front = {int(row["trial"]) for row in rows if row["on_front"] == "yes"}
    assert on_front == {point.trial for point in pareto_front(RECORDS)}
    for row, record in zip(rows, RECORDS, strict=True):
        assert row["state"] == record.state
        assert row["reason"] == (record.reason or "")
        if record.scores is not None and record.scores.validation_int8 is not None:
            error = float(row["validation_error_int8"])
            accuracy = record.scores.validation_int8["accuracy"]
            assert error == pytest.approx(1 - accuracy, rel=1e-5)
            assert float(row["validation_accuracy_int8"]) == pytest.approx(accuracy, rel=1e-5)


def known(cost: CostEstimate | None) -> CostEstimate:
    assert cost is not None
    return cost


def test_the_front_is_what_comparing_every_pair_gives():
    records = [r for r in RECORDS if r.state == "completed"]
    ties = [
        record.model_copy(
            update={
                "number": 100 + index,
                "cost": replace(known(record.cost), peak_ram_bytes=ram, flash_bytes=50),
            }
        )
        for index, (record, ram) in enumerate(itertools.product(records[:3], (9, 7, 8)))
    ]
    points = {p.trial: p.values for r in [*records, *ties] for p in pareto_front([r])}
    wanted = {
        trial
        for trial, values in points.items()
        if not any(dominates(other, values) for other in points.values())
    }
    found = pareto_front([*records, *ties])
    assert {point.trial for point in found} == wanted
    assert [p.latency_s for p in found] == sorted(p.latency_s for p in found)
