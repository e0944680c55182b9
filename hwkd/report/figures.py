"""Figures of the search: plotly data, checked by plotly and drawn by the page.

The page sets fonts, colours of text and grid, and the background, so that one figure serves the
light and the dark theme. Text from users is escaped because plotly reads a little HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Any

import plotly.graph_objects as go

from hwkd.core.run_record import RunRecord
from hwkd.core.trial import ObjectiveRecord, TrialRecord
from hwkd.report import format as fmt
from hwkd.report.analysis import running_best
from hwkd.report.axes import log_ticks
from hwkd.report.document import Chart
from hwkd.report.palette import LIMIT_COLOUR, TERM_COLOURS, styles_of

_LEGEND = {
    "orientation": "h",
    "y": 1.02,
    "yanchor": "bottom",
    "itemsizing": "constant",
    "traceorder": "normal",
}
_MARGIN = {"l": 60, "r": 20, "t": 48, "b": 56}
# Room for the toolbar, which lies over what is drawn there.
_TOP_WITHOUT_LEGEND = 32
_EACH_HAS_A_TICK = 12


def checked_figure(traces: Sequence[Any], layout: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"data", "layout"}` after plotly has checked every property.

    Raises:
        ValueError: if plotly knows no such property or value, a defect of ours.
    """
    has_legend = layout.get("showlegend", len(traces) > 1)
    margin = _MARGIN if has_legend else {**_MARGIN, "t": _TOP_WITHOUT_LEGEND}
    merged = {"legend": _LEGEND, "margin": margin, **layout}
    for name in [name for name in merged if name.startswith("yaxis")]:
        if "title" in merged[name]:  # a title stands off the numbers, however long these are
            merged[name] = {**merged[name], "title": {**merged[name]["title"], "standoff": 10}}
    figure: dict[str, Any] = go.Figure(data=list(traces), layout=merged).to_plotly_json()
    # plotly adds its default colours for every kind of chart, 8 KB in each figure.
    figure["layout"].pop("template", None)
    return figure


def history_chart(run: RunRecord, records: Sequence[TrialRecord]) -> Chart | None:
    """Draw what was minimised over trials and the best until then; None before the first result."""
    rows = running_best(run, records)
    if not rows:
        return None
    is_weighted = run.objective.mode == "weighted"
    scale = 1.0 if is_weighted else 100.0
    numbers = [number for number, _, _ in rows]
    traces: list[Any] = (
        _contribution_bars(run, records)
        if is_weighted
        else [_dots(numbers, [scale * value for _, value, _ in rows], "validation error")]
    )
    traces.append(
        go.Scatter(
            x=numbers,
            y=[scale * best for _, _, best in rows],
            mode="lines",
            name="best so far",
            line={"shape": "hv", "color": LIMIT_COLOUR, "width": 2.5},
            hovertemplate="best until trial %{x}: %{y:.4g}<extra></extra>",
        )
    )
    title = "objective (weighted sum)" if is_weighted else "validation error, %"
    layout = {
        "height": 360,
        "barmode": "stack",
        "bargap": 0.15,
        "xaxis": _trial_axis(numbers),
        "yaxis": {"title": {"text": title}, "rangemode": "tozero"},
    }
    return Chart(
        key="history",
        title="What was minimised, trial by trial",
        figure=checked_figure(traces, layout),
        note=_history_note(run),
    )


def terms_chart(records: Sequence[TrialRecord]) -> Chart | None:
    """Draw the three terms of the objective, unweighted, one under the other."""
    rows = [(r.number, r.objective) for r in records if r.objective is not None]
    if not rows:
        return None
    terms = [
        ("task error, %", [100 * terms.task_error for _, terms in rows]),
        ("KD, divergence", [terms.divergence for _, terms in rows]),
        ("overrun, %", [100 * terms.latency_overrun for _, terms in rows]),
    ]
    numbers = [number for number, _ in rows]
    traces = []
    layout: dict[str, Any] = {"height": 460, "showlegend": False}
    for index, (label, values) in enumerate(terms):
        suffix = "" if index == 0 else str(index + 1)
        trace = _dots(numbers, values, label, colour=TERM_COLOURS[index])
        # A term of 0 lies on the axis, which would cut its dot.
        traces.append(trace.update(xaxis="x", yaxis=f"y{suffix}", cliponaxis=False))
        layout[f"yaxis{suffix}"] = {
            "title": {"text": label},
            "domain": [(2 - index) / 3 + 0.03, (3 - index) / 3 - 0.02],
            "rangemode": "tozero",
        }
    layout["xaxis"] = {**_trial_axis(numbers), "anchor": "y3"}
    return Chart(
        key="terms",
        title="The three terms, unweighted",
        figure=checked_figure(traces, layout),
        note="Task: validation error of the int8 student. KD: divergence of the int8 student from "
        "the teacher's soft targets. Overrun: predicted latency over the target latency.",
    )


