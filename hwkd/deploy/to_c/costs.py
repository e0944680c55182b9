"""What is known of the needs of exported C, beside estimates, which are for another runtime."""

from __future__ import annotations

from collections.abc import Mapping

from hwkd.core.device import core_key
from hwkd.core.run_record import RunRecord
from hwkd.deploy.to_c.float_sums import float_sum_lines
from hwkd.deploy.to_c.project import Project
from hwkd.deploy.to_c.stream import held_lines
from hwkd.deploy.to_c.stream_text import stream_lines
from hwkd.io.core_files import core_names

# The core of examples where nothing says which one the student is for.
_USUAL_CORE = "cortex-m4"
# The runtime file of this C.
RUNTIME = "hwkd-c"


def core_of(estimated: object) -> str:
    """Return the packaged core that a student was estimated for, by `student_facts`, else M4."""
    said = estimated.get("core") if isinstance(estimated, Mapping) else None
    return str(said) if said in core_names() else _USUAL_CORE


def cost_lines(project: Project, run: RunRecord | None) -> tuple[str, ...]:
    """Say which numbers are this C's and which are not, one sentence each.

    Args:
        run: that found the student; None for a file by itself, of which nothing was estimated.
    """
    runtime = "hwkd's own C" + (" with CMSIS-NN" if project.uses_cmsis_nn else "")
    lines = [f"this C ({runtime}): {project.memory.arena_bytes:,} bytes of arena, by its plan"]
    lines += [*held_lines(project), *stream_lines(project)]
    if project.patches is not None:
        lines.append(
            f"its first layers run in {project.patches} patches: "
            f"{project.arranged.graph.macs:,} multiply-accumulates, halos computed again; "
            "estimates of latency and RAM are for layers run as a whole; `hwkd profile --runtime "
            f"{RUNTIME} --patch {project.patches}` prices the patches"
        )
    final = None if run is None else run.final
    core = core_of(None if run is None else {"core": core_key(run.device.core)})
    checked = None if final is None or final.verification is None else final.verification.emulation
    kernels = "cmsis-nn" if project.uses_cmsis_nn else "hwkd"
    alike = (kernels, project.rounding)
    if checked is not None and (checked.kernels or "hwkd", checked.rounding) == alike:
        lines.append(
            f"measured of it, emulated {checked.emulated_cpu}: flash {checked.flash_bytes:,} and "
            f"RAM {checked.ram_bytes:,} bytes from the ELF, stack {checked.stack_bytes:,} bytes, "
            f"{checked.instructions_per_inference:,} instructions per inference, which are no time"
        )
    else:
        lines.append(
            f"stack, flash and instructions of it: `hwkd verify RUN --device {core}` counts "
            "them on an emulated core, of the run or of its export by `--target c`"
        )
    own = None if final is None or project.uses_cmsis_nn else final.own_c
    if own is not None:
        took = "unknown" if own.latency_s is None else f"{own.latency_s * 1e3:.4g} ms"
        lines.append(
            f"estimated for this C (runtime {RUNTIME}) on {own.device} at {own.clock_hz / 1e6:g} "
            f"MHz: latency {took}, RAM {own.peak_ram_bytes:,} and flash {own.flash_bytes:,} "
            "bytes by its plan"
        )
    if run is not None and run.device.runtime == RUNTIME and not project.uses_cmsis_nn:
        lines.append(
            f"latency, RAM and flash in the report: estimates for this C on {run.device.name}, "
            "its instructions priced by class; nobody timed it there"
        )
    elif run is not None and not run.device.basis.is_timed:
        version = run.device.runtime_version
        other = run.device.runtime + (f" {version}" if version else "")
        lines.append(
            f"latency, RAM and flash in the report and limits of the search: estimates for {other} "
            f"on {run.device.name}, not for this C; `hwkd search --runtime {RUNTIME}` looks for "
            "networks that use its limits with this C, `--target tflite` writes a file for such "
            "runtimes"
        )
    return (*lines, *float_sum_lines(project))


def readme_section(lines: tuple[str, ...]) -> str:
    """Return the lines as a section of the README of the folder."""
    said = "".join(f"- {line[0].upper()}{line[1:]}.\n" for line in lines)
    return f"\n## What it needs\n\n{said}"
