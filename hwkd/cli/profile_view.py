"""Shows a `ModelProfile` in the terminal: a row for each layer, then totals against the limits."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwkd.cli.profile_data import ModelProfile
from hwkd.cost.memory_stages import MemoryStage
from hwkd.report import format as show

__all__ = ["print_profile"]

_BAR_CELLS = 30
_MOST_HELD = 4


def print_profile(found: ModelProfile, model: Path) -> None:
    """Print the table of layers, the peak, the totals and what to be careful about."""
    console = Console()
    cost = found.cost
    clock = f" at {show.frequency(cost.clock_hz)}" if cost.clock_hz else ""
    console.print(
        f"[bold]{model.name}[/bold] on [bold]{cost.device}[/bold]{clock}, "
        f"{cost.runtime}, {cost.dtype}",
        highlight=False,
    )
    console.print(_layers(found))
    console.print(
        "memory over time: [blue]█[/blue] read and written now  [yellow]▒[/yellow] kept for later"
        "  [magenta]░[/magenta] scratch  [dim]·[/dim] the runtime's own",
        highlight=False,
    )
    for line in _peak_lines(found):
        console.print(line, highlight=False)
    console.print(_totals(found))
    for line in _cautions(found):
        console.print(f"[yellow]note:[/yellow] {line}", highlight=False)


def _layers(found: ModelProfile) -> Table:
    table = Table(box=None, header_style="bold")
    table.add_column("layer", no_wrap=True, max_width=28)
    table.add_column("op", no_wrap=True)
    table.add_column("MACs", justify="right", no_wrap=True)
    measured = "measured" if found.measured is not None else "latency"
    table.add_column(measured, justify="right", no_wrap=True)
    table.add_column("flash", justify="right", no_wrap=True)
    table.add_column("RAM", justify="right", no_wrap=True)
    table.add_column("memory", no_wrap=True)
    stages = {stage.op: stage for stage in found.stages}
    peak = max(stage.total_bytes for stage in found.stages)
    latency = found.op_latency_s()
    absorbed: dict[str, list[str]] = {}
    for op in found.cost.per_op:
        if op.fused_into:
            absorbed.setdefault(op.fused_into, []).append(op.kind)
    for op in found.cost.per_op:
        stage = stages.get(op.name)
        if stage is None:
            continue
        kinds = "+".join([op.kind, *absorbed.get(op.name, ())])
        is_peak = stage.total_bytes == peak
        seconds = latency[op.name]
        unknown = "?" if found.measured is None else "–"
        table.add_row(
            op.name,
            kinds,
            show.count(op.macs) if op.macs else "",
            unknown if seconds is None else show.time(seconds),
            show.kib(op.flash_bytes) if op.flash_bytes else "",
            show.kib(stage.total_bytes),
            _bar(stage, peak) + Text(" ◀ peak" if is_peak else "", style="bold"),
            style="bold" if is_peak else "",
        )
    return table


def _bar(stage: MemoryStage, peak: int) -> Text:
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
        until = round(_BAR_CELLS * total / peak)
        bar.append(cell * (until - drawn), style=style)
        drawn = until
    return bar


def _peak_lines(found: ModelProfile) -> list[str]:
    stage = max(found.stages, key=lambda stage: stage.total_bytes)
    held = list(stage.held[:_MOST_HELD]) + ["..."] * (len(stage.held) > _MOST_HELD)
    waiting = f", {show.kib(stage.held_bytes)} waiting ({', '.join(held)})" if held else ""
    scratch = f", {show.kib(stage.scratch_bytes)} scratch" if stage.scratch_bytes else ""
    lines = [
        f"{stage.op} ({stage.kind}) needs most RAM: {show.kib(stage.used_bytes)} read and written"
        f"{waiting}{scratch}, {show.kib(stage.overhead_bytes)} for the runtime"
    ]
    gaps = found.cost.peak_ram_bytes - stage.total_bytes
    if gaps > 0:
        lines.append(f"peak RAM is {show.kib(gaps)} above that: gaps that the planner leaves")
    order = found.order
    if order is not None and order.peak_bytes < 0.99 * order.given_peak_bytes:
        lines.append(
            f"another order of the operators would need {show.kib(order.peak_bytes)} of tensors "
            f"at its worst moment instead of {show.kib(order.given_peak_bytes)}"
        )
    return lines


def _totals(found: ModelProfile) -> Table:
    cost, fits = found.cost, found.fits
    estimated = "compiler estimate" if found.is_compiled else "estimated"
    rest = "biases and commands" if found.is_compiled else "code and tables"
    table = Table(box=None, header_style="bold")
    for column, justify in (("", "left"), ("needs", "right"), ("limit", "right")):
        table.add_column(column, justify="right" if justify == "right" else "left", no_wrap=True)
    table.add_column("fits", no_wrap=True)
    table.add_column("basis")
    table.add_row(
        "latency",
        show.time(found.latency_interval_s[0]),
        show.time(found.latency_limit_s),
        _verdict(fits["latency"], found.latency_limit_s),
        _spread(found),
    )
    table.add_row(
        "peak RAM",
        show.kib(cost.peak_ram_bytes),
        _limit(found.ram_limit_bytes),
        _verdict(fits["ram"], found.ram_limit_bytes),
        estimated,
    )
    table.add_row(
        "flash",
        show.kib(cost.flash_bytes),
        _limit(found.flash_limit_bytes),
        _verdict(fits["flash"], found.flash_limit_bytes),
        f"{estimated}: {show.kib(cost.weight_bytes)} weights, the rest {rest}",
    )
    energy = "no published power" if cost.energy_j is None else "estimated"
    table.add_row("energy", show.energy(cost.energy_j), "", "", energy)
    table.add_row("MACs", show.integer(cost.macs), "", "", "counted")
    table.add_row("parameters", show.integer(cost.params), "", "", "counted")
    return table


def _spread(found: ModelProfile) -> str:
    if found.is_compiled:
        return found.latency_basis
    _, low_s, high_s = found.latency_interval_s
    spread = "quartiles" if found.measured is not None else "90% interval"
    return f"{show.time(low_s)} to {show.time(high_s)} ({spread}); {found.latency_basis}"


def _limit(value: int | None) -> str:
    return "none" if value is None else show.kib(value)


def _verdict(fits: bool, limit: float | None) -> Text:
    if limit is None:
        return Text("")
    return Text("yes", style="green") if fits else Text("no", style="bold red")


def _cautions(found: ModelProfile) -> list[str]:
    cost = found.cost
    lines = []
    if cost.unsupported_ops and found.measured is None:
        kinds = ", ".join(f"{kind} x {n}" for kind, n in sorted(cost.unsupported_ops.items()))
        lines.append(f"latency is a lower bound: {cost.runtime} has no cost for {kinds}")
    if cost.latency is not None and cost.latency.is_extrapolated:
        lines.append("part of the network lies outside what was measured: the interval is widened")
    if found.measured is not None:
        lines.append(
            "the latency of a layer is measured with the profiler on; layers that ONNX Runtime "
            "fuses have none of their own"
        )
    return lines
