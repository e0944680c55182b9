"""Compiles a C project with the measuring harness and runs it, on this computer or emulated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.core_file import ICOUNT_SHIFT, Core
from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.project import PROGRAMS, Project
from hwkd.deploy.to_c.project_text import project_files
from hwkd.deploy.to_c.raw_input import RAW_FILE
from hwkd.deploy.toolchain import Command, Tools, run_tool

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
_UInt32: TypeAlias = np.ndarray[Any, np.dtype[np.uint32]]

# What the linker script keeps for the vector table at the start of flash.
VECTOR_BYTES = 1024
_TICKS_BYTES = 4
_STACK_BYTES = 2048
_SMALLEST_STACK_BYTES = 128
_STACK_ALIGNMENT = 8
_COMMON_FLAGS = ("-std=gnu99", "-O2", "-Wall", "-Wextra", "-I.")
# What ships, between measuring code, and with it what every step wrote and took.
_PLAIN, _TRACED = _BOTH = ("plain", "traced")
# Sources with the hook of MODEL_TRACE.
_HOOKED = ("model.c", "harness.c", RAW_FILE)


@dataclass(frozen=True, kw_only=True)
class BuildSizes:
    """What an ELF file takes of the device, the harness left out.

    Attributes:
        flash_bytes: code, constants and initial values.
        ram_bytes: static data; the stack is separate.
        arena_bytes: the part of it that holds tensors.
    """

    flash_bytes: int
    ram_bytes: int
    arena_bytes: int


@dataclass(frozen=True, kw_only=True)
class Firmware:
    """A linked program.

    Attributes:
        traces: whether it records every step.
        stack_bytes: kept for the stack; 0 on the host.
    """

    folder: Path
    elf: Path
    sizes: BuildSizes | None
    traces: bool
    stack_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Programs:
    """One network, linked twice.

    Attributes:
        plain: exactly what ships, between measuring code.
        traced: also records what every step wrote and took.
    """

    plain: Firmware
    traced: Firmware


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What a program wrote.

    Attributes:
        outputs: int8, shape [inputs, bytes of all outputs], one output after the other.
        ticks: of each inference; zeros on the host.
        step_ticks: shape [inputs, steps]; empty without tracing.
        step_outputs: for each step int8 [inputs, bytes]; empty without tracing.
        features: int8 [inputs, input bytes] that raw values became, with tracing.
        feature_ticks: of them.
        stack_bytes: most stack ever used; 0 on the host.
    """

    outputs: _Int8
    ticks: _UInt32
    step_ticks: _UInt32
    step_outputs: tuple[_Int8, ...]
    stack_bytes: int
    features: _Int8 | None = None
    feature_ticks: _UInt32 | None = None


def build_host(project: Project, folder: Path, compiler: Command) -> Programs:
    """Compile for this computer with the portable kernels.

    Raises:
        ExportError: if the compiler fails.
    """
    plain, traced = _build_host(project, folder, compiler, _BOTH)
    return Programs(plain=plain, traced=traced)


def build_host_once(project: Project, folder: Path, compiler: Command, *, traces: bool) -> Firmware:
    """Compile one of the two programs of `build_host`, in half the time; both compute the same.

    Args:
        traces: the one that records every step.

    Raises:
        ExportError: if the compiler fails.
    """
    (program,) = _build_host(project, folder, compiler, (_TRACED if traces else _PLAIN,))
    return program


def _build_host(
    project: Project, folder: Path, compiler: Command, names: Sequence[str]
) -> list[Firmware]:
    flags = [*_COMMON_FLAGS, *_flags(project), *project.host_flags, "-DHWKD_PORTABLE"]
    programs = _build(project, folder, "platform_host.c", compiler, flags, ["-lm"], names)
    return [
        Firmware(folder=program.parent, elf=program, sizes=None, traces=name == _TRACED)
        for name, program in zip(names, programs, strict=True)
    ]


