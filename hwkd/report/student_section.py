"""The best student: scores, and the estimated cost layer by layer."""

from __future__ import annotations

import math
from statistics import mean

import numpy as np

from hwkd.core.final_record import FinalRecord
from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.limits import LimitFit
from hwkd.core.measure import CostEstimate, OpCost
from hwkd.core.metric import Metric, Scores
from hwkd.core.pipeline_record import PipelineRecord
from hwkd.core.run_record import DeviceRecord, RunRecord
from hwkd.core.student import Layer
from hwkd.core.trial import TrialRecord
from hwkd.core.verdict_record import ArmRecord
from hwkd.report import format as fmt
from hwkd.report.analysis import intervals_on_test
from hwkd.report.answer_tables import answer_tables
from hwkd.report.document import Block, Cell, Column, Facts, Note, Section, Table
from hwkd.report.exit_table import exit_tables
from hwkd.report.ladder_tables import ladder_tables
from hwkd.report.latency import Latency
from hwkd.report.quantisation_table import quantisation_table
from hwkd.report.student_figures import (
    memory_chart,
    operator_chart,
    trade_off_chart,
    training_charts,
)
from hwkd.report.teaching_tables import teaching_tables
from hwkd.report.verdict_section import pair_tables

_ROWS_UNFOLDED = 30
_TEST_NOTE = {
    "search": "The test split was read once, after the search.",
    "distill": "The test split chose nothing.",
}


def student_section(run: RunRecord, best: TrialRecord | None) -> Section:
    """Show scores, choices, limits and the estimated cost per operator of the best student."""
    title = "Best student"
    if best is None:
        note = Note(lines=("There is no best student: no candidate has completed.",))
        return Section(key="student", title=title, blocks=(note,))
    blocks: list[Block] = []
    if run.final is None:
        line = (
            f"Trial {best.number} is the best so far. It was trained briefly and never saw the "
            "test split; numbers below are from the trial."
        )
        blocks.append(Note(lines=(line,), is_warning=True))
    else:
        blocks.append(Note(lines=run.final.verdict.sentences))
    blocks.append(score_table(run, best))
    if run.final is not None:
        blocks += answer_tables(run.final, run.data, intervals_on_test(run))
        if run.final.decision is not None and run.final.decision.curve:
            blocks.append(trade_off_chart(run.final.decision))
        blocks += pair_tables(run.final)
        blocks += teaching_tables(run.final.teaching)
        blocks += ladder_tables(run)
        blocks += exit_tables(run.final.exits)
    if run.final is not None and run.final.quantisation_choice is not None:
        blocks.append(
            quantisation_table(
                run.final.quantisation_choice, learns_all=run.final.all_examples is not None
            )
        )
    cost = run.cost_of(best)
    if cost is not None:
        blocks += [fit_table(cost, run.device), cost_facts(cost, run.device, run.data.pipeline)]
        charts = (operator_chart(cost, run.device), memory_chart(cost, run.device))
        blocks += [chart for chart in charts if chart is not None]
        layers = run.final.network.layers if run.final is not None else ()
        blocks.append(cost_table(cost, run.device, layers))
    blocks.append(_choices(best))
    if run.final is not None:
        what = f"the final training, {_passes(run.final.epochs)}"
        blocks += training_charts(run.final.history, key="full", what=what)
    what = f"the brief training of trial {best.number}"
    blocks += training_charts(best.epochs, key="brief", what=what)
    return Section(key="student", title=title, blocks=tuple(blocks))


def score_table(run: RunRecord, best: TrialRecord) -> Table:
    """List scores: the trial's on validation, the final one's on test, controls beside."""
    rows: list[tuple[Cell, ...]] = []
    if run.final is not None:
        rows += _final_rows(run.final, run.data.metric)
    metric = run.data.metric
    if best.scores is not None:
        what = f"trial {best.number}, brief training"
        rows.append(_row(metric, what, "float32", "validation", best.scores.validation_float))
        rows.append(_row(metric, what, "int8", "validation", best.scores.validation_int8))
    if run.teacher is not None:
        teacher = run.teacher
        rows.append(
            _row(metric, "teacher", "float32", "validation", teacher.scores.validation_float)
        )
        if teacher.scores.test_float is not None:
            rows.append(_row(metric, "teacher", "float32", "test", teacher.scores.test_float))
    return Table(
        title=fmt.heading(metric.name),
        columns=(
            Column(title="network"),
            Column(title="numbers"),
            Column(title="split"),
            Column(title=metric.name, basis="measured", is_number=True),
            Column(title="trainings", is_number=True),
            Column(title="lowest to highest", basis="measured", is_number=True),
        ),
        rows=tuple(rows),
        marked=frozenset({1} if run.final is not None else ()),
        note=_TEST_NOTE[run.made_by] if run.final is not None else "",
    )


