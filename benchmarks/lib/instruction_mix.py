"""Instructions of every step of exported C by what they do: memory, multiply, branch, rest.

QEMU's log names every block of code that it executes, the compiler's disassembler names the
instructions of a block. The counts repeat exactly; their sum is what `hwkd verify` counts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np

from hwkd.core.core_file import ICOUNT_SHIFT, Core
from hwkd.core.patches import Patches
from hwkd.deploy.to_c.export import build_project
from hwkd.deploy.to_c.step_builder import Kernels
from hwkd.deploy.toolchain import Tools, run_tool
from hwkd.deploy.verify_run import Firmware, build_firmware
from hwkd.qgraph.requantise import Rounding

CLASSES = ("memory", "multiply", "branch", "rest")
# Amounts in the order of `CLASSES`, then instructions.
Counts: TypeAlias = tuple[int, int, int, int, int]
_MIB = 1024 * 1024
# Code of the measuring harness; what runs between two calls of its hook is one step.
_MODEL = "model_run"
_HARNESS = re.compile(
    r"model_after_step|platform_|harness_main|reset_handler|model_init|call_on_stack|semihost|open_file|start_"
)
_EXECUTED = re.compile(r"Trace \d+: (\S+) \[[0-9a-f]+/([0-9a-f]+)/.*\] ?(.*)")
_MULTIPLY = re.compile(r"sm[lum]|um[alu]|ml[as]|mul|vf?n?m[lu]|vf[mn]|vrml|vq.*mul")
_MEMORY = re.compile(r"v?ld|v?st|push|pop|vpush|vpop")
_CONDITION = "eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|al"
_BRANCH = re.compile(
    rf"(b|bl|bx|blx|cbn?z|tb[bh]|[wd]ls(tp)?|le(tp)?|bx?({_CONDITION}))(\.[nw]|\.\d+)?$"
)


@dataclass(frozen=True, kw_only=True)
class StepMix:
    """What one step executed.

    Attributes:
        kind: operator class of the step.
        name: of its node.
        amounts: words moved, products, branches and other instructions, as `CLASSES`.
        instructions: all of them; one may move several words.
    """

    kind: str
    name: str
    amounts: tuple[int, ...]
    instructions: int


def mix_of_steps(
    model: Path,
    core: Core,
    tools: Tools,
    *,
    kernels: Kernels = "hwkd",
    rounding: Rounding | None = None,
    optimise: str = "-O2",
    patches: Patches | None = None,
) -> list[StepMix]:
    """Compile a network, run it once in the emulator and count every step.

    Args:
        model: int8 ONNX file.
        core: to compile for.
        tools: cross compiler and emulator.
        kernels: whose convolutions.
        rounding: of accumulators; the core's own when None.
        optimise: the compiler's optimisation option.
        patches: into which first layers are divided.
    """
    project = build_project(
        model,
        rounding=rounding or core.rounding,
        kernels=kernels,
        instruction_sets=(core.instruction_set, "helium"),
        patches=patches,
    )
    with TemporaryDirectory() as name:
        folder = Path(name)
        program = build_firmware(
            project, folder, core, tools, flash_bytes=_MIB, ram_bytes=_MIB, optimise=optimise
        ).traced
        noise = np.random.default_rng(0).integers(-128, 128, project.input.elements)
        noise.astype(np.int8).tofile(program.folder / "inputs.bin")
        found = list(_segments(_log(program, core, tools), _mnemonics(program, tools)))
    # After the last step the model returns.
    steps = found[: len(project.steps)]
    return [
        StepMix(kind=step.kind, name=step.name, amounts=counts[:-1], instructions=counts[-1])
        for step, counts in zip(project.steps, steps, strict=True)
    ]


def _log(program: Firmware, core: Core, tools: Tools) -> Path:
    log = program.folder / "blocks.log"
    run_tool(
        [
            tools.emulator, "-M", core.machine, "-nographic", "-monitor", "none",
            "-serial", "none", "-icount", f"shift={ICOUNT_SHIFT},align=off,sleep=off",
            "-semihosting-config", "enable=on,target=native",
            "-d", "in_asm,exec,nochain", "-D", log, "-kernel", program.elf,
        ],
        folder=program.folder,
    )  # fmt: skip
    return log


def _mnemonics(program: Firmware, tools: Tools) -> dict[int, Counts]:
    """Return address -> what the instruction there adds to each class."""
    objdump = tools.size.with_name("arm-none-eabi-objdump")
    listing = run_tool([objdump, "-d", "--no-show-raw-insn", program.elf], folder=program.folder)
    found = {}
    for line in listing.splitlines():
        parts = line.strip().split("\t")
        address = parts[0].rstrip(":")
        if len(parts) >= 2 and re.fullmatch(r"[0-9a-f]+", address):
            operands = parts[2] if len(parts) > 2 else ""
            found[int(address, 16)] = _classes(parts[1].strip(), operands)
    return found


def _classes(mnemonic: str, operands: str) -> Counts:
    if _MEMORY.match(mnemonic):
        words = len(_registers(operands)) if "{" in operands else 1
        words += mnemonic.startswith(("ldrd", "strd"))
        return (max(words, 1), 0, int("pc" in operands.partition("[")[0]), 0, 1)
    if _BRANCH.match(mnemonic):
        return (0, 0, 1, 0, 1)
    if _MULTIPLY.match(mnemonic):
        return (0, 1, 0, 0, 1)
    return (0, 0, 0, 1, 1)


def _registers(operands: str) -> list[str]:
    """Return the registers between braces, ranges counted out."""
    names: list[str] = []
    for part in operands.partition("{")[2].partition("}")[0].split(","):
        first, _, last = part.strip().partition("-")
        span = int(last[1:]) - int(first[1:]) + 1 if last[1:].isdigit() and last else 1
        names += [first] * span
    return names


def _segments(log: Path, mnemonics: dict[int, Counts]) -> Iterator[Counts]:
    """Yield the counts between two visits of the harness, where the model ran between them."""
    listed: dict[int, list[int]] = {}
    # By place in the emulator's memory: a block may be cut short when a clock runs out, and whole
    # again the next time.
    blocks: dict[str, list[int]] = {}
    current: list[int] = []
    executed: Counter[str] = Counter()
    is_step = False
    with log.open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("IN:"):
                current = []
            elif line.startswith("0x"):
                address = int(line.partition(":")[0], 16)
                if not current:
                    listed[address] = current
                current.append(address)
            elif (match := _EXECUTED.match(line)) is not None:
                place = match[1]
                if place not in blocks:
                    blocks[place] = listed[int(match[2], 16)]
                if not _HARNESS.match(match[3]):
                    executed[place] += 1
                    is_step |= match[3] == _MODEL
                elif executed:
                    if is_step:
                        yield _summed(executed, blocks, mnemonics)
                    executed, is_step = Counter(), False


def _summed(
    executed: Counter[str],
    blocks: dict[str, list[int]],
    mnemonics: dict[int, Counts],
) -> Counts:
    total = np.zeros(len(CLASSES) + 1, np.int64)
    for place, times in executed.items():
        for address in blocks[place]:
            if address in mnemonics:
                total += np.multiply(mnemonics[address], times)
    memory, multiply, branch, rest, instructions = (int(count) for count in total)
    return memory, multiply, branch, rest, instructions