def build_firmware(
    project: Project,
    folder: Path,
    core: Core,
    tools: Tools,
    *,
    flash_bytes: int,
    ram_bytes: int,
    optimise: str = "-O2",
) -> Programs:
    """Compile for a core, with a device's own memory sizes in the linker script.

    Args:
        folder: existing; receives sources, objects and programs.
        ram_bytes: of the device, for arena and stack.
        optimise: the compiler's optimisation option.

    Raises:
        ExportError: if it does not compile or does not fit; quotes the linker.
    """
    stack_bytes = _stack_bytes(project, ram_bytes)
    write_link_script(folder / "plain.ld", core, (flash_bytes, ram_bytes, stack_bytes))
    # The recording hook takes stack that the network itself does not need.
    sizes = (flash_bytes, ram_bytes + _STACK_BYTES, _STACK_BYTES)
    write_link_script(folder / "traced.ld", core, sizes)
    counter = [f"-D{name}={value}" for name, value in core.counter.items()]
    own = [*core.flags, *_COMMON_FLAGS, *_flags(project)]
    flags = [*own, *counter, "-ffunction-sections", optimise]
    link = [*core.flags, "-nostartfiles", "-Wl,--gc-sections", "-T{program}.ld", "-lm"]
    compiler, platform = (tools.compiler,), "platform_cortex_m.c"
    plain, traced = _build(project, folder, platform, compiler, flags, link, _BOTH)
    return Programs(
        plain=Firmware(
            folder=plain.parent, elf=plain, sizes=_sizes(plain, tools), traces=False,
            stack_bytes=stack_bytes,
        ),
        traced=Firmware(
            folder=traced.parent, elf=traced, sizes=None, traces=True, stack_bytes=_STACK_BYTES
        ),
    )  # fmt: skip


def _flags(project: Project) -> list[str]:
    """Return options of a project; where raw values are known, the harness feeds those."""
    raw, stream = project.raw, project.stream
    flags = [*project.flags, *([] if raw is None else [f"-DHARNESS_RAW={raw.c_type}"])]
    if stream is None:
        return flags
    kind, values = "int8_t", stream.frame_bytes
    if raw is not None and raw.frames is not None:
        kind, values = raw.c_type, raw.shape[0] * raw.frames.length
    return [*flags, f"-DHARNESS_FRAMES={kind}", f"-DHARNESS_FRAME_VALUES={values}"]


def write_link_script(path: Path, core: Core, sizes: tuple[int, int, int]) -> None:
    """Write a linker script; sizes are those of flash, RAM and, in it, the stack."""
    flash_bytes, ram_bytes, stack_bytes = sizes
    script = Template(harness_text("link.ld.in")).substitute(
        vectors_origin=hex(core.vectors_origin),
        flash_origin=hex(core.flash_origin),
        flash_bytes=flash_bytes,
        ram_origin=hex(core.ram_origin),
        ram_bytes=ram_bytes,
        harness_origin=hex(core.harness_origin),
        stack_bytes=stack_bytes,
    )
    path.write_text(script, encoding="utf-8")


def _stack_bytes(project: Project, ram_bytes: int) -> int:
    """Return what the linker keeps for the stack: all that a small device has left."""
    taken = project.memory.arena_bytes + (0 if project.raw is None else project.raw.ram_bytes or 0)
    left = (ram_bytes - taken) // _STACK_ALIGNMENT * _STACK_ALIGNMENT
    return min(max(left, _SMALLEST_STACK_BYTES), _STACK_BYTES)


def _build(
    project: Project,
    folder: Path,
    platform: str,
    compiler: Command,
    flags: Sequence[str],
    link_flags: Sequence[str],
    names: Sequence[str],
) -> list[Path]:
    """Compile every source once, the hooked ones for each program; return the programs.

    Args:
        platform: source of the measuring code's platform.
        link_flags: {program} in them stands for the program's name.
        names: of the programs, of `_BOTH`.
    """
    sources = _write_sources(project, folder, platform)

    def target_of(source: str, name: str) -> str:
        is_own = name == _TRACED and source in _HOOKED
        return f"{Path(source).stem}{'_traced' if is_own else ''}.o"

    def compile_one(job: tuple[str, str]) -> None:
        target, source = job
        defines = ["-DMODEL_TRACE"] if target.endswith("_traced.o") else []
        run_tool([*compiler, *flags, *defines, "-c", source, "-o", target], folder=folder)

    jobs = {target_of(source, name): source for name in names for source in sources}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, jobs.items()))
    programs = []
    for name in names:
        objects = [target_of(source, name) for source in sources]
        (folder / name).mkdir()
        program = folder / name / "network.elf"
        link = [flag.format(program=name) for flag in link_flags]
        run_tool([*compiler, *objects, *link, "-o", program], folder=folder)
        programs.append(program)
    return programs


def run_host(firmware: Firmware, project: Project, inputs: NDArray[Any]) -> Execution:
    """Run the host's program over inputs of shape [inputs, input bytes], or raw ones.

    Raises:
        ExportError: if it fails.
    """
    inputs.tofile(firmware.folder / "inputs.bin")
    run_tool([firmware.elf], folder=firmware.folder)
    return _read_results(firmware, project, len(inputs))


