"""Sections about the search: front, history, spaces, rejections and failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hwkd.core.choices import LimitName
from hwkd.core.pareto import FrontPoint
from hwkd.core.run_record import RunRecord
from hwkd.core.trial import TrialRecord, ViolationRecord
from hwkd.report import figures
from hwkd.report import format as fmt
from hwkd.report.analysis import (
    count_state,
    front_and_best,
    passes_made,
    rejections_by_limit,
    summarise_spaces,
)
from hwkd.report.document import Block, Cell, Column, Note, Section, Table
from hwkd.report.latency import Latency
from hwkd.report.pareto_figure import pareto_chart
from hwkd.report.prediction_figure import prediction_chart

# Half of the passes leave an error a tenth higher (`hwkd.engine.search.finalists`), which is more
# than lies between neighbours on most fronts.
_FAR_LESS = 0.5
_SAW_LESS = (
    " Passes are how often a training saw the train split; one marked short saw less than half as "
    "much as the longest, and would be better after as many."
)


def front_section(
    run: RunRecord,
    records: Sequence[TrialRecord],
    front: Sequence[FrontPoint],
    best: TrialRecord | None,
) -> Section:
    """Show the Pareto scatter and the front as a table."""
    chart = pareto_chart(run, records, front, best)
    table = front_table(run, front, records, best)
    empty = Note(lines=("No candidate has completed, so there is no front.",), is_warning=True)
    blocks: tuple[Block, ...] = (chart, table) if chart is not None else (empty,)
    return Section(key="front", title="Pareto front", blocks=blocks)


def front_table(
    run: RunRecord,
    front: Sequence[FrontPoint],
    records: Sequence[TrialRecord],
    best: TrialRecord | None = None,
) -> Table:
    """List the undominated trials and what ships, fastest first; the best one is marked."""
    on_front = {point.trial for point in front}
    listed = front_and_best(front, best)
    ships = None if run.final is None else run.final.trial
    by_number = {record.number: record for record in records}
    passes = [
        passes_made(run, by_number[point.trial]) if point.trial in by_number else None
        for point in listed
    ]
    most = max((count for count in passes if count is not None), default=0.0)
    rows = tuple(
        _row(
            f"*{point.trial}" if point.trial == ships else str(point.trial),
            point.space,
            f"{100 * point.error:.2f} %",
            *((_passes_text(count, most),) if most else ()),
            fmt.time(point.latency_s),
            fmt.kib(point.peak_ram_bytes),
            fmt.kib(point.flash_bytes),
        )
        for point, count in zip(listed, passes, strict=True)
    )
    saw_less = any(count is not None and count < _FAR_LESS * most for count in passes)
    return Table(
        title=f"Pareto front, {len(front)} of the trials",
        columns=(
            Column(title="trial", is_number=True),
            Column(title="space"),
            Column(title="validation error, int8", basis="measured", is_number=True),
            *((Column(title="passes", is_number=True),) if most else ()),
            Column(title="latency", basis=run.device.basis.name, is_number=True),
            Column(title="peak RAM", basis=run.device.basis.sizes, is_number=True),
            Column(title="flash", basis=run.device.basis.sizes, is_number=True),
        ),
        rows=rows,
        marked=frozenset(
            i for i, point in enumerate(listed) if best is not None and point.trial == best.number
        ),
        note=f"Latency: {Latency(run.device).source}. Errors are on the validation split, after "
        f"brief training.{_SAW_LESS if saw_less else ''}{_why_ships(run, best, on_front)}",
    )


def _why_ships(run: RunRecord, best: TrialRecord | None, on_front: set[int]) -> str:
    """Say why this trial ships, which may be neither on the front nor its lowest error."""
    final = run.final
    if final is None or best is None:
        return ""
    scores, metric = final.scores.validation_int8, run.data.metric
    reached = "" if scores is None else f" ({metric.name} {fmt.score_text(metric, scores)}, int8)"
    below = (
        ""
        if best.number in on_front
        else "; it is not on the front, since after brief training another was at least as good in "
        "everything listed"
    )
    return f" *{best.number} ships: {final.verdict.reason}{reached}{below}."


def _passes_text(count: float | None, most: float) -> str:
    """Return how often a candidate saw the train split, marked where that is far less."""
    if count is None:
        return "unknown"
    return f"{count:.3g} (short)" if count < _FAR_LESS * most else f"{count:.3g}"


def history_section(
    run: RunRecord, records: Sequence[TrialRecord], drawn: Sequence[TrialRecord]
) -> Section:
    """Show the objective and its terms over trials, and how well results were foreseen."""
    charts = (
        figures.history_chart(run, drawn),
        figures.terms_chart(drawn),
        prediction_chart(records, drawn),
    )
    blocks: tuple[Block, ...] = tuple(chart for chart in charts if chart is not None)
    none = Note(lines=("No candidate has completed yet.",))
    return Section(key="history", title="History", blocks=blocks or (none,))


def space_section(
    run: RunRecord,
    records: Sequence[TrialRecord],
    front: Sequence[FrontPoint],
    drawn: Sequence[TrialRecord],
) -> Section:
    """Compare the search spaces: numbers over all records, a chart of the drawn ones."""
    chart = figures.space_chart(drawn)
    blocks: list[Block] = [] if chart is None else [chart]
    blocks.append(_space_table(run, records, front))
    if run.feasibility:
        blocks.append(feasibility_table(run))
    return Section(key="space", title="Search spaces", blocks=tuple(blocks))


def feasibility_table(run: RunRecord) -> Table:
    """Say what share of each space fits before training, and which limit binds how often."""
    limits = [limit.name for limit in run.device.limits]
    rows = []
    for entry in run.feasibility:
        share = entry.feasible / entry.sampled if entry.sampled else 0.0
        cells = [Cell(entry.space), Cell(fmt.integer(entry.sampled))]
        cells.append(Cell(fmt.percent(share), share))
        for name in limits:
            over = entry.binding.get(name, 0) / entry.sampled if entry.sampled else 0.0
            cells.append(Cell(fmt.percent(over), over))
        rows.append(tuple(cells))
    over_columns = tuple(
        Column(title=f"over {fmt.limit_label(name)}", is_number=True) for name in limits
    )
    return Table(
        title="What fits, sampled before any training",
        columns=(
            Column(title="space"),
            Column(title="sampled", is_number=True),
            Column(title="over no limit", is_number=True),
            *over_columns,
        ),
        rows=tuple(rows),
        note="Shares of the sampled students. A student may exceed several limits. "
        + _left_out_text(run)
        + _unchecked_text(run)
        + limits_text(run),
    )


def _left_out_text(run: RunRecord) -> str:
    """Name the spaces that are not searched and the limit that most of their students exceed."""
    gone = [
        f"{entry.space} (over {fmt.limit_label(max(entry.binding, key=entry.binding.__getitem__))})"
        for entry in run.feasibility
        if entry.left_out and entry.binding
    ]
    return f"Left out, since nothing in it fits: {', '.join(gone)}. " if gone else ""


def _unchecked_text(run: RunRecord) -> str:
    """Name the limits that arithmetic could not check, and for how many students."""
    unknown: Counter[LimitName] = Counter()
    for entry in run.feasibility:
        unknown.update(entry.unknown)
    sampled = sum(entry.sampled for entry in run.feasibility)
    texts = [
        f"Latency is {run.device.basis.name} when a candidate is tried. "
        if name == "latency" and Latency(run.device).is_timed
        else f"The limit on {fmt.limit_label(name)} could not be checked for "
        f"{fmt.integer(count)} of {fmt.integer(sampled)}: what they need of it is not known, and "
        "none is rejected for that. "
        for name, count in unknown.items()
    ]
    return "".join(texts)


def limits_text(run: RunRecord) -> str:
    """Name every hard limit in force and where it came from."""
    if not run.device.limits:
        return "No hard limit was in force."
    texts = [
        f"{fmt.limit_label(limit.name)} {fmt.limit_value(limit.name, limit.value)} ({limit.origin})"
        for limit in run.device.limits
    ]
    return f"Limits: {', '.join(texts)}."


def rejection_section(records: Sequence[TrialRecord], drawn: Sequence[TrialRecord]) -> Section:
    """Say what was rejected before training: which limit, by how much; lists the drawn ones."""
    rejected = [record for record in records if record.state == "rejected"]
    if not rejected:
        note = Note(lines=("No candidate of the search was over a hard limit.",))
        return Section(key="rejected", title="Rejected", blocks=(note,))
    chart = figures.rejection_chart(drawn)
    blocks: list[Block] = [] if chart is None else [chart]
    listed = [record for record in drawn if record.state == "rejected"]
    blocks += [_limit_table(records), _rejected_table(listed, len(rejected))]
    return Section(key="rejected", title="Rejected", blocks=tuple(blocks))


def failure_section(records: Sequence[TrialRecord], drawn: Sequence[TrialRecord]) -> Section:
    """List failed trials with their reasons, and duplicates; of thousands, the drawn ones."""
    failed = [record for record in drawn if record.state == "failed"]
    repeated = [record for record in drawn if record.state == "duplicate"]
    blocks: list[Block] = []
    if failed:
        blocks.append(_reason_table("Failed trials", failed))
    else:
        count = count_state(records, "failed")
        line = f"{count:,} trials failed; trials.csv lists them." if count else "No trial failed."
        blocks.append(Note(lines=(line,)))
    if repeated:
        blocks.append(_reason_table("Repeats of an earlier trial, not trained again", repeated))
    return Section(key="failed", title="Failed and repeated", blocks=tuple(blocks))


def _space_table(
    run: RunRecord, records: Sequence[TrialRecord], front: Sequence[FrontPoint]
) -> Table:
    rows = tuple(
        _row(
            summary.space,
            str(sum(summary.trials.values())),
            str(summary.trials["completed"]),
            str(summary.trials["rejected"]),
            str(summary.trials["failed"]),
            str(summary.on_front),
            fmt.percent(summary.best_error, decimals=2),
            "–" if summary.best_trial is None else str(summary.best_trial),
            fmt.percent(summary.median_error, decimals=2),
            fmt.time(summary.fastest_s),
        )
        for summary in summarise_spaces(records, front)
    )
    counted = ("trials", "completed", "rejected", "failed", "on the front")
    return Table(
        title="How the spaces did",
        columns=(
            Column(title="space"),
            *(Column(title=title, is_number=True) for title in counted),
            Column(title="lowest error", basis="measured", is_number=True),
            Column(title="by trial", is_number=True),
            Column(title="median error", basis="measured", is_number=True),
            Column(title="lowest latency", basis=run.device.basis.name, is_number=True),
        ),
        rows=rows,
        note=f"Latency: {Latency(run.device).source}.",
    )


def _limit_table(records: Sequence[TrialRecord]) -> Table:
    columns = ("allowed", "over it", "over it alone", "least over", "median over", "most over")
    rows = tuple(
        _row(
            fmt.limit_label(row.limit_name),
            fmt.limit_value(row.limit_name, row.limit),
            str(row.exceeded),
            str(row.alone),
            fmt.signed_percent(row.nearest_ratio),
            fmt.signed_percent(row.median_ratio),
            fmt.signed_percent(row.largest_ratio),
        )
        for row in rejections_by_limit(records)
    )
    return Table(
        title="Which limit rejects",
        columns=(
            Column(title="limit"),
            *(Column(title=title, is_number=True) for title in columns),
        ),
        rows=rows,
    )


def _rejected_table(rejected: Sequence[TrialRecord], count: int) -> Table:
    rows = tuple(
        _row(
            str(record.number),
            record.spec.space if record.spec is not None else "–",
            "; ".join(_violation_text(violation) for violation in record.violations)
            or (record.reason or "–"),
        )
        for record in rejected
    )
    columns = (Column(title="trial", is_number=True), Column(title="space"), Column(title="why"))
    share = "All" if len(rejected) == count else f"{len(rejected):,} of"
    return Table(title=f"{share} {count} rejected trials", columns=columns, rows=rows, is_long=True)


def _violation_text(violation: ViolationRecord) -> str:
    name = violation.limit_name
    return (
        f"{fmt.limit_label(name)} {fmt.limit_value(name, violation.needed)}, "
        f"{fmt.signed_percent(violation.excess_ratio)} over "
        f"{fmt.limit_value(name, violation.limit)}"
    )


def _reason_table(title: str, records: Sequence[TrialRecord]) -> Table:
    rows = tuple(
        _row(
            str(record.number),
            record.spec.space if record.spec is not None else "–",
            record.reason or "no reason recorded",
            str(record.seed),
            fmt.duration(record.duration_s),
        )
        for record in records
    )
    return Table(
        title=title,
        columns=(
            Column(title="trial", is_number=True),
            Column(title="space"),
            Column(title="reason"),
            Column(title="seed", is_number=True),
            Column(title="after", is_number=True),
        ),
        rows=rows,
    )


def _row(*texts: str) -> tuple[Cell, ...]:
    return tuple(Cell(text) for text in texts)
