"""Several runs side by side: what each shipped, what differed between them, and their fronts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go

from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import DataRecord
from hwkd.report import format as fmt
from hwkd.report.analysis import count_state
from hwkd.report.axes import staircase
from hwkd.report.document import Cell, Chart, ChartView, Column, Note, Report, Section, Table
from hwkd.report.figures import checked_figure
from hwkd.report.latency import Latency
from hwkd.report.palette import styles_of

# Of a configuration: said by the record of the run already, or a place that means nothing.
_SAID_ELSEWHERE = frozenset({"schema_version", "device", "runtime", "clock_hz", "data", "limits"})
_LONGEST_VALUE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RunToCompare:
    """A run with a name that is its own among those compared.

    Attributes:
        name: shortest end of its path that no other has.
        summary: what `hwkd report --json` prints of it.
        options: its configuration as plain data; empty of a finished student.
    """

    name: str
    page: Report
    summary: Mapping[str, Any]
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A fact that is not the same in all runs; a value is None where a run does not say it."""

    name: str
    values: tuple[str | None, ...]


def short_names(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the shortest end of each path that tells it from the others."""
    whole = [folder.resolve().parts for folder in folders]
    names = []
    for index, parts in enumerate(whole):
        others = whole[:index] + whole[index + 1 :]
        ends = (parts[-length:] for length in range(1, len(parts) + 1))
        own = next((end for end in ends if all(o[-len(end) :] != end for o in others)), parts)
        names.append(str(Path(*own)))
    return tuple(names)


def differences(runs: Sequence[RunToCompare]) -> tuple[Difference, ...]:
    """Return what differed in options, device, data, teacher and machine, in that order."""
    facts = [dict(_facts(run)) for run in runs]
    names = dict.fromkeys(name for own in facts for name in own)
    found = (Difference(name=name, values=tuple(own.get(name) for own in facts)) for name in names)
    return tuple(each for each in found if len(set(each.values)) > 1)


def cautions(runs: Sequence[RunToCompare]) -> tuple[str, ...]:
    """Say which numbers of the runs cannot be compared, and why."""
    records = [run.page.run for run in runs]
    lines = []
    if len({record.data.metric for record in records}) > 1:
        names = ", ".join(dict.fromkeys(record.data.metric.name for record in records))
        lines.append(f"The runs are judged by different metrics ({names}).")
    if len({record.data.fingerprint for record in records}) > 1:
        lines.append(_data_caution([record.data for record in records]))
    if len({Latency(record.device).source for record in records}) > 1:
        lines.append("The latencies are not for the same device, runtime and clock.")
    if any(record.final is None for record in records):
        lines.append("A run without a final training shows its best candidate, never tested.")
    return tuple(lines)


def _data_caution(found: Sequence[DataRecord]) -> str:
    """Say how data with several fingerprints differ."""
    contents = {data.content_fingerprint for data in found}
    is_split_anew = len({data.split_seed for data in found}) > 1
    # Runs of older versions know no more than where their data came from.
    is_one_source = contents == {None} and len({data.source for data in found}) == 1
    if is_split_anew and (is_one_source or (len(contents) == 1 and None not in contents)):
        return (
            "The runs have other splits of the same data: validation errors are not of the same "
            "examples."
        )
    if len(contents) == 1 and None not in contents:
        return "The runs prepare the same data differently, or split it so."
    return "The runs are of different data: their errors say nothing about each other."


def result_table(runs: Sequence[RunToCompare]) -> Table:
    """Return a column for each run: its best student and what it took.

    Latencies that came about in different ways have a row each.
    """
    words = tuple(dict.fromkeys(Latency(run.page.run.device).word for run in runs))
    judged = " or ".join(dict.fromkeys(run.page.run.data.metric.name for run in runs))
    sizes = _sizes(runs)
    labels = (
        "search space",
        "validation, measured",
        "test, measured",
        *(f"latency, {word}" for word in words),
        f"peak RAM, {sizes}",
        f"flash, {sizes}",
        "candidates trained",
        "time of the run",
    )
    found = zip(*(_result(run, words) for run in runs), strict=True)
    return Table(
        title="Best student of each run",
        columns=(Column(title=""), *(Column(title=run.name, is_number=True) for run in runs)),
        rows=tuple((Cell(label), *cells) for label, cells in zip(labels, found, strict=True)),
        note=f"Validation and test: {judged} of the int8 file. Latency, RAM and flash are for each "
        "run's own device and runtime.",
    )


def difference_block(runs: Sequence[RunToCompare]) -> Table | Note:
    """Return a row for each fact that is not the same in all runs, or say that there is none."""
    if not differences(runs):
        return Note(lines=("Options, device, data, teacher and machine were the same.",))
    return Table(
        title="Options, device, data, teacher and machine",
        columns=(Column(title="fact"), *(Column(title=run.name) for run in runs)),
        rows=tuple(
            (Cell(each.name), *(Cell(_short(value)) for value in each.values))
            for each in differences(runs)
        ),
        note="Facts that are the same in all runs are left out.",
    )


def comparison_sections(runs: Sequence[RunToCompare]) -> tuple[Section, ...]:
    """Return the sections of a page about several runs."""
    said, chart, differed = cautions(runs), fronts_chart(runs), difference_block(runs)
    fronts = (chart,) if chart is not None else (Note(lines=("No run has a front.",)),)
    return (
        Section(
            key="results",
            title="Results",
            blocks=(*((Note(lines=said, is_warning=True),) if said else ()), result_table(runs)),
        ),
        Section(key="fronts", title="Pareto fronts", blocks=fronts),
        Section(key="differences", title="What differed", blocks=(differed,)),
    )


def fronts_chart(runs: Sequence[RunToCompare]) -> Chart | None:
    """Draw the front of every run over each cost; None where no run has one.

    Latencies that came about in different ways share no axis: there the sizes alone are drawn.
    """
    shown = [run for run in runs if run.page.front]
    if not shown:
        return None
    sizes = _sizes(runs)
    axes = [
        _Axis("Peak RAM", "KiB", sizes, lambda point: point.peak_ram_bytes / 1024),
        _Axis("Flash", "KiB", sizes, lambda point: point.flash_bytes / 1024),
    ]
    words = {Latency(run.page.run.device).word for run in shown}
    if len(words) == 1:
        axes.insert(0, _Axis("Latency", "ms", words.pop(), lambda point: 1e3 * point.latency_s))
    views = tuple(_front_view(axis, shown) for axis in axes)
    traces = _front_traces([run.name for run in shown])
    for trace, x, y in zip(traces, views[0].data["x"], views[0].data["y"], strict=True):
        trace.update(x=x, y=y)
    layout = {
        "height": 480,
        "hovermode": "closest",
        "yaxis": {"title": {"text": "validation error, %"}, "rangemode": "tozero"},
        **views[0].layout,
    }
    return Chart(
        key="fronts",
        title="Validation error of the int8 students on each run's front",
        figure=checked_figure(traces, layout),
        views=views,
        note="Every point is on its run's front of error, latency, peak RAM and flash together. "
        "Line: the front of the two quantities shown.",
    )


def _front_traces(names: Sequence[str]) -> list[go.Scatter]:
    """Return a line of each run, then the points of each, without their places."""
    styles = styles_of(names)
    lines = [
        go.Scatter(
            mode="lines",
            line={"color": styles[name].colour, "width": 1.5},
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        )
        for name in names
    ]
    points = [
        go.Scatter(
            mode="markers",
            name=escape(name),
            marker={"color": styles[name].colour, "symbol": styles[name].symbol, "size": 10},
            legendgroup=name,
            hovertemplate="%{fullData.name}: %{y:.2f} % at %{x:.3g}<extra></extra>",
        )
        for name in names
    ]
    return [*lines, *points]


class _Axis(NamedTuple):
    """A cost that fronts are drawn over."""

    label: str
    unit: str
    word: str | None
    value: Callable[[FrontPoint], float]


def _front_view(axis: _Axis, runs: Sequence[RunToCompare]) -> ChartView:
    points = [[(axis.value(point), 100 * point.error) for point in run.page.front] for run in runs]
    drawn = [*map(staircase, points), *points]
    title = f"{axis.label}, {axis.unit}<br><sup>{escape(axis.word or '')}</sup>"
    return ChartView(
        label=axis.label,
        data={
            "x": [[x for x, _ in trace] for trace in drawn],
            "y": [[y for _, y in trace] for trace in drawn],
        },
        layout={"xaxis.title.text": title},
    )


def _result(run: RunToCompare, words: Sequence[str]) -> tuple[Cell, ...]:
    record, best = run.page.run, run.summary["best"] or {}
    device, metric = record.device, record.data.metric

    def score(split: str) -> str:
        value = best.get(f"{split}_{metric.key}_int8")
        return fmt.UNKNOWN if value is None else metric.text(value)

    texts = (
        best.get("space") or fmt.UNKNOWN,
        score("validation"),
        score("test"),
        *(fmt.time(best.get("latency_s") if word == device.basis.name else None) for word in words),
        fmt.kib(best.get("peak_ram_bytes")),
        fmt.kib(best.get("flash_bytes")),
        str(count_state(run.page.records, "completed")),
        fmt.duration(run.summary["seconds"]),
    )
    return tuple(Cell(text) for text in texts)


def _sizes(runs: Sequence[RunToCompare]) -> str:
    return " or ".join(dict.fromkeys(run.page.run.device.basis.sizes for run in runs))


def _facts(run: RunToCompare) -> Iterator[tuple[str, str]]:
    record, data = run.page.run, run.page.run.data
    for name, value in run.options.items():
        if name not in _SAID_ELSEWHERE:
            yield from _leaves(name, value)
    described = record.model_dump(mode="json", include={"device", "environment"})
    described["device"]["limits"] = {each.name: each.value for each in record.device.limits}
    del described["device"]["basis"]
    for name, value in described.items():
        yield from _leaves(name, value)
    yield from (
        ("data.task", data.task),
        ("data.source", data.source),
        ("data.fingerprint", data.fingerprint),
        *((f"data.{split.name}", str(split.samples)) for split in data.splits),
        ("data.split_seed", str(data.split_seed)),
    )
    if record.teacher is not None:
        yield ("teacher.what", record.teacher.description)
        if record.teacher.left_out is not None:
            yield ("teacher.left_out", record.teacher.left_out)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for part, inner in value.items():
            yield from _leaves(f"{name}.{part}", inner)
    elif value is not None:
        yield name, str(value)


def _short(value: str | None) -> str:
    if value is None:
        return fmt.UNKNOWN
    return value if len(value) <= _LONGEST_VALUE else f"{value[: _LONGEST_VALUE - 1]}…"
