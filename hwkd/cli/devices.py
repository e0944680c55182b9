"""`hwkd devices`: the chips that hwkd knows, and how to add and calibrate one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    help="The chips: what is known, with what error, and how to add your own board.",
    no_args_is_help=True,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("list")
def list_devices(as_json: AsJson = False) -> None:
    """List the devices with their runtimes."""
    from rich.console import Console
    from rich.table import Table

    from hwkd.io.device_catalog import device_names, load_device
    from hwkd.report import format as shown

    devices = [load_device(name) for name in device_names()]
    if as_json:
        rows = [
            {
                "name": d.name, "core": d.core, "board": d.board, "clock_hz": d.clock_hz,
                "sram_bytes": d.sram_bytes, "flash_bytes": d.flash_bytes,
                "default_runtime": d.default_runtime, "runtimes": sorted(d.runtimes),
                "is_measured": d.is_measured,
            }
            for d in devices
        ]  # fmt: skip
        typer.echo(json.dumps({"devices": rows}))
        return
    table = Table(box=None)
    for column in ("device", "core", "clock", "RAM", "flash", "runtimes (default first)"):
        is_name = column == "device"
        table.add_column(column, style="bold" if is_name else "", no_wrap=is_name)
    for d in devices:
        others = sorted(set(d.runtimes) - {d.default_runtime})
        table.add_row(
            d.name, d.core, shown.frequency(d.clock_hz), shown.kib(d.sram_bytes),
            shown.kib(d.flash_bytes), ", ".join([d.default_runtime, *others]),
        )  # fmt: skip
    Console().print(table)


@app.command()
def show(
    device: Annotated[str, typer.Argument(help="Device name, or your own .toml file.")],
    as_json: AsJson = False,
) -> None:
    """Show one device: memories, runtimes, what they were fitted on, errors and sources.

    Example: hwkd devices show cortex-m7
    """
    from rich.console import Console

    from hwkd.cli.device_tables import facts_table, runtimes_table
    from hwkd.io.device_catalog import load_device

    found = load_device(device)
    if as_json:
        typer.echo(found.model_dump_json(exclude_none=True))
        return
    console = Console()
    console.print(facts_table(found))
    console.print(runtimes_table(found))


@app.command()
def validate(
    files: Annotated[
        list[str],
        typer.Argument(help="Your .toml files of devices, runtimes and cores, or device names."),
    ],
    as_json: AsJson = False,
) -> None:
    """Check files of devices, runtimes and cores; the first mistake is one line, exit code 2.

    Example: hwkd devices validate my-board.toml runtimes/my-stack.toml
    """
    from hwkd.io.fact_catalog import check_file

    found = [check_file(file) for file in files]
    if as_json:
        typer.echo(json.dumps({"valid": [facts.name for facts in found]}))
        return
    for file, facts in zip(files, found, strict=True):
        hint = f"; sources still to fill in: {', '.join(facts.open_sources)}"
        typer.echo(f"{file}: valid, {facts.kind} {facts.name}{hint if facts.open_sources else ''}")


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="File to write, for example my-board.toml.")],
    like: Annotated[str, typer.Option(help="Packaged device to start from.")] = "cortex-m4",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented device file for your own board.

    Edit it, `hwkd devices validate` it, then measure: `hwkd devices bench-kit`, `hwkd devices
    calibrate`.

    Example: hwkd devices new my-board.toml --like cortex-m33
    """
    from hwkd.cli.device_file import new_device_text
    from hwkd.core.errors import ConfigError
    from hwkd.io.device_catalog import load_device
    from hwkd.io.paths import written_atomically

    if path.suffix != ".toml":
        raise ConfigError(f"{path}: a device file ends in .toml, for example {path.stem}.toml")
    if path.exists() and not force:
        raise ConfigError(f"{path} exists; give another name, or --force to replace it")
    start = load_device(like)
    if not start.runtime().latency:
        raise ConfigError(f"--like: {like} has no fit to start from; give a chip that is predicted")
    text = new_device_text(path.stem, start)
    with written_atomically(path) as draft:
        draft.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {path}; next: edit it, then hwkd devices validate {path}")


@app.command()
def calibrate(
    device: Annotated[Path, typer.Option(help="Your device file; it is updated in place.")],
    measurements: Annotated[
        Path, typer.Option(help="CSV: model,latency_ms (or cycles), and op for single operators.")
    ],
    runtime: Annotated[
        str | None, typer.Option(help="Runtime that was measured; the default one if left out.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="int8 or float32.")] = "int8",
    fit: Annotated[
        str, typer.Option(help="auto, scale (one factor) or full (every coefficient).")
    ] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print, do not write.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fit a runtime's latency to what you measured on your board.

    One measured model sets the scale; about 20 operators set every coefficient. Prints the error
    before and, on rows left out of the fit, after; writes coefficients and provenance into the
    file.

    Example: hwkd devices calibrate --device my-board.toml --measurements rows.csv
    """
    from hwkd.cli.device_calibration import calibrate_file

    done = calibrate_file(device, measurements, runtime, dtype, fit, write=not dry_run)
    if as_json:
        typer.echo(json.dumps(done))
        return
    after = done["error_after"]
    shown_after = "not testable with so few rows" if after is None else f"{after:.1%} (held out)"
    typer.echo(f"{done['rows']} rows on {done['device']} with {done['runtime']}, {dtype}")
    typer.echo(f"started from {done['started_from']}")
    typer.echo(f"mean error before: {done['error_before']:.1%}; after: {shown_after}")
    low, high = done["interval"]
    typer.echo(f"90% interval of an estimate: {low:.2f} to {high:.2f} times its value")
    typer.echo("nothing written (--dry-run)" if dry_run else f"updated {device}")


@app.command("bench-kit")
def bench_kit(
    out: Annotated[Path, typer.Option(help="New folder for models and CSV template.")],
    device: Annotated[str, typer.Option(help="Device name or .toml file.")] = "cortex-m4",
    count: Annotated[int, typer.Option(min=8, max=120, help="Number of operators.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Write small models whose timing on a board identifies every coefficient.

    Each holds one operator, as float ONNX and int8 ONNX, chosen by a greedy D-optimal design over
    400 candidates: the next model is the one that leaves the least uncertain. Time each on the
    board, fill in `measurements.csv`, then `hwkd devices calibrate`.

    Example: hwkd devices bench-kit --device my-board.toml --out kit
    """
    from hwkd.cli.bench_kit import write_bench_kit
    from hwkd.io.device_catalog import load_device

    written = write_bench_kit(load_device(device), out, count)
    if as_json:
        typer.echo(json.dumps(written))
        return
    typer.echo(f"wrote {written['models']} models and measurements.csv to {out}")
    typer.echo(
        f"uncertainty of a coefficient: x{written['factor_before']:.1f} before, "
        f"x{written['factor_after']:.2f} after measuring (median, one standard deviation)"
    )
