"""What a check of exported C is asked for, and what it found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from hwkd.deploy.toolchain import Core

__all__ = ["LayerCheck", "Mismatches", "Target", "Verification"]

_ALLOWED_LSB = 1


@dataclass(frozen=True, kw_only=True)
class Target:
    """What the C is compiled for.

    Attributes:
        name: of the device.
        core: its processor.
        flash_bytes: that the network may use, vector table included.
        ram_bytes: that it may use for arena and stack.
    """

    name: str
    core: Core
    flash_bytes: int
    ram_bytes: int


@dataclass(frozen=True, kw_only=True)
class Mismatches:
    """Output values of the emulated core that differ.

    Attributes:
        onnxruntime: from ONNX Runtime's.
        host_c: from those of the same C on this computer.
    """

    onnxruntime: int
    host_c: int


@dataclass(frozen=True, kw_only=True)
class LayerCheck:
    """One step of the network.

    Attributes:
        name: of the ONNX node.
        kind: operator class.
        macs: multiply-accumulates.
        instructions: executed by the emulated core.
        max_lsb: largest difference of its output from ONNX Runtime's.
    """

    name: str
    kind: str
    macs: int
    instructions: int
    max_lsb: int


@dataclass(frozen=True, kw_only=True)
class Verification:
    """Result of a check; every number in it comes from a program that ran, but for predictions.

    Attributes:
        model: file name.
        device: as asked for.
        core: compiled for.
        emulated_cpu: that executed it.
        note: what a reader of the counts must know.
        rounding: of accumulators.
        kernels: "hwkd" or "cmsis-nn".
        inputs: how many.
        traced_inputs: how many were compared tensor by tensor.
        outputs: values of one output.
        mismatches: over all inputs.
        max_lsb: largest difference of an output from ONNX Runtime's.
        intermediate_max_lsb: largest difference of any tensor from ONNX Runtime's.
        host_tensors_equal: whether every traced tensor equals the host's.
        instructions_per_inference: the most over all inputs.
        instructions_per_layer: in execution order.
        flash_bytes: code, constants and initial values, from the ELF.
        flash_predicted_bytes: before compiling; None where the core's code sizes are not known.
        ram_bytes: static data, from the ELF.
        ram_predicted_bytes: static data and stack, before compiling; None likewise.
        stack_bytes: high-water mark.
        arena_bytes: from the ELF.
        arena_predicted_bytes: by the planner, before compiling.
        accuracy_ratio: of the emulated core's answers; None without labels.
        seconds: wall time of the whole check.
        tools: compiler and emulator.
    """

    model: str
    device: str
    core: str
    emulated_cpu: str
    note: str
    rounding: str
    kernels: str
    inputs: int
    traced_inputs: int
    outputs: int
    mismatches: Mismatches
    max_lsb: int
    intermediate_max_lsb: int
    host_tensors_equal: bool
    instructions_per_inference: int
    instructions_per_layer: tuple[LayerCheck, ...]
    flash_bytes: int
    flash_predicted_bytes: int | None
    ram_bytes: int
    ram_predicted_bytes: int | None
    stack_bytes: int
    arena_bytes: int
    arena_predicted_bytes: int
    accuracy_ratio: float | None
    seconds: float
    tools: dict[str, str]

    @property
    def passed(self) -> bool:
        """Whether the host's C equals the core's and ONNX Runtime is within one step."""
        return (
            self.mismatches.host_c == 0 and self.host_tensors_equal and self.max_lsb <= _ALLOWED_LSB
        )

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**asdict(self), "passed": self.passed}