def run_firmware(
    firmware: Firmware, project: Project, inputs: NDArray[Any], core: Core, tools: Tools
) -> Execution:
    """Run a core's program in the emulator; instruction counts repeat exactly.

    Raises:
        ExportError: if the emulator fails or the program stops early.
    """
    inputs.tofile(firmware.folder / "inputs.bin")
    command: list[str | Path] = [
        tools.emulator, "-M", core.machine, "-nographic", "-monitor", "none", "-serial", "none",
        "-icount", f"shift={ICOUNT_SHIFT},align=off,sleep=off",
        "-semihosting-config", "enable=on,target=native",
        "-kernel", firmware.elf,
    ]  # fmt: skip
    run_tool(command, folder=firmware.folder)
    return _read_results(firmware, project, len(inputs))


def _write_sources(project: Project, folder: Path, platform: str) -> list[str]:
    texts = project_files(project)
    for name in ("harness.h", "harness.c", platform):
        texts[name] = harness_text(name)
    sources = [name for name in texts if name.endswith(".c") and name not in PROGRAMS]
    for name, text in texts.items():
        if name.endswith((".c", ".h")):
            (folder / name).write_text(text, encoding="utf-8")
    return sources


def harness_text(name: str) -> str:
    """Return a source of the measuring code."""
    return (files("hwkd.deploy.to_c") / "harness" / name).read_text(encoding="utf-8")


def _sizes(elf: Path, tools: Tools) -> BuildSizes:
    listing = run_tool([tools.size, "-A", elf], folder=elf.parent)
    sections = {
        parts[0]: int(parts[1])
        for parts in (line.split() for line in listing.splitlines())
        if len(parts) == 3 and parts[1].isdigit()
    }
    symbols = run_tool([tools.size.with_name("arm-none-eabi-nm"), "-S", elf], folder=elf.parent)
    arena = next(line.split()[1] for line in symbols.splitlines() if line.endswith(" b arena"))
    data = sections.get(".data", 0)
    return BuildSizes(
        flash_bytes=sections.get(".text", 0) + data,
        ram_bytes=data + sections.get(".bss", 0),
        arena_bytes=int(arena, 16),
    )


def _read_results(firmware: Firmware, project: Project, count: int) -> Execution:
    size = project.output_bytes
    raw = np.fromfile(firmware.folder / "outputs.bin", np.uint8)
    if raw.size != count * (size + _TICKS_BYTES):
        done = raw.size // (size + _TICKS_BYTES)
        raise ExportError(f"{firmware.elf.name} stopped after {done} of {count} inputs")
    rows = raw.reshape(count, -1)
    step_ticks, step_outputs = _read_trace(firmware, project, count)
    of_raw = bool(step_outputs) and project.raw is not None
    stack = np.fromfile(firmware.folder / "stack.bin", np.uint32)
    if 0 < firmware.stack_bytes <= int(stack[0]):
        raise ExportError(f"the network needs more than {firmware.stack_bytes} bytes of stack")
    return Execution(
        outputs=rows[:, :size].copy().view(np.int8),
        ticks=rows[:, size:].copy().view(np.uint32).reshape(-1),
        step_ticks=step_ticks[:, 1:] if of_raw else step_ticks,
        step_outputs=step_outputs[1:] if of_raw else step_outputs,
        stack_bytes=int(stack[0]),
        features=step_outputs[0] if of_raw else None,
        feature_ticks=step_ticks[:, 0] if of_raw else None,
    )


def _read_trace(
    firmware: Firmware, project: Project, count: int
) -> tuple[_UInt32, tuple[_Int8, ...]]:
    if not firmware.traces:
        return np.empty((count, 0), np.uint32), ()
    sizes = [project.traced_bytes(step) for step in project.steps]
    if project.raw is not None:  # what raw values became comes first
        sizes.insert(0, project.input.elements)
    fields = np.dtype([
        item
        for index, size in enumerate(sizes)
        for item in ((f"t{index}", "<u4"), (f"y{index}", "i1", (size,)))
    ])  # fmt: skip
    rows = np.fromfile(firmware.folder / "trace.bin", fields)
    if len(rows) != count:
        raise ExportError(f"{firmware.elf.name} traced {len(rows)} of {count} inputs")
    ticks = np.stack([rows[f"t{index}"] for index in range(len(sizes))], axis=1)
    return ticks, tuple(rows[f"y{index}"] for index in range(len(sizes)))
