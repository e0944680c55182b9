"""What the best student's C did on an emulated core; counts of instructions are never times."""

from __future__ import annotations

from hwkd.core.choices import LimitName
from hwkd.core.final_record import FinalRecord
from hwkd.core.limits import Fit
from hwkd.core.metric import primary_text
from hwkd.core.run_record import RunRecord
from hwkd.core.verification import Verification, VerificationRecord
from hwkd.report import format as fmt
from hwkd.report.document import Block, Cell, Column, Facts, Note, Section, Table

NOT_TIMES = (
    "Instruction counts repeat exactly and are not times: the emulator has no caches, wait states "
    "or dual issue."
)
_TITLE = "On an emulated core"


def verification_section(run: RunRecord) -> tuple[Section, ...]:
    """Show the check of `hwkd search --verify`; nothing if it was not asked for."""
    found = _verification(run.final)
    if found is None:
        return ()
    blocks: list[Block] = [Note(lines=(verdict(found),), is_warning=not found.passed)]
    if found.emulation is not None:
        blocks += [verification_facts(found, found.emulation), _layers(found.emulation)]
    return (Section(key="emulated", title=_TITLE, blocks=tuple(blocks)),)


def _verification(final: FinalRecord | None) -> VerificationRecord | None:
    return None if final is None else final.verification


def verdict(found: VerificationRecord) -> str:
    """Say in one sentence what the check showed."""
    ran = found.emulation
    if ran is None:
        return f"The C of this student was not run on an emulated {found.core}: {found.failure}"
    values = ran.inputs * ran.outputs
    head = "Passed" if found.passed else "FAILED"
    if ran.faults:
        head += f" ({'; '.join(ran.faults)})"
    return (
        f"{head}: the exported C, compiled for {found.core} with the device's flash and RAM and "
        f"run on {ran.inputs:,} test examples, differs from the same C on this computer in "
        f"{ran.mismatches.host_c:,} of {values:,} outputs and from ONNX Runtime in "
        f"{ran.mismatches.onnxruntime:,}, by at most {ran.max_lsb} int8 steps.{_inside(ran)}"
    )


def _inside(ran: Verification) -> str:
    """Say what the layers showed; nothing of runs that did not compare them one by one."""
    counted = [layer for layer in ran.instructions_per_layer if layer.values is not None]
    if not counted:
        return ""
    values = sum(layer.values or 0 for layer in counted)
    differing = sum(layer.differing or 0 for layer in counted)
    text = (
        f" Layer by layer, from the same integers, {differing:,} of {values:,} values differ from "
        f"ONNX Runtime, by at most {ran.intermediate_max_lsb} steps"
    )
    if ran.averages_within_bound:
        text += (
            f"; besides them {ran.averages_within_bound:,} values lie at a tie that the order of "
            "a float sum decides"
        )
    return f"{text}."


def verification_facts(found: VerificationRecord, ran: Verification) -> Facts:
    """List what the programs took of the device."""
    rows = [
        ("emulated processor", ran.emulated_cpu),
        ("rounding", ran.rounding),
        ("instructions per inference, emulated", fmt.integer(ran.instructions_per_inference)),
        (
            "flash, from the ELF file",
            _of(ran.flash_bytes, found.flash_limit_bytes, ran.fit, "flash"),
        ),
        ("flash, predicted", _optional(ran.flash_predicted_bytes)),
        (
            "RAM and stack, emulated",
            _of(ran.ram_bytes + ran.stack_bytes, found.ram_limit_bytes, ran.fit, "ram"),
        ),
        ("RAM and stack, predicted", _optional(ran.ram_predicted_bytes)),
        ("arena for tensors, from the ELF file", fmt.kib(ran.arena_bytes)),
        ("stack, high-water mark", f"{ran.stack_bytes:,} bytes"),
    ]
    if ran.scores is not None:
        rows.append(
            (
                f"score of the core's answers on these {ran.inputs:,} test examples (the test "
                "score at the top is of all)",
                primary_text(ran.scores),
            )
        )
    rows += list(ran.tools.items())
    if ran.note:
        rows.append(("note", ran.note))
    return Facts(title="The C on the emulated core", rows=tuple(rows))


def _of(amount_bytes: int, limit_bytes: int, fit: Fit | None, name: LimitName) -> str:
    """Return an amount and its limit, with the verdict of a run that recorded one."""
    text = f"{fmt.kib(amount_bytes)} of {fmt.kib(limit_bytes)}"
    entry = None if fit is None else fit.limit(name)
    return text if entry is None else f"{text}: {fmt.fit_text(entry)}"


def _optional(amount_bytes: int | None) -> str:
    return "unknown" if amount_bytes is None else fmt.kib(amount_bytes)


def _layers(ran: Verification) -> Table:
    most = max((layer.instructions for layer in ran.instructions_per_layer), default=0)
    rows = tuple(
        (
            Cell(layer.name),
            Cell(layer.kind),
            Cell(fmt.integer(layer.macs)),
            Cell(fmt.integer(layer.instructions), layer.instructions / most if most else None),
            Cell(layer.differing_text),
            Cell(str(layer.max_lsb)),
        )
        for layer in ran.instructions_per_layer
    )
    return Table(
        title="Steps of the C",
        columns=(
            Column(title="step"),
            Column(title="kind"),
            Column(title="MACs", is_number=True),
            Column(title="instructions", basis="emulated", is_number=True),
            Column(title="values that differ from ONNX Runtime", is_number=True),
            Column(title="by up to, in int8 steps", is_number=True),
        ),
        rows=rows,
        note=NOT_TIMES,
        is_long=len(rows) > 30,
    )
