"""The best student: accuracy, estimated cost layer by layer and, apart, what was measured."""

from __future__ import annotations

from statistics import mean

from hwkd.core.run_files import (
    ControlRecord,
    DeviceRecord,
    FinalRecord,
    LayerRecord,
    LimitRecord,
    RunRecord,
)
from hwkd.core.trial import CostRecord, ProfileRecord, TrialRecord
from hwkd.report import format as fmt
from hwkd.report.axes import latency_source
from hwkd.report.document import Block, Cell, Column, Facts, Note, Section, Table
from hwkd.report.student_figures import memory_chart, operator_chart, training_chart

__all__ = [
    "accuracy_table",
    "cost_facts",
    "cost_table",
    "fit_table",
    "host_section",
    "latency_interval",
    "student_section",
]


def student_section(run: RunRecord, best: TrialRecord | None) -> Section:
    """Show accuracy, choices, limits and the estimated cost per operator of the best student."""
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
    blocks.append(accuracy_table(run, best))
    cost = run.final.cost if run.final is not None else best.cost
    if cost is not None:
        blocks += [fit_table(cost, run.device), cost_facts(cost)]
        charts = (operator_chart(cost, run.device), memory_chart(cost, run.device))
        blocks += [chart for chart in charts if chart is not None]
        layers = run.final.layers if run.final is not None else ()
        blocks.append(cost_table(cost, run.device, layers))
    blocks.append(_choices(best))
    training = training_chart(best.epochs, trial=best.number)
    if training is not None:
        blocks.append(training)
    return Section(key="student", title=title, blocks=tuple(blocks))


def host_section(run: RunRecord, best: TrialRecord | None) -> Section:
    """Show what ONNX Runtime measured on the machine that searched; never beside an estimate."""
    title = "Measured times"
    final = run.final
    profile = (final.profile if final is not None else None) or (best.profile if best else None)
    if profile is None:
        note = Note(lines=("The best student was not profiled on this machine.",))
        return Section(key="host", title=title, blocks=(note,))
    is_final = final is not None and final.profile is not None
    what = "of the fully trained int8 file" if is_final else "of the trial's int8 file"
    line = (
        "These are times of ONNX Runtime on this machine's processor. They say nothing about the "
        f"time on {run.device.name}."
        if run.device.latency_basis == "estimated"
        else "The device of this search is this machine, so these times are what it was judged by."
    )
    limit = run.device.limit("latency") if run.device.latency_basis == "measured" else None
    blocks: tuple[Block, ...] = (Note(lines=(line,)), _profile_facts(profile, what, limit))
    if profile.per_op:
        blocks = (*blocks, _share_table(profile))
    return Section(key="host", title=title, blocks=blocks)


def accuracy_table(run: RunRecord, best: TrialRecord) -> Table:
    """List accuracies: the trial's on validation, the final one's on test, controls beside."""
    rows: list[tuple[Cell, ...]] = []
    if run.final is not None:
        rows += _final_rows(run.final)
    if best.accuracy is not None:
        what = f"trial {best.number}, brief training"
        rows.append(_accuracy_row(what, "float32", "validation", best.accuracy.validation_float))
        rows.append(_accuracy_row(what, "int8", "validation", best.accuracy.validation_int8))
    if run.teacher is not None:
        teacher = run.teacher
        rows.append(_accuracy_row("teacher", "float32", "validation", teacher.validation_accuracy))
        if teacher.test_accuracy is not None:
            rows.append(_accuracy_row("teacher", "float32", "test", teacher.test_accuracy))
    return Table(
        title="Accuracy",
        columns=(
            Column(title="network"),
            Column(title="numbers"),
            Column(title="split"),
            Column(title="accuracy", basis="measured", is_number=True),
            Column(title="trainings", is_number=True),
            Column(title="lowest to highest", basis="measured", is_number=True),
        ),
        rows=tuple(rows),
        marked=frozenset({1} if run.final is not None else ()),
        note="The test split was read once, after the search." if run.final is not None else "",
    )


