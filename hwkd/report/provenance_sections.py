"""Sections about where the numbers come from: teacher, data, environment and how to repeat them."""

from __future__ import annotations

import shlex

from hwkd.core.pipeline_record import PipelineRecord, StepValue
from hwkd.core.printable import groups_text
from hwkd.core.run_record import DataRecord, RunRecord
from hwkd.io.discovery import output_kind
from hwkd.report import format as fmt
from hwkd.report.document import Block, Cell, Column, Facts, Note, Section, Table
from hwkd.report.latency import Latency
from hwkd.report.search_sections import limits_text

_FEW_CLASSES = 20


def data_section(run: RunRecord) -> Section:
    """Show the teacher, the data, its splits and what firmware must do to a raw input."""
    data = run.data
    facts = Facts(
        title="Data",
        rows=(
            ("task", data.task),
            ("source", data.source),
            ("input", fmt.shape(data.input_shape)),
            (data.kind, fmt.integer(len(data.class_names))),
            *(
                (f"{split.name} is of", groups_text(data.grouped_by, split.groups))
                for split in data.splits
                if split.groups
            ),
            ("seed of the splits", str(data.split_seed)),
            ("fingerprint, SHA-256", data.fingerprint),
            *pipeline_rows(data.pipeline),
        ),
    )
    blocks: list[Block] = [teacher_facts(run), facts]
    if data.notes:
        blocks.append(Note(lines=data.notes))
    blocks.append(_split_table(data))
    return Section(key="data", title="Teacher and data", blocks=tuple(blocks))


def teacher_facts(run: RunRecord) -> Facts:
    """State what the teacher is and how good."""
    teacher = run.teacher
    if teacher is None:
        return Facts(title="Teacher", rows=(("teacher", "none recorded"),))
    origin = f"{teacher.kind}, from the cache of an earlier run" if teacher.from_cache else None
    metric, scores = run.data.metric, teacher.scores
    test = (
        "not measured" if scores.test_float is None else fmt.score_text(metric, scores.test_float)
    )
    return Facts(
        title="Teacher",
        rows=(
            ("what", teacher.description),
            ("origin", origin or teacher.kind),
            (
                f"validation {metric.name}, measured",
                fmt.score_text(metric, scores.validation_float),
            ),
            (f"test {metric.name}, measured", test),
            *(
                (
                    f"{member.name}, shown {member.input}",
                    f"validation {metric.name} "
                    + fmt.score_text(metric, member.scores.validation_float),
                )
                for member in teacher.members
            ),
            *(("doubt", doubt) for doubt in teacher.doubts),
            ("time spent in this run", fmt.duration(teacher.seconds)),
            *((("SHA-256 of all its parts", teacher.identity),) if teacher.identity else ()),
        ),
    )


def pipeline_rows(pipeline: PipelineRecord) -> tuple[tuple[str, str], ...]:
    """State what firmware does to a raw input before the network."""
    rows = [("raw input", f"{pipeline.raw_dtype} in [{pipeline.raw_low:g}, {pipeline.raw_high:g}]")]
    for step in pipeline.steps:
        rows.append((step.kind, step.formula))
        rows += [(name, _numbers(value)) for name, value in step.values.items()]
    return tuple(rows)


def environment_section(run: RunRecord) -> Section:
    """Show device, objective, machine, versions, phases and the command."""
    blocks = (device_facts(run), _machine_facts(run), _phase_table(run), _package_table(run))
    return Section(key="environment", title="Environment", blocks=blocks)


def device_facts(run: RunRecord) -> Facts:
    """State the target, its limits and what was minimised."""
    device, goal = run.device, run.objective
    target = (
        "none, so the overrun is 0"
        if goal.target_latency_s is None
        else fmt.time(goal.target_latency_s)
    )
    unit = output_kind(run.data.kind).divergence_unit
    minimised = (
        f"{goal.alpha:g} × task error + {goal.beta:g} × KD ({unit}) + {goal.gamma:g} × overrun"
        if goal.mode == "weighted"
        else "error, latency, peak RAM and flash together (Pareto)"
    )
    return Facts(
        title="Device and objective",
        rows=(
            ("device", f"{device.name}: {device.core}, {fmt.frequency(device.clock_hz)}"),
            ("latencies are", Latency(device).source),
            ("hard limits", limits_text(run)),
            ("latency limit holds for", Latency(device).limited_end),
            ("minimised", minimised),
            ("target latency", target),
        ),
    )


def caveat_section(caveats: tuple[str, ...]) -> Section:
    """List everything to know before using a number."""
    lines = caveats or ("None was recorded.",)
    block = Note(lines=lines, is_warning=bool(caveats))
    return Section(key="caveats", title="Caveats", blocks=(block,))


def command_line(run: RunRecord) -> str:
    """Return the command as a shell would take it."""
    return shlex.join(run.command)


def _machine_facts(run: RunRecord) -> Facts:
    place = run.environment
    return Facts(
        title="Search",
        rows=(
            ("command", command_line(run)),
            ("started", run.created_at),
            ("status", run.status),
            ("seed", str(run.seed)),
            ("workers", str(run.workers)),
            ("processor", f"{place.cpu}, {place.cores} cores"),
            ("trained on", place.accelerator),
            ("system", place.platform),
        ),
    )


def _phase_table(run: RunRecord) -> Table:
    total = sum(run.phase_seconds.values())
    planned = run.planned_seconds
    rows = [
        (
            Cell(name),
            Cell(fmt.duration(seconds), seconds / total if total else None),
            Cell(fmt.duration(planned[name]) if name in planned else ""),
        )
        for name, seconds in run.phase_seconds.items()
    ]
    rows.append((Cell("total"), Cell(fmt.duration(total)), Cell("")))
    columns = (
        Column(title="phase"),
        Column(title="wall time", basis="measured", is_number=True),
        Column(title="share of the time limit", is_number=True),
    )
    shown = 3 if planned else 2
    return Table(
        title="Where the time went",
        columns=columns[:shown],
        rows=tuple(row[:shown] for row in rows),
    )


def _package_table(run: RunRecord) -> Table:
    own = {"hwkd": run.hwkd_version, "Python": run.environment.python}
    versions = own | dict(sorted(run.environment.packages.items()))
    return Table(
        title="Versions",
        columns=(Column(title="package"), Column(title="version")),
        rows=tuple((Cell(name), Cell(version)) for name, version in versions.items()),
    )


def _split_table(data: DataRecord) -> Table:
    counts = [split.class_counts for split in data.splits]
    rows = [
        (Cell(name), *(Cell(fmt.integer(split[index])) for split in counts))
        for index, name in enumerate(data.class_names)
        if all(counts)
    ]
    totals = (Cell("all"), *(Cell(fmt.integer(split.samples)) for split in data.splits))
    return Table(
        title="Examples per class and split" if rows else "Examples per split",
        columns=(
            Column(title="class"),
            *(Column(title=split.name, is_number=True) for split in data.splits),
        ),
        rows=(*rows, totals),
        marked=frozenset({len(rows)}),
        is_long=len(rows) > _FEW_CLASSES,
    )


def _numbers(values: StepValue) -> str:
    if isinstance(values, float | str):
        return values if isinstance(values, str) else f"{values:.6g}"
    return ", ".join(value if isinstance(value, str) else f"{value:.6g}" for value in values)
