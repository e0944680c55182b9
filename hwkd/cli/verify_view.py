"""How the result of `hwkd verify` looks in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from hwkd.core.metric import primary_text
from hwkd.report import format as show
from hwkd.report.wrapped_table import WrappedTable

if TYPE_CHECKING:
    from hwkd.core.verification import FeatureCheck, PreparedCheck, StreamCheck, Verification


def print_verification(found: Verification, origin: str) -> None:
    """Print the comparison, the memory and the work of each layer to stdout."""
    console = Console()
    console.print(_layer_table(found))
    console.print()
    console.print(_summary_table(found, origin))
    if found.note:
        console.print(f"note: {found.note}")
    console.print(
        "Instruction counts repeat exactly and are not times: the emulator has no caches, wait "
        "states or dual issue."
    )
    console.print(verdict(found), soft_wrap=True, markup=False)
    for line in tie_lines(found):
        console.print(line, soft_wrap=True, markup=False)


def verdict(found: Verification) -> str:
    """Say in one line whether the check passed, and every difference that it counted."""
    outputs = found.inputs * found.outputs
    layers = found.instructions_per_layer
    parts = [
        f"emulated core equals this computer's C on {outputs - found.mismatches.host_c:,} of "
        f"{outputs:,} outputs",
        _count(
            sum(item.differing or 0 for item in layers),
            sum(item.values or 0 for item in layers),
            found.intermediate_max_lsb,
            "values of the layers",
        ),
        _count(found.mismatches.onnxruntime, outputs, found.max_lsb, "outputs"),
    ]
    if found.averages_within_bound:
        parts.append(
            f"{found.averages_within_bound:,} values at a tie differ by 1 LSB, which the order "
            "of ONNX Runtime's float sum decides"
        )
    head = "passed" if found.passed else f"FAILED ({'; '.join(found.faults)})"
    return f"{head}: {'; '.join(parts)}"


def tie_lines(found: Verification) -> tuple[str, ...]:
    """Name each average that differs at a tie, and say why that is no fault and what is one."""
    nodes = [layer for layer in found.instructions_per_layer if layer.averages_within_bound]
    if not nodes:
        return ()
    lines = []
    for layer in nodes:
        at_tie = "" if layer.averages_at_tie is None else f" of {layer.averages_at_tie:,} at a tie"
        lines.append(
            f"node {layer.name!r}: {layer.averages_within_bound:,}{at_tie} are one step from ONNX "
            f"Runtime's, of {layer.values or 0:,} values"
        )
    if found.mismatches.onnxruntime and found.judged_max_lsb == 0:
        lines.append("all outputs that differ are of inputs with such a value")
    return (
        *lines,
        "These are no faults: the exact value lies half-way between two integers, within the "
        "rounding of a float sum, whose order ONNX Runtime chooses by processor; a layer that "
        "differs anywhere else, or by two steps, fails this check.",
    )


def _count(differing: int, values: int, max_lsb: int, what: str) -> str:
    size = f", by up to {max_lsb} LSB" if differing else ""
    return f"{differing:,} of {values:,} {what} differ from ONNX Runtime{size}"


def _layer_table(found: Verification) -> WrappedTable:
    table = WrappedTable(
        title=escape(f"{found.model} on {found.device}, emulated {found.emulated_cpu}"),
        title_justify="left", box=None, padding=(0, 1, 0, 0), header_style="bold",
    )  # fmt: skip
    for name in ("layer", "kind"):
        table.add_column(name)
    for name in ("MAC", "instructions", "per MAC", "values that differ", "LSB"):
        table.add_column(name, justify="right")
    for layer in found.instructions_per_layer:
        ratio = f"{layer.instructions / layer.macs:.2f}" if layer.macs else "-"
        table.add_row(
            escape(layer.name),
            layer.kind,
            f"{layer.macs:,}",
            f"{layer.instructions:,}",
            ratio,
            layer.differing_text,
            str(layer.max_lsb),
        )
    return table


def _feature_rows(checked: FeatureCheck | None) -> tuple[tuple[str, str], ...]:
    if checked is None:
        return ()
    return (
        (
            "features equal to training's",
            f"{checked.values - checked.differing:,} of {checked.values:,} values here, "
            f"{checked.core_values - checked.core_differing:,} of {checked.core_values:,} on the "
            "core",
        ),
        ("instructions of the features, in these", f"{checked.instructions:,}"),
        (
            "RAM and tables of the features",
            f"{checked.ram_bytes:,} and {checked.table_bytes:,} bytes",
        ),
    )


def _prepared_rows(checked: PreparedCheck | None) -> tuple[tuple[str, str], ...]:
    if checked is None:
        return ()
    size = f", by up to {checked.max_lsb} LSB" if checked.max_lsb else ""
    return (
        (
            "raw values brought to scale",
            f"{checked.differing:,} of {checked.values:,} inputs differ from training's here, "
            f"{checked.core_differing:,} on the core{size}",
        ),
        ("instructions of that, beside these", f"{checked.instructions:,}"),
    )


def _stream_rows(checked: StreamCheck | None) -> tuple[tuple[str, str], ...]:
    if checked is None:
        return ()
    predicted = checked.ram_predicted_bytes
    return (
        (
            f"frame by frame, an answer every {checked.hop_frames}",
            f"{checked.values - checked.differing:,} of {checked.values:,} outputs equal those of "
            f"whole windows here, {checked.values - checked.core_differing:,} on the core",
        ),
        ("instructions per frame", f"{checked.instructions_per_frame:,.0f}"),
        ("its flash, from the ELF", f"{checked.flash_bytes:,} bytes"),
        ("its flash, predicted", _bytes(checked.flash_predicted_bytes)),
        ("its RAM and stack, emulated", f"{checked.ram_bytes:,} bytes"),
        ("its RAM and stack, predicted", _bytes(predicted)),
    )


def _summary_table(found: Verification, origin: str) -> WrappedTable:
    table = WrappedTable(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    rows = (
        ("inputs", f"{found.inputs:,}, {origin}"),
        ("layers compared with ONNX Runtime", "all, each from the C's own integers"),
        ("tensors of the core compared", f"all of the first {found.traced_inputs} inputs"),
        ("rounding, kernels", f"{found.rounding}, {found.kernels}"),
        ("instructions per inference", f"{found.instructions_per_inference:,}"),
        *(
            (
                f"{each.inputs} inputs end at {each.output}",
                "" if each.instructions is None else f"{each.instructions:,} instructions",
            )
            for each in found.exits
        ),
        *_feature_rows(found.features),
        *_prepared_rows(found.prepared),
        *_stream_rows(found.stream),
        ("flash, from the ELF", f"{found.flash_bytes:,} bytes"),
        ("flash, predicted", _bytes(found.flash_predicted_bytes)),
        ("RAM and stack, emulated", f"{found.ram_bytes + found.stack_bytes:,} bytes"),
        ("RAM and stack, predicted", _bytes(found.ram_predicted_bytes)),
        ("RAM, from the ELF", f"{found.ram_bytes:,} bytes"),
        ("arena, from the ELF", f"{found.arena_bytes:,} bytes"),
        ("arena, predicted", _bytes(found.arena_predicted_bytes)),
        ("stack, high-water mark", f"{found.stack_bytes:,} bytes"),
        *_fit_rows(found),
        *(
            (("score of the emulated core", primary_text(found.scores)),)
            if found.scores is not None
            else ()
        ),
        ("wall time", f"{found.seconds:.1f} s"),
    )
    for name, value in rows:
        table.add_row(name, value)
    return table


def _bytes(amount: int | None) -> str:
    return "-" if amount is None else f"{amount:,} bytes"


def _fit_rows(found: Verification) -> list[tuple[str, str]]:
    """Return the verdict on each memory of the device."""
    entries = () if found.fit is None else found.fit.limits
    return [
        (
            f"{show.limit_label(entry.name)} of the device",
            f"{show.needed_text(entry)} of {show.limit_value(entry.name, entry.limit)}: "
            f"{show.fit_text(entry)}",
        )
        for entry in entries
    ]
