"""Compilers and emulators: where they are, and how they are run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from hwkd.core.errors import ExportError

# A program with the arguments that belong to it.
Command: TypeAlias = tuple[str | Path, ...]

INSTALL_COMMAND = (
    "apt-get install -y --no-install-recommends qemu-system-arm gcc-arm-none-eabi "
    "libnewlib-arm-none-eabi"
)


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


@cache
def _version(program: Path) -> str:
    lines = run_tool([program, "--version"], folder=Path.cwd(), timeout_s=20).splitlines()
    return lines[0] if lines else ""