def fit_table(cost: CostRecord, device: DeviceRecord) -> Table:
    """Compare the estimate with every hard limit in force."""
    needs = {
        "latency": {
            "upper": cost.latency_high_s,
            "expected": cost.latency_s,
            "lower": cost.latency_low_s,
        }[device.latency_risk],
        "ram": cost.peak_ram_bytes,
        "flash": cost.flash_bytes,
        "weights": cost.weight_bytes,
        "energy": cost.energy_j,
    }
    ends = {"upper": "upper end", "expected": "most likely value", "lower": "lower end"}
    rows = []
    is_measured = device.latency_basis == "measured"
    for limit in device.limits:
        if limit.name == "latency" and is_measured:
            continue
        need = needs[limit.name]
        label = fmt.limit_label(limit.name)
        if limit.name == "latency":
            label = f"{label}, {ends[device.latency_risk]}"
        if need is None:
            shown, verdict = (Cell("unknown"), Cell("unknown")), "not checked"
        else:
            share = need / limit.value
            shown = (Cell(fmt.limit_value(limit.name, need)), Cell(fmt.percent(share), share))
            verdict = "fits" if share <= 1 else f"{fmt.signed_percent(share - 1)} over"
        allowed = f"{fmt.limit_value(limit.name, limit.value)} ({limit.origin})"
        rows.append((Cell(label), shown[0], Cell(allowed), shown[1], Cell(verdict)))
    return Table(
        title="Against the hard limits",
        columns=(
            Column(title="limit"),
            Column(title="needs", basis="estimated", is_number=True),
            Column(title="may have", is_number=True),
            Column(title="used", basis="estimated", is_number=True),
            Column(title="verdict"),
        ),
        rows=tuple(rows),
        note="Latency is measured, not estimated: see the next section." if is_measured else "",
    )


