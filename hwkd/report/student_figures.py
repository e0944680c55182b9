"""Figures of the best student: cost per operator, RAM over one inference, terms of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from hwkd.core.decision_record import DecisionRecord
from hwkd.core.measure import CostEstimate, OpCost
from hwkd.core.run_record import DeviceRecord
from hwkd.core.trial import EpochRecord
from hwkd.report import format as fmt
from hwkd.report.document import Chart, ChartView
from hwkd.report.figures import checked_figure
from hwkd.report.latency import Latency
from hwkd.report.palette import LIMIT_COLOUR, TERM_COLOURS, styles_of

_LABELS_UP_TO = 40


def operator_chart(cost: CostEstimate, device: DeviceRecord) -> Chart | None:
    """Draw latency, MACs and flash of each operator in execution order; None without operators."""
    if not cost.per_op:
        return None
    kinds = styles_of(op.kind for op in cost.per_op)
    views = tuple(
        ChartView(
            label=label,
            data={"y": _by_kind(cost.per_op, kinds, values)},
            layout={"yaxis.title.text": escape(title)},
        )
        for label, title, values in _operator_columns(cost.per_op, device)
    )
    traces = [
        go.Bar(
            x=list(range(len(cost.per_op))),
            y=values,
            name=escape(kind),
            marker={"color": kinds[kind].colour},
            customdata=[escape(op.name) for op in cost.per_op],
            hovertemplate="<b>%{customdata}</b><br>%{y:.4g}<extra>%{fullData.name}</extra>",
        )
        for kind, values in zip(kinds, views[0].data["y"], strict=True)
    ]
    layout = {
        "height": 400,
        "barmode": "stack",
        "bargap": 0.15,
        "xaxis": _operator_axis(cost.per_op),
        "yaxis": {"title": {"text": views[0].layout["yaxis.title.text"]}},
    }
    return Chart(
        key="operators",
        title="Cost of each operator, in execution order",
        figure=checked_figure(traces, layout),
        views=views,
        note=("" if Latency(device).is_timed else f"Latency: {Latency(device).source}. ")
        + "An operator that the runtime fuses into another costs nothing of its own; one without "
        "a known cost has no bar.",
    )


def memory_chart(cost: CostEstimate, device: DeviceRecord) -> Chart | None:
    """Draw RAM in use during one inference against the peak and the limit.

    The width of a step is the operator's estimated latency where every operator has one, else one
    step is one operator.
    """
    if not cost.per_op:
        return None
    # A fused operator runs inside another one, so it has no moment of its own.
    own = [op for op in cost.per_op if op.fused_into is None]
    unit, xs, ys, names = _memory_steps(own)
    trace = go.Scatter(
        x=xs,
        y=ys,
        mode="lines",
        fill="tozeroy",
        fillcolor="rgba(61,143,209,0.25)",
        line={"color": TERM_COLOURS[0], "width": 1.5},
        customdata=names,
        hovertemplate="<b>%{customdata}</b><br>%{y:.4g} KiB<extra></extra>",
    )
    layout = {
        "height": 340,
        "showlegend": False,
        "xaxis": {
            "title": {
                "text": f"time, {unit.name} ({Latency(device).word_of_parts})"
                if unit
                else "operator"
            },
            "range": [0, xs[-1]],
        },
        **_levels(cost, device),
    }
    return Chart(
        key="memory",
        title="Memory over one inference",
        figure=checked_figure([trace], layout),
        note="Activations and scratch alive while each operator runs. The peak counts the arena "
        "and what the runtime needs besides.",
    )


def trade_off_chart(decision: DecisionRecord) -> Chart:
    """Draw false rejects over false accepts, by threshold, and where the chosen one lies."""
    chosen = (decision.reached, 1.0 - decision.detected)
    curve = sorted({*decision.curve, chosen})
    series = (("thresholds", curve, "lines", TERM_COLOURS[0]),
              ("chosen", [chosen], "markers", LIMIT_COLOUR))  # fmt: skip
    traces = [
        go.Scatter(
            x=[accepts for accepts, _ in points],
            y=[100.0 * rejects for _, rejects in points],
            mode=mode,
            name=name,
            line={"color": colour, "shape": "vh"},
            marker={"color": colour, "size": 10},
            hovertemplate="%{x:.4g} per hour: %{y:.4g} %<extra>%{fullData.name}</extra>",
        )
        for name, points, mode, colour in series
    ]
    layout = {
        "height": 340,
        "showlegend": True,
        "xaxis": {"title": {"text": escape(f"{decision.rate}, per hour")},
                  "range": [0, max(20.0 * decision.wanted, 2.0 * decision.reached)]},
        "yaxis": {"title": {"text": escape(f"{decision.answer} missed, %")}, "range": [0, 100]},
    }  # fmt: skip
    return Chart(
        key="trade-off",
        title="What is missed, by how often it is heard falsely",
        figure=checked_figure(traces, layout),
        note="Detection error trade-off of the int8 file on validation, with the smoothing chosen.",
    )


def training_charts(epochs: Sequence[EpochRecord], *, key: str, what: str) -> list[Chart]:
    """Draw the terms of a training and their gradient norms over its epochs, if any."""
    drawn = (
        (
            f"{key}-terms",
            f"Loss terms during {what}",
            "loss",
            "Mean of each term over the epoch, with its weight.",
            [epoch.losses for epoch in epochs],
        ),
        (
            f"{key}-gradients",
            f"Gradient norm of each method's term during {what}",
            "gradient norm",
            "At the student's parameters, without the term's weight; in an epoch where none was "
            "measured there is no point.",
            [epoch.grad_norms for epoch in epochs],
        ),
    )
    numbers = [epoch.epoch for epoch in epochs]
    return [
        _series_chart(chart, title, axis, note, numbers, rows)
        for chart, title, axis, note, rows in drawn
        if any(rows)
    ]


def _series_chart(
    key: str,
    title: str,
    axis: str,
    note: str,
    numbers: Sequence[int],
    rows: Sequence[Mapping[str, float]],
) -> Chart:
    styles = styles_of(name for row in rows for name in row)
    traces = [
        go.Scatter(
            x=[number for number, row in zip(numbers, rows, strict=True) if name in row],
            y=[row[name] for row in rows if name in row],
            mode="lines+markers",
            name=escape(name),
            line={"color": style.colour},
            marker={"symbol": style.symbol},
            hovertemplate="epoch %{x}: %{y:.4g}<extra>%{fullData.name}</extra>",
        )
        for name, style in styles.items()
    ]
    layout = {
        "height": 320,
        "showlegend": True,
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": axis}, "rangemode": "tozero"},
    }
    return Chart(key=key, title=title, figure=checked_figure(traces, layout), note=note)


def _memory_steps(
    ops: Sequence[OpCost],
) -> tuple[fmt.Unit | None, list[float], list[float], list[str]]:
    """Return (unit of time, x, KiB in use, hover name), two points per operator.

    The unit is None where an operator has no cost: then x counts operators.
    """
    times = [op.latency_s for op in ops if op.latency_s is not None]
    has_times = len(times) == len(ops) and sum(times) > 0
    unit = fmt.time_unit(sum(times)) if has_times else None
    widths = [1.0] * len(ops) if unit is None else [unit.of(time_s) for time_s in times]
    xs: list[float] = []
    for width in widths:
        start = xs[-1] if xs else 0.0
        xs += [start, start + width]
    ys = [fmt.KIB.of(op.ram_bytes) for op in ops for _ in range(2)]
    names = [escape(f"{op.name} ({op.kind})") for op in ops for _ in range(2)]
    return unit, xs, ys, names


def _operator_columns(
    ops: Sequence[OpCost], device: DeviceRecord
) -> list[tuple[str, str, list[float | None]]]:
    """Return (button, axis title, value of each operator); latency only where one is known."""
    unit = fmt.time_unit(max((op.latency_s or 0.0) for op in ops) or 1e-3)
    columns: list[tuple[str, str, list[float | None]]] = [
        ("MACs", "MACs (counted)", [float(op.macs) for op in ops]),
        (
            "Flash",
            f"flash, KiB ({device.basis.sizes})",
            [fmt.KIB.of(op.flash_bytes) for op in ops],
        ),
    ]
    if any(op.latency_s is not None for op in ops):
        title = f"latency, {unit.name} ({Latency(device).word_of_parts})"
        times = [None if op.latency_s is None else unit.of(op.latency_s) for op in ops]
        columns.insert(0, ("Latency", title, times))
    return columns


def _by_kind(
    ops: Sequence[OpCost], kinds: dict[str, Any], values: Sequence[float | None]
) -> list[list[float | None]]:
    return [
        [value if op.kind == kind else None for op, value in zip(ops, values, strict=True)]
        for kind in kinds
    ]


def _operator_axis(ops: Sequence[OpCost]) -> dict[str, Any]:
    if len(ops) > _LABELS_UP_TO:
        return {"title": {"text": "operator"}}
    return {
        "tickmode": "array",
        "tickvals": list(range(len(ops))),
        "ticktext": [escape(op.name) for op in ops],
        "tickangle": -60,
        "automargin": True,
        "tickfont": {"size": 10},
    }


def _levels(cost: CostEstimate, device: DeviceRecord) -> dict[str, Any]:
    limit = device.limit("ram")
    peak = fmt.KIB.of(cost.peak_ram_bytes)
    top = peak
    levels = [(peak, f"peak {fmt.kib(cost.peak_ram_bytes)}", "#8a94a6", "dot")]
    note = ""
    if limit is not None:
        at = fmt.KIB.of(limit.value)
        text = f"limit {fmt.kib(limit.value)} ({limit.origin})"
        if at <= 2.5 * peak:
            levels.append((at, text, LIMIT_COLOUR, "dash"))
            top = max(top, at)
        else:
            note = f"{text}, off scale ↑"
    shapes = [
        {
            "type": "line",
            "xref": "paper",
            "x0": 0,
            "x1": 1,
            "y0": at,
            "y1": at,
            "line": {"color": colour, "width": 1.5, "dash": dash},
        }
        for at, _, colour, dash in levels
    ]
    annotations = [_label(at, text, colour) for at, text, colour, _ in levels]
    if note:
        # Below the toolbar, and left of what the peak says.
        place = {"yref": "paper", "yanchor": "top", "x": 0.0, "xanchor": "left"}
        annotations.append({**_label(1.0, note, LIMIT_COLOUR), **place})
    return {
        "shapes": shapes,
        "annotations": annotations,
        "yaxis": {
            "title": {"text": f"RAM in use, KiB ({device.basis.sizes})"},
            "range": [0, 1.12 * top],
        },
    }


def _label(at: float, text: str, colour: str) -> dict[str, Any]:
    return {
        "xref": "paper",
        "x": 1.0,
        "xanchor": "right",
        "y": at,
        "yanchor": "bottom",
        "text": escape(text),
        "showarrow": False,
        "font": {"color": colour, "size": 12},
    }
