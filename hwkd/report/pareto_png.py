"""The Pareto front as a picture for a README or a slide: error against latency, limit drawn in."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hwkd.io.paths import written_atomically
from hwkd.report.axes import CostAxis, cost_axes, error_range, log_ticks, scored_trials, staircase
from hwkd.report.document import Report
from hwkd.report.palette import LIMIT_COLOUR, styles_of

_INCHES = (8.0, 5.0)
_DPI = 160
_LARGEST_AREA = 260.0
_SMALLEST_AREA = 36.0
_LEGEND_AREA = 60.0


def write_pareto_png(report: Report, path: Path) -> None:
    """Draw the completed trials, whole or not at all; without one the picture says so."""
    # A Figure of its own, not pyplot: no window system, no global state.
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(report.title, loc="left", fontsize=12, fontweight="bold", parse_math=False)
    costs = cost_axes(report.run, scored_trials(report.drawn))
    if costs:
        _draw(axes, report, costs[0])
    else:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no candidate has completed", ha="center", transform=axes.transAxes)
    with written_atomically(path) as temporary:
        figure.savefig(temporary, metadata={"Software": None})


def _draw(axes: Axes, report: Report, latency: CostAxis) -> None:
    scored = scored_trials(report.drawn)
    errors = [100 * r.objective.task_error for r in scored if r.objective is not None]
    corners = staircase(list(zip(latency.values, errors, strict=True)))
    axes.plot(*zip(*corners, strict=True), color="#8a94a6", linewidth=1.2, zorder=1)
    _draw_points(axes, report, latency, errors)
    at = latency.limit_at
    if at is not None:
        axes.axvline(at, color=LIMIT_COLOUR, linestyle="--", linewidth=1.3)
    if latency.limit_text:
        is_left = latency.is_label_left_of_limit
        axes.annotate(
            latency.limit_text,
            xy=(1.0 if at is None else at, 1.0),
            xycoords=("axes fraction" if at is None else "data", "axes fraction"),
            xytext=(-4 if is_left else 4, -4),
            textcoords="offset points",
            ha="right" if is_left else "left",
            va="top",
            color=LIMIT_COLOUR,
            fontsize=9,
        )
    if latency.is_log:
        axes.set_xscale("log")
        ticks = log_ticks(latency.low, latency.high)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xticks([], minor=True)
    axes.set_xlim(latency.low, latency.high)
    axes.set_ylim(*error_range(errors))
    axes.set_xlabel(f"{latency.title} ({latency.source})", parse_math=False)
    axes.set_ylabel("validation error of the int8 student, %")
    axes.grid(color="#dde1e7", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_points(axes: Axes, report: Report, latency: CostAxis, errors: list[float]) -> None:
    scored = scored_trials(report.drawn)
    front = {point.trial for point in report.front}
    rams = [record.cost.peak_ram_bytes for record in scored if record.cost is not None]
    largest = max(rams)
    spaces = [record.spec.space if record.spec else "unknown" for record in scored]
    styles = styles_of(spaces)
    for space, style in styles.items():
        axes.scatter([], [], c=style.colour, marker=style.marker, s=_LEGEND_AREA, label=space)
        for is_on_front in (True, False):
            own = [
                i
                for i, record in enumerate(scored)
                if spaces[i] == space and (record.number in front) == is_on_front
            ]
            axes.scatter(
                [latency.values[i] for i in own],
                [errors[i] for i in own],
                s=[
                    _SMALLEST_AREA + (_LARGEST_AREA - _SMALLEST_AREA) * rams[i] / largest
                    for i in own
                ],
                c=style.colour,
                marker=style.marker,
                alpha=0.95 if is_on_front else 0.3,
                edgecolors="#1d2430" if is_on_front else "none",
                linewidths=0.9,
                zorder=3 if is_on_front else 2,
            )
    legend = axes.legend(
        title="outlined: front; area: peak RAM",
        fontsize=9,
        title_fontsize=8,
        frameon=False,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
