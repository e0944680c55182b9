"""Tables of one device for the terminal."""

from __future__ import annotations

from hwkd.api.devices import evidence
from hwkd.core.device import Device
from hwkd.report import format as shown
from hwkd.report.wrapped_table import WrappedTable


def facts_table(device: Device) -> WrappedTable:
    """Return what the board is, each number with its source."""
    table = WrappedTable(
        box=None, title=device.description, title_justify="left", show_header=False
    )
    rows = [
        ("name", device.name, ""),
        ("core", f"{device.core} ({device.board})", ""),
        ("clock", shown.frequency(device.clock_hz), "clock_hz"),
        ("RAM", shown.kib(device.sram_bytes), "sram_bytes"),
        ("flash", shown.kib(device.flash_bytes), "flash_bytes"),
        ("target latency", shown.time(device.target_latency_s), "target_latency_s"),
        ("default runtime", device.default_runtime, ""),
    ]
    for label, value, field in rows:
        table.add_row(label, value, f"[dim]{device.sources.get(field, '')}[/dim]")
    return table


def runtimes_table(device: Device) -> WrappedTable:
    """Return the runtimes with what their latency was fitted on and how well it predicts."""
    table = WrappedTable(box=None, title="runtimes", title_justify="left")
    for column in ("runtime", "dtype", "rows", "held-out error", "90% interval", "fitted on"):
        table.add_column(column)
    for row in evidence(device):
        table.add_row(row.runtime, row.dtype, row.rows, row.error, row.interval, row.origin)
    return table
