"""What the sampler predicted of each candidate beside what was measured then."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from hwkd.core.trial import PredictedRecord, TrialRecord
from hwkd.report import format as fmt
from hwkd.report.document import Chart
from hwkd.report.figures import checked_figure
from hwkd.report.palette import LIMIT_COLOUR, styles_of


def prediction_chart(records: Sequence[TrialRecord], drawn: Sequence[TrialRecord]) -> Chart | None:
    """Draw predicted against measured errors with their intervals; None without a prediction.

    Args:
        records: all; the share of intervals that held is theirs.
    """
    every = [pair for record in records if (pair := _pair(record)) is not None]
    points: dict[str, list[tuple[int, PredictedRecord, float]]] = {}
    for record in drawn:
        pair = _pair(record)
        if pair is not None and record.spec is not None:
            points.setdefault(record.spec.space, []).append((record.number, *pair))
    if not points:
        return None
    styles = styles_of(points)
    traces: list[go.Scatter] = [
        go.Scatter(
            x=[100 * predicted.mean for _, predicted, _ in rows],
            y=[100 * error for _, _, error in rows],
            error_x={
                "array": [100 * predicted.half_width_80 for _, predicted, _ in rows],
                "thickness": 1,
                "width": 0,
            },
            mode="markers",
            name=escape(space),
            marker={"color": styles[space].colour, "symbol": styles[space].symbol, "size": 8},
            customdata=[number for number, _, _ in rows],
            hovertemplate="trial %{customdata}: predicted %{x:.2f} %, measured %{y:.2f} %"
            "<extra></extra>",
        )
        for space, rows in sorted(points.items())
    ]
    errors = [100 * value for predicted, error in every for value in (predicted.mean, error)]
    ends = [min(errors), max(errors)]
    line = {"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"}
    traces.append(go.Scatter(x=ends, y=ends, mode="lines", line=line, name="as predicted"))
    layout = {
        "height": 420,
        "xaxis": {"title": {"text": "predicted validation error, %"}},
        "yaxis": {"title": {"text": "measured, %"}},
    }
    held = sum(predicted.holds(error) for predicted, error in every)
    return Chart(
        key="predictions",
        title="Validation error, predicted before a training and measured after it",
        figure=checked_figure(traces, layout),
        note=f"Bars: intervals that should hold 8 of 10 measurements. {held} of {len(every)} lie "
        f"inside ({fmt.percent(held / len(every))}).",
    )


def _pair(record: TrialRecord) -> tuple[PredictedRecord, float] | None:
    if record.state != "completed" or record.objective is None or record.proposal is None:
        return None
    predicted = record.proposal.task_error
    return None if predicted is None else (predicted, record.objective.task_error)
