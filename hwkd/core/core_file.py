"""What one file of `devices/cores/` says: how to compile for a core and what emulates it.

`hwkd.io.core_files` reads the files; `kind` says whether it is a processor or an NPU.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import ConfigDict, Field

from hwkd.core.strict_model import StoredInt, StrictModel

InstructionSet: TypeAlias = Literal["portable", "dsp", "helium"]
Rounding: TypeAlias = Literal["float", "q31", "tflite"]

# QEMU's -icount shift: every instruction takes 2^6 ns of the emulated clock, always.
ICOUNT_SHIFT = 6
_INSTRUCTION_S = float(1 << ICOUNT_SHIFT) * 1e-9

# A core file may come from somebody else: options of the processor alone reach the compiler, as
# others load plug-ins, read files or start programs.
_MachineOption = Annotated[str, Field(pattern=r"^-m[a-z0-9-]+(=[a-zA-Z0-9+._-]+)?$")]
_Word = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
_VelaWord = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
_Macro = Annotated[str, Field(pattern=r"^HARNESS_[A-Z_]+$")]
_Address = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{1,8}$")]
_Origin = Annotated[int, Field(ge=0, lt=2**32)]
_Bytes = Annotated[StoredInt, Field(ge=0)]


class _Facts(StrictModel):
    model_config = ConfigDict(allow_inf_nan=False)


class Part(_Facts):
    """A common chip with this core, for a check that names no device."""

    flash_bytes: StoredInt = Field(gt=0)
    ram_bytes: StoredInt = Field(gt=0)
    source: str = Field(min_length=1)


class PlainCode(_Facts):
    """What plain C takes, such as that of features; kernels have prices of their own."""

    cycles_per_instruction: float = Field(gt=0)
    source: str = Field(min_length=1)


class RestSizes(_Facts):
    """What a core needs besides kernels, constants and arena; fitted to ELF files and stacks.

    Attributes:
        model_bytes: code of model.c around the calls.
        library_stack_bytes: of library functions below a kernel that calls some.
    """

    model_bytes: _Bytes
    call_bytes: _Bytes
    library_stack_bytes: _Bytes


class KernelCode(_Facts):
    """One kernel, compiled alone.

    Attributes:
        library: symbols of newlib and libgcc that it needs.
    """

    own_bytes: _Bytes
    stack_bytes: _Bytes
    library: tuple[str, ...] = ()


class RoundingCode(_Facts):
    """The kernels with one rounding of accumulators.

    Attributes:
        functions: kernel, without prefix -> its code.
        library: symbol -> bytes; linked once however many kernels need it.
        always: symbols that every program needs.
    """

    functions: dict[str, KernelCode]
    library: dict[str, _Bytes]
    always: tuple[str, ...] = ()


class CodeSizes(_Facts):
    """Code of the exported C; written by `python -m tools.c_code_size --write`.

    Attributes:
        by_rounding: rounding -> kernels.
    """

    compiler: str
    by_rounding: dict[Rounding, RoundingCode]


class Core(_Facts):
    """One processor core.

    Attributes:
        kind: says that this is a file of a processor core.
        name: a device's core in small letters, digits and dashes; equals the file's name.
        flags: compiler options that choose the processor.
        rounding: default, float where the core has an FPU.
        machine: QEMU board.
        emulated_cpu: what that board's processor is.
        note: what a reader of the numbers must know; empty when the core itself is emulated.
        flash_origin: where the board has memory for the device's flash.
        counter: preprocessor definitions of the board's counter.
        part: for a check that names no device.
        plain_code: None where nobody says what an instruction takes.
        rest: None where code was never measured: flash and RAM are then known after compiling only.
        code_sizes: None likewise.
    """

    schema_version: Literal[1]
    kind: Literal["core"]
    name: _Word
    flags: tuple[_MachineOption, ...] = Field(min_length=1)
    instruction_set: InstructionSet
    rounding: Rounding
    machine: _Word
    emulated_cpu: str = Field(min_length=1)
    note: str = ""
    vectors_origin: _Origin = 0x0000_0000
    flash_origin: _Origin = 0x0000_0400
    ram_origin: _Origin = 0x2000_0000
    harness_origin: _Origin = 0x2100_0000
    counter: dict[_Macro, _Address] = Field(min_length=1)
    counter_hz: float = Field(gt=0)
    part: Part
    plain_code: PlainCode | None = None
    rest: RestSizes | None = None
    code_sizes: CodeSizes | None = None

    def instructions(self, ticks: int) -> int:
        """Return executed instructions from ticks of the board's counter."""
        return round(ticks / (self.counter_hz * _INSTRUCTION_S))

    def kernel_code(self, rounding: Rounding) -> RoundingCode | None:
        """Return the kernels' code with a rounding; None where it was never measured."""
        return None if self.code_sizes is None else self.code_sizes.by_rounding.get(rounding)


class Npu(_Facts):
    """An NPU in one of the systems that vela's own configuration file describes.

    Attributes:
        accelerator: vela's --accelerator-config.
        system: vela's --system-config: clock, buses and memories.
        memory_mode: vela's --memory-mode: what lies in which memory.
    """

    schema_version: Literal[1]
    kind: Literal["npu"]
    name: _Word
    accelerator: _VelaWord
    system: _VelaWord
    memory_mode: _VelaWord
    source: str = Field(min_length=1)