def fit_table(cost: CostEstimate, device: DeviceRecord) -> Table:
    """Compare an estimate with every hard limit in force; a latency that was timed is not in it."""
    latency, sizes = Latency(device), device.basis.sizes
    # A latency and a size that came about differently share no heading: rows say it then.
    is_one = latency.word_of_parts == sizes
    rows = tuple(
        _fit_row(entry, device, "" if is_one else _word(entry, device))
        for entry in device.fit(cost).limits
        if not (entry.name == "latency" and latency.is_timed)
    )
    basis = sizes if is_one else None
    # The C that ships takes other amounts, which stand beside these where they are known.
    notes = [f"RAM and flash are {sizes} for {cost.runtime}, its own code included."]
    if latency.is_timed:
        notes.append(f"Latency is {latency.word}, not {sizes}: see the next section.")
    return Table(
        title="Against the hard limits",
        columns=(
            Column(title="limit"),
            Column(title="needs", basis=basis, is_number=True),
            Column(title="may have", is_number=True),
            Column(title="used", basis=basis, is_number=True),
            Column(title="verdict"),
        ),
        rows=rows,
        note=" ".join(notes),
    )


def _word(entry: LimitFit, device: DeviceRecord) -> str:
    return f" ({Latency(device).word if entry.name == 'latency' else device.basis.sizes})"


def cost_facts(cost: CostEstimate, device: DeviceRecord, pipeline: PipelineRecord) -> Facts:
    """State the totals of an estimate, each with what it is for.

    Args:
        pipeline: from raw inputs, which lie beside the network until they are prepared.
    """
    sizes, latency = device.basis.sizes, Latency(device)
    rows = [
        (f"{sizes} for", f"{cost.device}, {cost.runtime}, {cost.dtype}"),
        ("clock", fmt.frequency(cost.clock_hz)),
        (f"latency, {latency.word_of_parts}", latency.of_estimate(cost)),
        (f"peak RAM, {sizes}", fmt.kib(cost.peak_ram_bytes)),
        ("RAM beside it, counted", _beside(pipeline)),
        (
            f"flash, {sizes}",
            f"{fmt.kib(cost.flash_bytes)}, of which weights {fmt.kib(cost.weight_bytes)}",
        ),
        (
            f"energy, {sizes}",
            "unknown: no published power covers this device"
            if cost.energy_j is None
            else f"{fmt.energy(cost.energy_j)} per inference",
        ),
        ("MACs, counted", fmt.integer(cost.macs)),
        ("parameters, counted", fmt.integer(cost.params)),
    ]
    if cost.unsupported_ops:
        missing = ", ".join(f"{kind} ({n})" for kind, n in sorted(cost.unsupported_ops.items()))
        rows.append(("operators without a cost", f"{missing}; latency is a lower bound"))
    return Facts(title="Totals", rows=tuple(rows))


def _beside(pipeline: PipelineRecord) -> str:
    """Return what the firmware holds of raw values, which no estimate of a network counts."""
    count, dtype = math.prod(pipeline.raw_shape), np.dtype(pipeline.raw_dtype)
    size = fmt.kib(count * dtype.itemsize)
    return f"{size} of a raw input ({count:,} {dtype}) that the firmware holds"


def cost_table(cost: CostEstimate, device: DeviceRecord, layers: tuple[Layer, ...] = ()) -> Table:
    """List every operator with its estimated latency, RAM and flash, in execution order."""
    latency, sizes = Latency(device), device.basis.sizes
    layer_of = {layer.name: layer for layer in layers}
    largest_s = max((op.latency_s or 0.0 for op in cost.per_op), default=0.0)
    largest_ram = max((op.ram_bytes for op in cost.per_op), default=0)
    return Table(
        title="Operators of the best student, in execution order",
        columns=(
            Column(title="operator"),
            Column(title="kind"),
            Column(title="output"),
            Column(title="window"),
            Column(title="MACs", is_number=True),
            Column(title="latency", basis=latency.word_of_parts, is_number=True),
            Column(title="RAM in use", basis=sizes, is_number=True),
            Column(title="flash", basis=sizes, is_number=True),
        ),
        rows=tuple(
            _operator_row(
                op,
                layer_of.get(op.name),
                largest_s,
                largest_ram,
                has_flash=device.basis.has_op_flash,
            )
            for op in cost.per_op
        ),
        note=f"Estimates for {cost.runtime} at {fmt.frequency(cost.clock_hz)}."
        if cost.latency_s is not None
        else f"Latency: {latency.source}; see the next section.",
        is_long=len(cost.per_op) > _ROWS_UNFOLDED,
    )