def cost_facts(cost: CostRecord) -> Facts:
    """State the totals of an estimate, each with what it is for."""
    rows = [
        ("estimated for", f"{cost.device}, {cost.runtime}, {cost.dtype}"),
        ("clock", fmt.frequency(cost.clock_hz)),
        ("latency, estimated", latency_interval(cost)),
        ("peak RAM, estimated", fmt.kib(cost.peak_ram_bytes)),
        (
            "flash, estimated",
            f"{fmt.kib(cost.flash_bytes)}, of which weights {fmt.kib(cost.weight_bytes)}",
        ),
        (
            "energy, estimated",
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


def latency_interval(cost: CostRecord) -> str:
    """Return the estimated latency with its 90% interval and basis."""
    if cost.latency_s is None:
        return "none: this device is measured and not predicted"
    text = f"{'at least ' if cost.unsupported_ops else ''}{fmt.time(cost.latency_s)}"
    if cost.latency_low_s is not None and cost.latency_high_s is not None:
        low, high = fmt.time(cost.latency_low_s), fmt.time(cost.latency_high_s)
        text = f"{text}, 90 % interval {low} to {high}"
    return f"{text} ({cost.latency_basis})" if cost.latency_basis else text


def cost_table(
    cost: CostRecord, device: DeviceRecord, layers: tuple[LayerRecord, ...] = ()
) -> Table:
    """List every operator with its estimated latency, RAM and flash, in execution order."""
    layer_of = {layer.name: layer for layer in layers}
    largest_s = max((op.latency_s or 0.0 for op in cost.per_op), default=0.0)
    largest_ram = max((op.ram_bytes for op in cost.per_op), default=0)
    rows = []
    for op in cost.per_op:
        layer = layer_of.get(op.name)
        if op.fused_into is not None:
            time = Cell(f"in {op.fused_into}")
        elif op.latency_s is None:
            time = Cell("no cost known")
        else:
            time = Cell(fmt.time(op.latency_s), op.latency_s / largest_s if largest_s else None)
        rows.append(
            (
                Cell(op.name),
                Cell(op.kind),
                Cell("" if layer is None else fmt.shape(layer.shape)),
                Cell("" if layer is None else _window(layer)),
                Cell(fmt.integer(op.macs)),
                time,
                Cell(fmt.kib(op.ram_bytes), op.ram_bytes / largest_ram if largest_ram else None),
                Cell(fmt.kib(op.flash_bytes)),
            )
        )
    return Table(
        title="Operators of the best student, in execution order",
        columns=(
            Column(title="operator"),
            Column(title="kind"),
            Column(title="output"),
            Column(title="window"),
            Column(title="MACs", is_number=True),
            Column(title="latency", basis="estimated", is_number=True),
            Column(title="RAM in use", basis="estimated", is_number=True),
            Column(title="flash", basis="estimated", is_number=True),
        ),
        rows=tuple(rows),
        note=f"Estimates for {cost.runtime} at {fmt.frequency(cost.clock_hz)}."
        if cost.latency_s is not None
        else f"Latency: {latency_source(device)}; see the next section.",
        is_long=len(rows) > 30,
    )


def _window(layer: LayerRecord) -> str:
    if layer.kind not in {"conv", "avg_pool", "max_pool"}:
        return ""
    text = f"{layer.kernel[0]}×{layer.kernel[1]}"
    if layer.stride != (1, 1):
        text = f"{text} /{layer.stride[0]}"
        if layer.stride[1] != layer.stride[0]:
            text = f"{text}×{layer.stride[1]}"
    return f"{text}, {layer.groups} groups" if layer.groups > 1 else text


def _final_rows(final: FinalRecord) -> list[tuple[Cell, ...]]:
    what = f"this student, {final.epochs} epochs"
    rows = [
        _accuracy_row(what, "float32", "test", final.test_accuracy_float),
        _accuracy_row(what, "int8", "test", final.test_accuracy_int8),
        _accuracy_row(what, "int8", "validation", final.validation_accuracy_int8),
    ]
    return rows + [_control_row(control) for control in final.controls]


def _control_row(control: ControlRecord) -> tuple[Cell, ...]:
    values = control.test_accuracies
    span = f"{fmt.percent(min(values), decimals=2)} to {fmt.percent(max(values), decimals=2)}"
    return (
        Cell(f"control: {control.name}"),
        Cell(control.dtype),
        Cell("test"),
        Cell(fmt.percent(mean(values), decimals=2)),
        Cell(str(len(values))),
        Cell(span if len(values) > 1 else ""),
    )


def _accuracy_row(what: str, dtype: str, split: str, accuracy: float) -> tuple[Cell, ...]:
    shown = Cell(fmt.percent(accuracy, decimals=2))
    return (Cell(what), Cell(dtype), Cell(split), shown, Cell("1"), Cell(""))


def _choices(best: TrialRecord) -> Facts:
    spec = best.spec
    if spec is None:
        return Facts(title="Choices", rows=())
    rows = [("space", spec.space), ("key", spec.key)]
    rows += [(name, str(value)) for name, value in spec.params.items()]
    return Facts(title="Choices that name this student", rows=tuple(rows))


def _profile_facts(profile: ProfileRecord, what: str, limit: LimitRecord | None) -> Facts:
    limited: tuple[tuple[str, str], ...] = ()
    if limit is not None:
        verdict = "fits" if profile.median_s <= limit.value else "does not fit"
        limited = (("limit", f"{fmt.time(limit.value)} ({limit.origin}): the median {verdict}"),)
    return Facts(
        title=f"One inference {what}",
        rows=(
            *limited,
            ("median, measured", fmt.time(profile.median_s)),
            ("90th percentile, measured", fmt.time(profile.p90_s)),
            ("interquartile range, measured", fmt.time(profile.spread_s)),
            ("runs", f"{profile.runs} timed after {profile.warmup_runs} warm-up runs, batch 1"),
            ("threads", str(profile.threads)),
            ("runtime", f"ONNX Runtime {profile.runtime_version}, {profile.provider}"),
            ("processor", profile.host),
            ("file", f"{fmt.kib(profile.file_bytes)}, SHA-256 {profile.file_sha256}"),
        ),
    )


def _share_table(profile: ProfileRecord) -> Table:
    rows = tuple(
        (
            Cell(share.name),
            Cell(share.kind),
            Cell(fmt.time(share.mean_s)),
            Cell(fmt.percent(share.share_ratio), share.share_ratio),
        )
        for share in profile.per_op
    )
    return Table(
        title="Time by operator as it ran on this machine",
        columns=(
            Column(title="operator"),
            Column(title="kind"),
            Column(title="mean time", basis="measured", is_number=True),
            Column(title="share", basis="measured", is_number=True),
        ),
        rows=rows,
        note="Taken with the runtime's profiler on, which costs time itself: use the shares, and "
        "the median above for the total.",
        is_long=len(rows) > 30,
    )