def space_chart(records: Sequence[TrialRecord]) -> Chart | None:
    """Draw the errors that each search space reached; None without a completed trial."""
    errors: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        if record.state == "completed" and record.spec is not None and record.objective is not None:
            error = 100 * record.objective.task_error
            errors.setdefault(record.spec.space, []).append((record.number, error))
    if not errors:
        return None
    styles = styles_of(errors)
    traces = [
        go.Box(
            y=[error for _, error in errors[space]],
            name=escape(space),
            boxpoints="all",
            jitter=0.5,
            pointpos=0,
            fillcolor="rgba(128,128,128,0.12)",
            line={"color": styles[space].colour, "width": 1.5},
            marker={"color": styles[space].colour, "symbol": styles[space].symbol, "size": 7},
            customdata=[number for number, _ in errors[space]],
            hovertemplate="trial %{customdata}: %{y:.2f} %<extra></extra>",
            hoveron="points",
        )
        for space in sorted(errors)
    ]
    axis = {"title": {"text": "validation error, %"}, "rangemode": "tozero"}
    return Chart(
        key="spaces",
        title="Validation error of int8 students by search space",
        figure=checked_figure(traces, {"height": 360, "showlegend": False, "yaxis": axis}),
    )


def rejection_chart(records: Sequence[TrialRecord]) -> Chart | None:
    """Draw by how much each rejected candidate exceeds each limit; None without a rejection."""
    points = _excesses(records)
    if not points:
        return None
    labels = {label for rows in points.values() for _, label, _ in rows}
    low, high = 0.9, 1.15 * max(ratio for rows in points.values() for ratio, _, _ in rows)
    line = {"color": LIMIT_COLOUR, "width": 1.5, "dash": "dash"}
    layout = {
        "height": 150 + 60 * len(labels),
        "xaxis": {
            "title": {"text": "needed / allowed"},
            "type": "log",
            "range": [log10(low), log10(high)],
            "tickvals": log_ticks(low, high),
        },
        "yaxis": {"automargin": True},
        "shapes": [
            {"type": "line", "x0": 1, "x1": 1, "y0": 0, "y1": 1, "yref": "paper", "line": line}
        ],
    }
    return Chart(
        key="rejections",
        title="How far rejected candidates are over each limit",
        figure=checked_figure(_excess_traces(points), layout),
        note="Dashed: the limit. A candidate stands in every row whose limit it exceeds.",
    )


def _excesses(records: Sequence[TrialRecord]) -> dict[str, list[tuple[float, str, int]]]:
    """Return space -> (needed / allowed, limit, trial) of every exceeded limit."""
    points: dict[str, list[tuple[float, str, int]]] = {}
    for record in records:
        space = record.spec.space if record.spec is not None else "unknown"
        for violation in record.violations:
            label = fmt.limit_label(violation.limit_name)
            row = (1 + violation.excess_ratio, label, record.number)
            points.setdefault(space, []).append(row)
    return points


def _excess_traces(points: dict[str, list[tuple[float, str, int]]]) -> list[Any]:
    styles = styles_of(points)
    return [
        go.Scatter(
            x=[ratio for ratio, _, _ in points[space]],
            y=[label for _, label, _ in points[space]],
            customdata=[number for _, _, number in points[space]],
            mode="markers",
            name=escape(space),
            marker={
                "color": styles[space].colour,
                "symbol": styles[space].symbol,
                "size": 10,
                "opacity": 0.65,
            },
            hovertemplate="trial %{customdata} needs %{x:.3g} × the %{y} limit<extra></extra>",
        )
        for space in sorted(points)
    ]


def _history_note(run: RunRecord) -> str:
    if run.objective.mode == "pareto":
        return "Each point is one trained candidate; nothing was weighted."
    weights = run.objective
    return (
        f"Each bar is one trained candidate: {weights.alpha:g} × task error + {weights.beta:g} × KD"
        f" + {weights.gamma:g} × overrun. Rejected and failed candidates have no value."
    )


def _contribution_bars(run: RunRecord, records: Sequence[TrialRecord]) -> list[Any]:
    rows: list[tuple[int, ObjectiveRecord]] = [
        (record.number, record.objective)
        for record in records
        if record.state == "completed" and record.objective is not None
    ]
    settings = run.objective
    shares = [
        ("task", [settings.alpha * terms.task_error for _, terms in rows]),
        ("KD", [settings.beta * terms.divergence for _, terms in rows]),
        ("overrun", [settings.gamma * terms.latency_overrun for _, terms in rows]),
    ]
    return [
        go.Bar(
            x=[number for number, _ in rows],
            y=values,
            name=name,
            marker={"color": colour},
            hovertemplate=f"trial %{{x}}: {name} adds %{{y:.4g}}<extra></extra>",
        )
        for (name, values), colour in zip(shares, TERM_COLOURS, strict=True)
    ]


def _trial_axis(numbers: Sequence[int]) -> dict[str, Any]:
    """Return an axis whose ticks are numbers of trials, none between two."""
    few = max(numbers) - min(numbers) <= _EACH_HAS_A_TICK
    return {"title": {"text": "trial"}, **({"dtick": 1} if few else {})}


def _dots(
    numbers: list[int], values: list[float], label: str, *, colour: str = TERM_COLOURS[0]
) -> Any:
    return go.Scatter(
        x=numbers,
        y=values,
        mode="markers",
        name=label,
        marker={"color": colour, "size": 7},
        hovertemplate="trial %{x}: %{y:.4g}<extra></extra>",
    )
