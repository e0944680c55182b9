"""Shows a `ModelProfile` in the terminal: a row for each layer, then totals against the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from hwkd.cli.console import output_console
from hwkd.core.limits import LIMIT_FIELDS
from hwkd.core.printable import printable
from hwkd.report import format as show
from hwkd.report.wrapped_table import WrappedTable

if TYPE_CHECKING:
    from hwkd.api.profile_data import ModelProfile
    from hwkd.core.choices import LimitName
    from hwkd.core.limits import LimitFit
    from hwkd.core.measure import CostEstimate
    from hwkd.core.memory_stage import MemoryStage
    from hwkd.cost.energy import EnergyBand
    from hwkd.cost.on_device_training import TrainingCost

_BAR_CELLS = 30
# A shorter bar says nothing; names get the room.
_FEWEST_CELLS = 6
_NAME_CELLS = 28
_KIND_CELLS = 24
_PEAK = " ◀ peak"


def print_profile(found: ModelProfile) -> None:
    """Print the table of layers, the peak, the totals and what to be careful about."""
    console = output_console()
    cost = found.cost
    clock = f" at {show.frequency(cost.clock_hz)}" if cost.clock_hz else ""
    console.print(
        Text.assemble(
            (printable(found.model), "bold"), " on ", (cost.device, "bold"),
            f"{clock}, {cost.runtime}, {cost.dtype}",
        )
    )  # fmt: skip
    for item in found.inputs:
        console.print(Text(printable(item.says)))
    table = _layers(found, console.width)
    console.print(table)
    if table.columns[-1].header:
        console.print(
            "memory over time: [blue]█[/blue] read and written now  [yellow]▒[/yellow] kept for "
            "later  [magenta]░[/magenta] scratch  [dim]·[/dim] the runtime's own",
            highlight=False,
        )
    for line in _peak_lines(found):
        console.print(Text(printable(line)))
    console.print(_totals(found))
    if found.training is not None:
        console.print(_training(found.training))
    for line in _cautions(found):
        console.print(Text.assemble(("note: ", "yellow"), printable(line)))


def _layers(found: ModelProfile, width: int) -> WrappedTable:
    """Return a row for each layer; names and numbers are whole where there is room, bars shrink."""
    rows = _rows(found)
    measured = "measured" if found.measured is not None else "latency"
    heads = ("layer", "op", "MACs", measured, "flash", "RAM")
    texts = [heads, *(texts for texts, _ in rows)]
    needs = [max(len(row[i]) for row in texts) for i in range(len(heads))]
    names = min(needs[0], _NAME_CELLS) + min(needs[1], _KIND_CELLS)
    left = width - sum(needs[2:]) - names - len(heads) - len(_PEAK)
    cells = min(left, _BAR_CELLS) if left >= _FEWEST_CELLS else 0
    table = WrappedTable(box=None, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("layer")
    table.add_column("op")
    for head, need in zip(heads[2:], needs[2:], strict=True):
        table.add_column(head, justify="right", no_wrap=True, min_width=need)
    table.add_column("memory" if cells else "", no_wrap=True)
    peak = max((stage.total_bytes for _, stage in rows), default=0)
    mark = _PEAK if cells else _PEAK.strip()[0]
    for row, stage in rows:
        is_peak = stage.total_bytes == peak
        table.add_row(
            *(Text(text) for text in row),
            _bar(stage, peak, cells) + Text(mark if is_peak else "", style="bold"),
            style="bold" if is_peak else "",
        )
    return table


def _rows(found: ModelProfile) -> list[tuple[tuple[str, ...], MemoryStage]]:
    stages = {stage.op: stage for stage in found.stages}
    latency = found.op_latency_s()
    absorbed: dict[str, list[str]] = {}
    for op in found.cost.per_op:
        if op.fused_into:
            absorbed.setdefault(op.fused_into, []).append(op.kind)
    rows: list[tuple[tuple[str, ...], MemoryStage]] = []
    unknown = "?" if found.measured is None else "–"
    for op in found.cost.per_op:
        stage = stages.get(op.name)
        if stage is None:
            continue
        seconds = latency[op.name]
        texts = (
            printable(op.name),
            printable("+".join([op.kind, *absorbed.get(op.name, ())])),
            show.count(op.macs) if op.macs else "",
            unknown if seconds is None else show.time(seconds),
            show.kib(op.flash_bytes) if op.flash_bytes else "",
            show.kib(stage.total_bytes),
        )
        rows.append((texts, stage))
    return rows


def _bar(stage: MemoryStage, peak: int, cells: int) -> Text:
    """Return a bar whose parts are proportional to what lies in RAM."""
    parts = (
        (stage.used_bytes, "█", "blue"),
        (stage.held_bytes, "▒", "yellow"),
        (stage.scratch_bytes, "░", "magenta"),
        (stage.overhead_bytes, "·", "dim"),
    )
    bar, drawn, total = Text(), 0, 0
    for size, cell, style in parts:
        total += size
        # Cells are counted from the sum, so that rounding never makes a bar longer than its total.
        until = round(cells * total / peak)
        bar.append(cell * (until - drawn), style=style)
        drawn = until
    return bar


def _peak_lines(found: ModelProfile) -> list[str]:
    if not found.stages:
        return ["nothing runs: every operator only renames a tensor or says how it is stored"]
    stage = max(found.stages, key=lambda stage: stage.total_bytes)
    waiting = f", {show.kib(stage.held_bytes)} waiting ({stage.held_text})" if stage.held else ""
    scratch = f", {show.kib(stage.scratch_bytes)} scratch" if stage.scratch_bytes else ""
    lines = [
        f"most RAM is needed by {stage.op} ({stage.kind}): "
        f"{show.kib(stage.used_bytes)} read and written"
        f"{waiting}{scratch}, {show.kib(stage.overhead_bytes)} for the runtime"
    ]
    gaps = found.cost.peak_ram_bytes - stage.total_bytes - found.ram_parts["feature_bytes"]
    if gaps > 0:
        lines.append(f"peak RAM is {show.kib(gaps)} above that: gaps that the planner leaves")
    order = found.order
    if order is not None and order.peak_bytes < 0.99 * order.given_peak_bytes:
        lines.append(
            f"another order of the operators would need {show.kib(order.peak_bytes)} of tensors "
            f"at its worst moment instead of {show.kib(order.given_peak_bytes)}"
        )
    return lines


def _totals(found: ModelProfile) -> WrappedTable:
    cost, basis, fit = found.cost, found.basis, found.fit
    parts = found.flash_parts
    weights, code = show.kib(cost.weight_bytes), parts["code_bytes"]
    rest = f"{basis.sizes}: {weights} weights"
    rest += f", {show.kib(code)} {basis.rest_of_flash}" if code else ""
    rest += _of_features(parts)
    rows: list[tuple[LimitName, str, str]] = [
        ("latency", _latency(found), _spread(found)),
        ("ram", show.kib(cost.peak_ram_bytes), _ram_origin(found)),
        ("flash", show.kib(cost.flash_bytes), rest),
        ("weights", weights, "counted"),
        (
            "energy",
            show.energy(found.energy_j),
            found.reasons.get("energy_j", _band(found.energy)),
        ),
    ]
    table = WrappedTable(box=None, header_style="bold")
    for column, justify in (("", "left"), ("needs", "right"), ("limit", "right")):
        table.add_column(column, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("basis")
    for name, needs, origin in rows:
        table.add_row(show.limit_label(name), needs, *_against(fit.limit(name)), origin)
    if found.daily_energy is not None:
        daily = found.daily_energy
        table.add_row("energy of a day", show.energy(daily.value_j), "", "", _band(daily))
    table.add_row("MACs", show.integer(cost.macs), "", "", _counted(cost))
    instructions = found.predicted_instructions
    if instructions is not None:
        known = [count for count in instructions.values() if count is not None]
        table.add_row(
            "instructions", show.integer(sum(known)), "", "", _counted_forms(instructions)
        )
    table.add_row("parameters", show.integer(cost.params), "", "", "counted")
    return table


def _training(cost: TrainingCost) -> WrappedTable:
    """Return what training on the device takes."""
    plan = cost.plan
    table = WrappedTable(box=None, header_style="bold")
    table.add_column(f"training on the device, {plan.optimizer}", no_wrap=True)
    table.add_column("needs", justify="right", no_wrap=True)
    table.add_column("basis")
    parts = (
        ("trained weights", cost.weight_bytes), ("gradients", cost.gradient_bytes),
        ("optimizer", cost.state_bytes), ("kept activations", cost.kept_bytes),
        ("working memory", cost.working_bytes),
    )  # fmt: skip
    shown = ", ".join(f"{name} {show.kib(size)}" for name, size in parts)
    table.add_row("RAM", show.kib(cost.ram_bytes), f"counted: {shown}")
    file = f", {show.kib(cost.teacher_bytes)} of them a teacher's file" if plan.top else ""
    table.add_row(
        "storage", show.kib(cost.storage_bytes), f"counted: {plan.samples:,} samples{file}"
    )
    table.add_row("MACs of a sample", show.count(cost.macs), "counted, there and back")
    time = "unknown" if cost.sample_s is None else show.time(cost.sample_s[0])
    band = cost.reason
    if cost.sample_s is not None:
        band = (
            f"{show.time(cost.sample_s[1])} to {show.time(cost.sample_s[2])}; estimated at the "
            "pace of inference, nobody timed the way back"
        )
    table.add_row("time of a sample", time, band)
    table.add_row(
        "energy of an epoch",
        show.energy(None if cost.epoch is None else cost.epoch.value_j),
        cost.reason
        if cost.epoch is None
        else f"{show.energy(cost.epoch.low_j)} to {show.energy(cost.epoch.high_j)}; likewise",
    )
    parameters = f"{show.integer(cost.trained_params)} parameters"
    of = f"of {cost.trained} layers with weights; {plan.bits} bits, batches of {plan.batch}"
    table.add_row("trained", parameters, of)
    return table


def _counted(cost: CostEstimate) -> str:
    """Say which operators the MACs leave out, as nothing is known of their work."""
    strange = {op.kind for op in cost.per_op if op.kind in cost.unknown_kernels and not op.macs}
    return f"counted, without {', '.join(sorted(strange))}" if strange else "counted"


def _counted_forms(instructions: dict[str, int | None]) -> str:
    """Say where predicted instructions come from."""
    features = instructions["features"]
    said = "" if features is None else f", {show.integer(features)} of features"
    return f"predicted from counted kernels{said}; `hwkd verify` counts them of the file"


def _ram_origin(found: ModelProfile) -> str:
    parts, said = found.ram_parts, found.basis.sizes
    if found.ram_interval_bytes is not None:
        low, high = found.ram_interval_bytes
        said += f": {show.kib(low)} to {show.kib(high)} (90% interval)"
    if not parts["runtime_bytes"] and not parts["feature_bytes"]:
        return said
    separator = ";" if found.ram_interval_bytes is not None else ":"
    runtime = f", {show.kib(parts['runtime_bytes'])} runtime" if parts["runtime_bytes"] else ""
    activations = show.kib(parts["activation_bytes"])
    return f"{said}{separator} {activations} activations{runtime}{_of_features(parts)}"


def _of_features(parts: dict[str, int]) -> str:
    return f", {show.kib(parts['feature_bytes'])} features" if parts["feature_bytes"] else ""


def _band(energy: EnergyBand | None) -> str:
    if energy is None:
        return "estimated"
    return f"{show.energy(energy.low_j)} to {show.energy(energy.high_j)} (90% interval); estimated"


def _latency(found: ModelProfile) -> str:
    value_s, low_s, _ = found.latency_interval_s
    if value_s is None and low_s is not None:
        return f"at least {show.time(low_s)}"
    return show.time(value_s)


def _spread(found: ModelProfile) -> str:
    if found.basis.spread is None:
        return found.latency_basis
    if found.is_lower_bound:
        return found.reasons["latency"]
    _, low_s, high_s = found.latency_interval_s
    ends = f"{show.time(low_s)} to {show.time(high_s)}"
    return f"{ends} ({found.basis.spread}); {found.latency_basis}"


def _against(entry: LimitFit | None) -> tuple[str, Text]:
    """Return a limit and the verdict on it."""
    if entry is None:
        return "none", Text("")
    style = {"fits": "green", "over": "bold red", "unknown": "yellow"}[entry.answer]
    return show.limit_value(entry.name, entry.limit), Text(show.fit_text(entry), style=style)


def _frame_lines(found: ModelProfile) -> list[str]:
    """Say what a frame costs where a run takes several."""
    form, frame = found.stream, found.per_frame
    if form is None:
        return []
    return [
        f"all numbers are of one run, which takes {form.hop_frames} frames and answers for the "
        f"last {form.window_frames}; per frame {show.count(round(frame['macs'] or 0))} MACs, "
        f"{show.time(frame['latency_s'])}, {show.energy(frame['energy_j'])}; a window at once "
        f"takes {show.count(form.window_macs)} MACs"
    ]


def _cautions(found: ModelProfile) -> list[str]:
    cost = found.cost
    lines = [*found.notes, *_frame_lines(found)]
    for name in LIMIT_FIELDS:
        if name in found.reasons:
            shown = show.limit_label(name)
            lines.append(f"{shown} is {found.reasons[name]}")
    if cost.latency is not None and cost.latency.never_timed:
        lines.append(show.never_timed_text(cost.latency))
    if cost.latency is not None and cost.latency.borrowed:
        lines.append(show.borrowed_text(cost.latency))
    if cost.latency is not None and cost.latency.is_extrapolated:
        lines.append("part of the network lies outside what was measured: the interval is widened")
    if found.measured is not None:
        lines.append(
            "the latency of a layer is measured with the profiler on; layers that ONNX Runtime "
            "fuses have none of their own"
        )
    return lines
