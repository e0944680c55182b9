"""`hwkd devices`: the chips that hwkd knows, and how to add and calibrate one's own."""

from __future__ import annotations

import sys
from functools import wraps
from typing import TYPE_CHECKING, Any

import typer

import hwkd
from hwkd.cli.command import Command
from hwkd.core.errors import OutlierError

if TYPE_CHECKING:
    from hwkd.api.bench_kit import BenchKit
    from hwkd.api.calibrate import CalibrationDone
    from hwkd.api.devices import DeviceCheck, DeviceSummary, NewDevice
    from hwkd.core.device import Device

# Narrower terminals get the runtimes in a table of their own.
_WIDE_CELLS = 140
_TEXTS = ("core", "clock", "runtimes (default first)")


def _show_all(found: tuple[DeviceSummary, ...]) -> None:
    from hwkd.cli.console import output_console
    from hwkd.report import format as shown
    from hwkd.report.wrapped_table import WrappedTable

    console = output_console()
    is_wide = console.width >= _WIDE_CELLS
    table = WrappedTable(box=None)
    heads = ("device", "core", "clock", "RAM", "flash", "runtimes (default first)")
    for column in heads if is_wide else heads[:-1]:
        is_name = column == "device"
        table.add_column(column, style="bold" if is_name else "", no_wrap=column not in _TEXTS)
    for each in found:
        row = (
            each.name, each.core, shown.frequency(each.clock_hz), shown.kib(each.sram_bytes),
            shown.kib(each.flash_bytes), _runtimes(each),
        )  # fmt: skip
        table.add_row(*row[: len(table.columns)])
    console.print(table)
    if not is_wide:
        console.print("\nruntimes, default first", style="bold")
        names = WrappedTable(box=None, show_header=False)
        names.add_column(style="bold", no_wrap=True)
        names.add_column()
        for each in found:
            names.add_row(each.name, _runtimes(each))
        console.print(names)


def _runtimes(each: DeviceSummary) -> str:
    others = sorted(set(each.runtimes) - {each.default_runtime})
    return ", ".join([each.default_runtime, *others])


def _show(found: Device) -> None:
    from rich.console import Console

    from hwkd.cli.device_tables import facts_table, runtimes_table

    console = Console()
    console.print(facts_table(found))
    console.print(runtimes_table(found))


def _show_check(found: DeviceCheck) -> None:
    for name, kind in zip(found.valid, found.kinds, strict=True):
        open_ones = found.to_fill_in.get(name, ())
        hint = f"; sources still to fill in: {', '.join(open_ones)}" if open_ones else ""
        typer.echo(f"valid: {kind} {name}{hint}")


def _show_new(found: NewDevice) -> None:
    typer.echo(f"wrote {found.path}; next: edit it, then hwkd devices validate {found.path}")


@wraps(hwkd.calibrate)
def ask_about_outlier(**given: Any) -> CalibrationDone:
    """Ask, in a terminal, whether rows that are far off are right."""
    try:
        return hwkd.calibrate(**given)
    except OutlierError as error:
        is_asked = sys.stdin.isatty() and sys.stderr.isatty()
        if not is_asked or not typer.confirm(f"{error}\nKeep it?", err=True):
            raise
        return hwkd.calibrate(**{**given, "outliers": "keep"})


def _show_calibration(found: CalibrationDone) -> None:
    after = found.error_after
    shown_after = "not testable with so few rows" if after is None else f"{after:.1%} (held out)"
    typer.echo(f"{found.rows} rows on {found.device} with {found.runtime}, {found.dtype}")
    typer.echo(f"started from {found.started_from}")
    typer.echo(f"mean error before: {found.error_before:.1%}; after: {shown_after}")
    low, high = found.interval
    typer.echo(
        f"90% interval of an estimate: {low:.2f} to {high:.2f} times its value "
        f"(from {found.interval_from})"
    )
    typer.echo("device file updated" if found.is_written else "nothing written (--dry-run)")


def _show_kit(found: BenchKit) -> None:
    typer.echo(f"wrote {found.models} models and measurements.csv to {found.folder}")
    typer.echo(
        f"uncertainty of a coefficient: x{found.factor_before:.1f} before, "
        f"x{found.factor_after:.2f} after measuring (median, one standard deviation)"
    )


COMMANDS = (
    Command(
        name="devices list",
        function=hwkd.devices,
        show=_show_all,
        examples=("hwkd devices list",),
    ),
    Command(
        name="devices show",
        function=hwkd.device,
        show=_show,
        examples=("hwkd devices show cortex-m7",),
    ),
    Command(
        name="devices validate",
        function=hwkd.validate_devices,
        show=_show_check,
        examples=("hwkd devices validate my-board.toml",),
    ),
    Command(
        name="devices new",
        function=hwkd.new_device,
        show=_show_new,
        examples=("hwkd devices new my-board.toml --like cortex-m33",),
    ),
    Command(
        name="devices calibrate",
        function=ask_about_outlier,
        show=_show_calibration,
        examples=("hwkd devices calibrate --device my-board.toml --measurements rows.csv",),
    ),
    Command(
        name="devices bench-kit",
        function=hwkd.bench_kit,
        show=_show_kit,
        examples=("hwkd devices bench-kit --device my-board.toml --out kit",),
    ),
)
