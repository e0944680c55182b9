"""Cortex-M cores as compilers and emulators know them, and where those tools are."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from hwkd.core.errors import ExportError, UnknownNameError
from hwkd.deploy.to_c.steps import InstructionSet
from hwkd.qgraph.requantise import Rounding

__all__ = [
    "CORES",
    "ICOUNT_SHIFT",
    "INSTALL_COMMAND",
    "Command",
    "Core",
    "Tools",
    "core_of",
    "find_host_compiler",
    "find_tools",
    "host_compiler",
    "run_tool",
]

# A program with the arguments that belong to it.
Command: TypeAlias = tuple[str | Path, ...]

INSTALL_COMMAND = (
    "apt-get install -y --no-install-recommends qemu-system-arm gcc-arm-none-eabi "
    "libnewlib-arm-none-eabi"
)

# QEMU's -icount shift: every instruction takes 2^6 ns of the emulated clock, always.
ICOUNT_SHIFT = 6
_INSTRUCTION_S = float(1 << ICOUNT_SHIFT) * 1e-9


@dataclass(frozen=True, kw_only=True)
class Core:
    """One processor core: how to compile for it and what emulates it.

    Attributes:
        name: as a device file writes it, lower case.
        flags: compiler options.
        instruction_set: kernels that its code uses.
        rounding: default, float where the core has an FPU.
        machine: QEMU board.
        emulated_cpu: what that board's processor is.
        note: what a reader of the numbers must know; empty when the core itself is emulated.
        vectors_origin: address of the vector table after reset.
        flash_origin: where the board has memory for the device's flash.
        ram_origin: for the device's RAM.
        harness_origin: for the measuring code and its buffers.
        counter: preprocessor definitions of the board's counter.
        counter_hz: its frequency.
        memory: flash and RAM in bytes of a common part, for cores without a device file.
        memory_source: that part and its data sheet.
    """

    name: str
    flags: tuple[str, ...]
    instruction_set: InstructionSet
    rounding: Rounding
    machine: str
    emulated_cpu: str
    note: str = ""
    vectors_origin: int = 0x0000_0000
    flash_origin: int = 0x0000_0400
    ram_origin: int = 0x2000_0000
    harness_origin: int = 0x2100_0000
    counter: Mapping[str, str] = field(
        default_factory=lambda: {"HARNESS_CMSDK_TIMER": "0x40000000"}
    )
    counter_hz: float = 25e6
    memory: tuple[int, int] = (512 * 1024, 128 * 1024)
    memory_source: str = ""

    def instructions(self, ticks: int) -> int:
        """Return executed instructions from ticks of the board's counter."""
        return round(ticks / (self.counter_hz * _INSTRUCTION_S))