def _operator_row(
    op: OpCost,
    layer: Layer | None,
    largest_s: float,
    largest_ram_bytes: int,
    *,
    has_flash: bool,
) -> tuple[Cell, ...]:
    if op.fused_into is not None:
        time = Cell(f"in {op.fused_into}" if op.fused_into else "no work")
    elif op.latency_s is None:
        time = Cell("no cost known")
    else:
        time = Cell(fmt.time(op.latency_s), op.latency_s / largest_s if largest_s else None)
    ram_share = op.ram_bytes / largest_ram_bytes if largest_ram_bytes else None
    return (
        Cell(op.name),
        Cell(op.kind),
        Cell("" if layer is None else fmt.shape(layer.shape)),
        Cell("" if layer is None else _window(layer)),
        Cell(fmt.integer(op.macs)),
        time,
        Cell(fmt.kib(op.ram_bytes), ram_share),
        Cell(fmt.kib(op.flash_bytes) if has_flash else "unknown"),
    )


def _fit_row(entry: LimitFit, device: DeviceRecord, word: str) -> tuple[Cell, ...]:
    label = fmt.limit_label(entry.name)
    if entry.name == "latency":
        label = f"{label}, {Latency(device).limited_end}"
    limit, share = device.limit(entry.name), entry.used_ratio
    origin = "" if limit is None else f" ({limit.origin})"
    return (
        Cell(label),
        Cell(f"{fmt.needed_text(entry)}{word}"),
        Cell(f"{fmt.limit_value(entry.name, entry.limit)}{origin}"),
        Cell("unknown" if share is None else fmt.percent(share), share),
        Cell(fmt.fit_text(entry)),
    )


def _window(layer: Layer) -> str:
    if layer.kind not in LAYER_KINDS or not LAYER_KINDS.get(layer.kind).is_window:
        return ""
    text = f"{layer.kernel[0]}×{layer.kernel[1]}"
    if layer.stride != (1, 1):
        text = f"{text} /{layer.stride[0]}"
        if layer.stride[1] != layer.stride[0]:
            text = f"{text}×{layer.stride[1]}"
    return f"{text}, {layer.groups} groups" if layer.groups > 1 else text


def _final_rows(final: FinalRecord, metric: Metric) -> list[tuple[Cell, ...]]:
    what = f"this student, {final.verdict.ships}, {_passes(final.epochs)}"
    rows = [
        _row(metric, what, "float32", "test", final.scores.test_float),
        _row(metric, what, "int8", "test", final.scores.test_int8),
        _row(metric, _judged(final, what), "int8", "validation", final.scores.validation_int8),
    ]
    verdict = final.verdict
    return rows + [
        _arm_row(metric, arm)
        for arm in verdict.arms
        # A single training of what ships is the one above.
        if not (arm.name == verdict.ships and verdict.weights == "full" and len(arm.scores) == 1)
    ]


def _judged(final: FinalRecord, what: str) -> str:
    """Return which weights the score on validation is of: those that ship may have learned it."""
    if final.all_examples is None:
        return what
    known = "" if final.epochs_judged is None else f", {_passes(final.epochs_judged)}"
    return f"before it learned the validation examples, {final.verdict.ships}{known}"


def _passes(epochs: int) -> str:
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def _arm_row(metric: Metric, arm: ArmRecord) -> tuple[Cell, ...]:
    values = arm.test_int8
    span = f"{metric.text(min(values))} to {metric.text(max(values))}"
    return (
        Cell(f"compared: same student, {arm.name}"),
        Cell("int8"),
        Cell("test"),
        Cell(metric.text(mean(values))),
        Cell(str(len(values))),
        Cell(span if len(values) > 1 else ""),
    )


def _row(
    metric: Metric, what: str, dtype: str, split: str, scores: Scores | None
) -> tuple[Cell, ...]:
    shown = Cell(fmt.score_text(metric, scores))
    return (Cell(what), Cell(dtype), Cell(split), shown, Cell("1"), Cell(""))


def _choices(best: TrialRecord) -> Facts:
    spec = best.spec
    if spec is None:
        return Facts(title="Choices", rows=())
    rows = [("space", spec.space), ("key", spec.key)]
    rows += [] if spec.features is None else [("features", spec.features)]
    rows += [(name, str(value)) for name, value in spec.params.items()]
    return Facts(title="Choices that name this student", rows=tuple(rows))
