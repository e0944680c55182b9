"""The interactive Pareto scatter: error against each cost, with the hard limits drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10, sqrt
from typing import Any

import plotly.graph_objects as go

from hwkd.core.errors import RunFolderError, UnknownNameError
from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord
from hwkd.report import format as fmt
from hwkd.report.axes import CostAxis, cost_axes, error_range, log_ticks, scored_trials, staircase
from hwkd.report.document import Chart, ChartView, Report
from hwkd.report.figures import checked_figure
from hwkd.report.latency import Latency
from hwkd.report.palette import LIMIT_COLOUR, Style, styles_of

_SMALLEST_PX = 9.0
_LARGEST_PX = 26.0
_HOVER = (
    "<b>trial %{customdata[0]}</b> · %{customdata[1]}<br>"
    "validation error, int8 %{customdata[2]}<br>latency %{customdata[3]}<br>"
    "peak RAM %{customdata[4]}<br>flash %{customdata[5]}<br>"
    "MACs %{customdata[6]}<extra></extra>"
)


def pareto_chart(
    run: RunRecord,
    records: Sequence[TrialRecord],
    front: Sequence[FrontPoint],
    best: TrialRecord | None,
) -> Chart | None:
    """Draw every completed trial; None when there is none.

    Colour and symbol tell the space, area the peak RAM; trials of the four-dimensional front are
    solid, dominated ones pale. Views put latency, peak RAM, flash or energy on the x axis.
    """
    scored = scored_trials(records)
    if not scored:
        return None
    axes = cost_axes(run, scored)
    errors = [_error_percent(record) for record in scored]
    groups = _groups(scored)
    best_at = [i for i, r in enumerate(scored) if best is not None and r.number == best.number]
    views = tuple(_view(axis, errors, [*groups.values(), best_at]) for axis in axes)
    undominated = {point.trial for point in front}
    traces = [_line_trace()]
    styles = styles_of(groups)
    for space, members in groups.items():
        traces.append(_space_trace(run, space, styles[space], scored, members, undominated))
    traces.append(_best_trace("best so far" if run.final is None else "ships"))
    for number, trace in enumerate(traces):
        trace.update(x=views[0].data["x"][number], y=views[0].data["y"][number])
    layout = {**_layout(errors), **views[0].layout}
    return Chart(
        key="pareto",
        title="Validation error of the int8 student against its cost",
        figure=checked_figure(traces, layout),
        views=views if len(views) > 1 else (),
        note="Area of a point: peak RAM. Solid: no other trial is better in error, latency, peak "
        "RAM and flash together. Line: the front of the two quantities shown. Dashed: hard limit"
        f"; that of the latency holds for {Latency(run.device).limited_end}.",
    )


def front_figure(report: Report, cost: str) -> go.Figure:
    """Return the Pareto scatter as a figure of plotly, for a notebook.

    Args:
        cost: label of one of the chart's views, in any case.

    Raises:
        UnknownNameError: if there is no such cost.
        RunFolderError: if no trial is completed.
    """
    chart = pareto_chart(report.run, report.records, report.front, report.best)
    if chart is None:
        raise RunFolderError("no trial is completed, so there is no front to draw")
    figure = go.Figure(chart.figure)
    views = {view.label.lower(): view for view in chart.views}
    if not views and cost == "latency":  # there is no other
        return figure
    if cost.lower() not in views:
        raise UnknownNameError("cost", cost, views)
    view = views[cost.lower()]
    for number, trace in enumerate(figure.data):
        trace.update({name: values[number] for name, values in view.data.items()})
    layout = {name.replace(".", "_"): value for name, value in view.layout.items()}
    return figure.update_layout(title=chart.title, **layout)


def _groups(scored: Sequence[TrialRecord]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for index, record in enumerate(scored):
        groups.setdefault(_space(record), []).append(index)
    return dict(sorted(groups.items()))


def _view(axis: CostAxis, errors: list[float], members: list[list[int]]) -> ChartView:
    corners = staircase(list(zip(axis.values, errors, strict=True)))
    xs = [[x for x, _ in corners]]
    ys = [[y for _, y in corners]]
    xs.extend([axis.values[i] for i in own] for own in members)
    ys.extend([errors[i] for i in own] for own in members)
    return ChartView(
        label=axis.label,
        data={"x": xs, "y": ys},
        layout={
            "xaxis.title.text": f"{escape(axis.title)}<br><sup>{escape(axis.source)}</sup>",
            "xaxis.type": "log" if axis.is_log else "linear",
            "xaxis.range": axis.plotly_range,
            "xaxis.tickmode": "array" if axis.is_log else "auto",
            "xaxis.tickvals": log_ticks(axis.low, axis.high) if axis.is_log else [],
            **_limit_marks(axis),
        },
    )


def _limit_marks(axis: CostAxis) -> dict[str, Any]:
    at = axis.limit_at
    line = {"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"}
    shape = {"type": "line", "x0": at, "x1": at, "y0": 0, "y1": 1, "yref": "paper", "line": line}
    # plotly places annotations on a logarithmic axis by exponent, but shapes by value.
    where: dict[str, Any] = {"x": 1.0, "xref": "paper"}
    if at is not None:
        where = {"x": log10(at) if axis.is_log else at}
    label = {
        **where,
        "y": 1.0,
        "yref": "paper",
        "text": escape(axis.limit_text),
        "showarrow": False,
        "xanchor": "right" if axis.is_label_left_of_limit else "left",
        "yanchor": "bottom",
        "font": {"color": LIMIT_COLOUR, "size": 12},
    }
    return {
        "shapes": [] if at is None else [shape],
        "annotations": [label] if axis.limit_text else [],
    }


def _line_trace() -> go.Scatter:
    line = {"color": "#8a94a6", "width": 1.5}
    return go.Scatter(mode="lines", line=line, name="front in this view", hoverinfo="skip")


def _best_trace(name: str) -> go.Scatter:
    marker = {
        "symbol": "star-open",
        "size": 30,
        "color": LIMIT_COLOUR,
        "line": {"width": 2, "color": LIMIT_COLOUR},
    }
    return go.Scatter(mode="markers", marker=marker, name=name, hoverinfo="skip")


def _space_trace(
    run: RunRecord,
    space: str,
    style: Style,
    scored: Sequence[TrialRecord],
    members: list[int],
    front: set[int],
) -> go.Scatter:
    largest = max(_ram(record) for record in scored)
    own = [scored[index] for index in members]
    marker = {
        "color": style.colour,
        "symbol": style.symbol,
        "size": [_diameter_px(_ram(record), largest) for record in own],
        "opacity": [1.0 if record.number in front else 0.38 for record in own],
        "line": {"width": [1.5 if record.number in front else 0 for record in own]},
    }
    return go.Scatter(
        mode="markers",
        name=escape(space),
        marker=marker,
        customdata=[_hover_row(run, record) for record in own],
        hovertemplate=_HOVER,
    )


def _hover_row(run: RunRecord, record: TrialRecord) -> list[str]:
    cost, basis = record.cost, run.device.basis
    texts = [
        str(record.number),
        _space(record),
        f"{_error_percent(record):.2f} %",
        f"{fmt.time(record.latency_s)} ({basis.name})",
        f"{fmt.kib(cost.peak_ram_bytes if cost else None)} ({basis.sizes})",
        f"{fmt.kib(cost.flash_bytes if cost else None)} ({basis.sizes})",
        fmt.count(cost.macs if cost else None),
    ]
    return [escape(text) for text in texts]


def _diameter_px(ram_bytes: int, largest_bytes: int) -> float:
    share = (ram_bytes / largest_bytes) if largest_bytes else 0.0
    return round(_SMALLEST_PX + (_LARGEST_PX - _SMALLEST_PX) * sqrt(share), 1)


def _ram(record: TrialRecord) -> int:
    return record.cost.peak_ram_bytes if record.cost else 0


def _space(record: TrialRecord) -> str:
    return record.spec.space if record.spec else "unknown"


def _error_percent(record: TrialRecord) -> float:
    return 100 * record.objective.task_error if record.objective else 100.0


def _layout(errors: Sequence[float]) -> dict[str, Any]:
    return {
        "height": 480,
        "hovermode": "closest",
        "yaxis": {"title": {"text": "validation error, %"}, "range": list(error_range(errors))},
    }