_CORES = (
    Core(
        name="cortex-m0plus",
        flags=("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"),
        instruction_set="portable",
        rounding="q31",
        machine="mps2-an385",
        emulated_cpu="Cortex-M3",
        note="Armv6-M code compiled for the M0+, executed by QEMU's Cortex-M3, which runs every "
        "Armv6-M instruction; QEMU has no Cortex-M0+",
        memory=(512 * 1024, 144 * 1024),
        memory_source="STM32G0B1xE, DS13560",
    ),
    Core(
        name="cortex-m3",
        flags=("-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft"),
        instruction_set="portable",
        rounding="q31",
        machine="mps2-an385",
        emulated_cpu="Cortex-M3",
        memory=(512 * 1024, 80 * 1024),
        memory_source="STM32L152xE, DS10002",
    ),
    Core(
        name="cortex-m4",
        flags=("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
        instruction_set="dsp",
        rounding="float",
        machine="mps2-an386",
        emulated_cpu="Cortex-M4",
        memory=(2048 * 1024, 640 * 1024),
        memory_source="STM32L4R5xx, DS12023",
    ),
    Core(
        name="cortex-m7",
        flags=("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
        instruction_set="dsp",
        rounding="float",
        machine="mps2-an500",
        emulated_cpu="Cortex-M7",
        harness_origin=0x6000_0000,
        memory=(2048 * 1024, 1024 * 1024),
        memory_source="STM32H7A3xI, DS13195",
    ),
    Core(
        name="cortex-m33",
        flags=("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
        instruction_set="dsp",
        rounding="float",
        machine="mps2-an505",
        emulated_cpu="Cortex-M33",
        vectors_origin=0x1000_0000,
        flash_origin=0x1000_0400,
        ram_origin=0x3800_0000,
        harness_origin=0x8000_0000,
        counter={"HARNESS_CMSDK_TIMER": "0x50000000"},
        counter_hz=20e6,
        memory=(2048 * 1024, 768 * 1024),
        memory_source="STM32U575xI, DS13737",
    ),
    Core(
        name="cortex-m55",
        flags=("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
        instruction_set="helium",
        rounding="float",
        machine="mps3-an547",
        emulated_cpu="Cortex-M55",
        vectors_origin=0x1000_0000,
        flash_origin=0x1100_0000,
        ram_origin=0x3100_0000,
        harness_origin=0x7000_0000,
        counter={"HARNESS_SSE_COUNTER": "0x58100000", "HARNESS_SSE_TIMER": "0x58000000"},
        counter_hz=32e6,
        memory=(2048 * 1024, 1024 * 1024),
        memory_source="memories of the emulated board; no device file names a part",
    ),
)

CORES: Mapping[str, Core] = {core.name: core for core in _CORES}


@dataclass(frozen=True, kw_only=True)
class Tools:
    """Programs that a check on an emulated core needs.

    Attributes:
        compiler: arm-none-eabi-gcc.
        size: arm-none-eabi-size.
        emulator: qemu-system-arm.
        versions: first line of each one's --version.
    """

    compiler: Path
    size: Path
    emulator: Path
    versions: Mapping[str, str]


def core_of(device_core: str) -> Core:
    """Return the core that a device file names.

    Raises:
        UnknownNameError: if no compiler flags are known for it.
    """
    name = device_core.lower().replace("+", "plus").replace(" ", "-")
    if name not in CORES:
        raise UnknownNameError("emulated core", device_core, CORES)
    return CORES[name]


def host_compiler() -> Command | None:
    """Return the computer's own C compiler, the one in the package `ziglang`, or None."""
    for name in ("cc", "gcc", "clang"):
        found = shutil.which(name)
        if found:
            return (Path(found),)
    spec = find_spec("ziglang")
    if spec is not None and spec.submodule_search_locations:
        return (Path(spec.submodule_search_locations[0]) / "zig", "cc")
    return None


def find_host_compiler() -> Command:
    """Return what `host_compiler` does.

    Raises:
        ExportError: if there is none; says what to install.
    """
    command = host_compiler()
    if command is None:
        raise ExportError(
            "no C compiler (cc, gcc or clang) on PATH; run `apt-get install -y gcc` or "
            '`pip install "hwkd[compile]"`'
        )
    return command


def find_tools() -> Tools:
    """Return the cross compiler and the emulator.

    Raises:
        ExportError: if one is missing; says which and the exact command that installs it.
    """
    names = ("arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm")
    found = {name: shutil.which(name) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise ExportError(f"{', '.join(missing)} not found on PATH; run `{INSTALL_COMMAND}`")
    compiler, size, emulator = (Path(str(found[name])) for name in names)
    return Tools(
        compiler=compiler,
        size=size,
        emulator=emulator,
        versions={path.name: _version(path) for path in (compiler, emulator)},
    )


def run_tool(command: Sequence[str | Path], *, folder: Path, timeout_s: float = 600) -> str:
    """Run a program in a folder and return what it printed.

    Raises:
        ExportError: if it fails or takes too long; quotes the line of its output that says why.
    """
    program = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{program} took more than {timeout_s:.0f} s; fewer inputs?") from error
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        telling = [line for line in lines if "overflowed" in line or "error:" in line]
        reason = (telling or lines[-1:] or [f"exit code {done.returncode}"])[0]
        raise ExportError(f"{program} failed: {reason.strip()}")
    return done.stdout


def _version(program: Path) -> str:
    lines = run_tool([program, "--version"], folder=Path.cwd(), timeout_s=20).splitlines()
    return lines[0] if lines else ""
