"""How the result of `hwkd verify` looks in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from hwkd.core.progress import silent

if TYPE_CHECKING:
    from hwkd.core.progress import Progress as Listener
    from hwkd.deploy.verification import Verification

__all__ = ["live_progress", "print_verification"]


@contextmanager
def live_progress(*, is_shown: bool) -> Iterator[Listener]:
    """Give a listener that draws a bar with the time left on stderr; silent when not shown."""
    if not is_shown or not sys.stderr.isatty():
        yield silent
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("compile", total=1)

        def show(stage: str, done: int, total: int, note: str = "") -> None:
            bar.update(task, description=f"{stage} {note}".strip(), completed=done, total=total)

        yield show


def print_verification(found: Verification, origin: str) -> None:
    """Print the comparison, the memory and the work of each layer to stdout."""
    console = Console()
    console.print(_layer_table(found))
    console.print(_summary_table(found, origin))
    if found.note:
        console.print(f"note: {found.note}")
    console.print(
        "Instruction counts repeat exactly and are not times: the emulator has no caches, wait "
        "states or dual issue."
    )
    verdict = "passed" if found.passed else "FAILED"
    console.print(
        f"{verdict}: emulated core equals this computer's C on "
        f"{found.inputs * found.outputs - found.mismatches.host_c:,} of "
        f"{found.inputs * found.outputs:,} outputs, ONNX Runtime within {found.max_lsb} LSB "
        f"({found.mismatches.onnxruntime:,} differ)"
    )


def _layer_table(found: Verification) -> Table:
    table = Table(title=f"{found.model} on {found.device}, emulated {found.emulated_cpu}")
    for name in ("layer", "kind"):
        table.add_column(name)
    for name in ("MAC", "instructions", "per MAC", "LSB from ONNX Runtime"):
        table.add_column(name, justify="right")
    for layer in found.instructions_per_layer:
        ratio = f"{layer.instructions / layer.macs:.2f}" if layer.macs else "-"
        table.add_row(
            layer.name,
            layer.kind,
            f"{layer.macs:,}",
            f"{layer.instructions:,}",
            ratio,
            str(layer.max_lsb),
        )
    return table


def _summary_table(found: Verification, origin: str) -> Table:
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    predicted, stacked = found.flash_predicted_bytes, found.ram_predicted_bytes
    rows = (
        ("inputs", f"{found.inputs:,}, {origin}"),
        ("tensors compared", f"all of the first {found.traced_inputs} inputs"),
        ("rounding, kernels", f"{found.rounding}, {found.kernels}"),
        ("instructions per inference", f"{found.instructions_per_inference:,}"),
        ("flash, from the ELF", f"{found.flash_bytes:,} bytes"),
        ("flash, predicted", "-" if predicted is None else f"{predicted:,} bytes"),
        ("RAM and stack, emulated", f"{found.ram_bytes + found.stack_bytes:,} bytes"),
        ("RAM and stack, predicted", "-" if stacked is None else f"{stacked:,} bytes"),
        ("RAM, from the ELF", f"{found.ram_bytes:,} bytes"),
        ("arena, from the ELF", f"{found.arena_bytes:,} bytes"),
        ("arena, predicted", f"{found.arena_predicted_bytes:,} bytes"),
        ("stack, high-water mark", f"{found.stack_bytes:,} bytes"),
        *(
            (("accuracy of the emulated core", f"{found.accuracy_ratio:.2%}"),)
            if found.accuracy_ratio is not None
            else ()
        ),
        ("wall time", f"{found.seconds:.1f} s"),
    )
    for name, value in rows:
        table.add_row(name, value)
    return table
