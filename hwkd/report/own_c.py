"""The needs of hwkd's own C, beside those of the runtime that a search was for."""

from __future__ import annotations

from hwkd.core.run_record import RunRecord
from hwkd.report import format as fmt
from hwkd.report.document import Headline

_NAME = "hwkd's own C"


def own_c_headlines(run: RunRecord) -> tuple[Headline, ...]:
    """Say what is estimated, and after a check on an emulated core what was found.

    Nothing is said of it where the search was for this very C and nothing was emulated.
    """
    final = run.final
    cost = None if final is None else final.own_c
    checked = None if final is None or final.verification is None else final.verification.emulation
    if checked is not None and (checked.kernels or "hwkd") != "hwkd":
        checked = None
    lines: list[tuple[str, ...]] = []
    if cost is not None:
        detail = f"{cost.runtime} at {fmt.frequency(cost.clock_hz)}: export --target c"
        detail += fmt.evidence_text(cost.latency)
        lines.append(("Latency", fmt.time(cost.latency_s), detail, "estimated"))
    if checked is not None:
        where = f"{checked.core or checked.emulated_cpu}, emulated"
        lines += [
            ("RAM", fmt.kib(checked.ram_bytes + checked.stack_bytes), f"with stack, {where}"),
            ("Flash", fmt.kib(checked.flash_bytes), f"from the ELF file, {where}"),
            (
                "Instructions",
                fmt.integer(checked.instructions_per_inference),
                f"per inference, {where}; no time",
            ),
        ]
    elif cost is not None:
        plan = "by the exporter's plan"
        lines += [
            ("Peak RAM", fmt.kib(cost.peak_ram_bytes), plan),
            ("Flash", fmt.kib(cost.flash_bytes), plan),
        ]
    basis = "emulated" if checked is not None else "estimated"
    return tuple(
        Headline(label=f"{_NAME}: {label}", value=value, detail=detail, basis=(*rest, basis)[0])
        for label, value, detail, *rest in lines
    )
