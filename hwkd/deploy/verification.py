"""What a check of exported C is asked for, and what it found."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from hwkd.core.core_file import Core
from hwkd.core.metric import Scores
from hwkd.qgraph.requantise import Rounding

__all__ = [
    "ALLOWED_SHARE",
    "LayerCheck",
    "LayerDifference",
    "Mismatches",
    "Target",
    "Verification",
]

_ALLOWED_LSB = 1
# Of a layer's values, those that may differ by one step from a layer of ONNX Runtime that reads the
# same integers. Float rounding is ONNX Runtime's own. One fixed-point rounding differs at ties
# only, two of them (TensorFlow Lite's) near ties as well. Over the networks of
# `benchmarks/lib/c_networks.py` and the tests the largest shares are 0, 0.001% and 17%.
ALLOWED_SHARE: dict[Rounding, float] = {"float": 0.0, "q31": 0.02, "tflite": 0.25}


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
class LayerDifference:
    """How one step of the C differs from ONNX Runtime's layer that reads the same integers.

    Attributes:
        values: compared, of all inputs.
        differing: of them; those within the bound of an average are not counted.
        averages_within_bound: averages that fell to the other side of a tie, which the order of a
            float sum decides.
        max_lsb: largest difference, those averages left out.
    """

    values: int
    differing: int
    averages_within_bound: int
    max_lsb: int

    def fault(self, rounding: Rounding) -> str | None:
        """Say what is wrong; None where the layer is as it should be."""
        if self.max_lsb > _ALLOWED_LSB:
            return f"{self.differing:,} of {self.values:,} values differ, by up to {self.max_lsb}"
        share = ALLOWED_SHARE[rounding]
        # Of few values the share found lies far from the true one: three standard deviations are
        # allowed, and a single tie is no sign of a fault where ties may differ at all.
        spread = 3.0 * math.sqrt(share * (1.0 - share) * self.values)
        if self.differing > max(1 if share else 0, share * self.values + spread):
            return (
                f"{self.differing:,} of {self.values:,} values differ by 1, more than the "
                f"{share:.0%} that {rounding} rounding explains"
            )
        return None


@dataclass(frozen=True, kw_only=True)
class LayerCheck:
    """One step of the network.

    Attributes:
        name: of the ONNX node.
        kind: operator class.
        macs: multiply-accumulates.
        instructions: executed by the emulated core.
        difference: from ONNX Runtime.
    """

    name: str
    kind: str
    macs: int
    instructions: int
    difference: LayerDifference


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
        traced_inputs: how many the core and the host were compared for, tensor by tensor.
        outputs: values that one inference gives.
        mismatches: over all inputs.
        max_lsb: largest difference of an output from ONNX Runtime's.
        judged_max_lsb: the same without the inputs in which an average fell to the other side of
            a tie: there the layers are judged, not what follows from them at the output.
        intermediate_max_lsb: largest difference of any layer from ONNX Runtime's that reads the
            same integers.
        averages_within_bound: see `LayerDifference`, of all layers.
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
        scores: of the emulated core's answers; None without labels.
        seconds: wall time of the whole check.
        tools: compiler and emulator.
    """

    model: str
    device: str
    core: str
    emulated_cpu: str
    note: str
    rounding: Rounding
    kernels: str
    inputs: int
    traced_inputs: int
    outputs: int
    mismatches: Mismatches
    max_lsb: int
    judged_max_lsb: int
    intermediate_max_lsb: int
    averages_within_bound: int
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
    scores: Scores | None
    seconds: float
    tools: dict[str, str]

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, one phrase each; none when the check passed."""
        found = []
        if self.mismatches.host_c:
            found.append(f"{self.mismatches.host_c:,} outputs differ from this computer's C")
        if not self.host_tensors_equal:
            found.append("a tensor inside differs from this computer's C")
        if self.judged_max_lsb > _ALLOWED_LSB:
            found.append(f"outputs differ from ONNX Runtime by up to {self.judged_max_lsb} steps")
        for layer in self.instructions_per_layer:
            fault = layer.difference.fault(self.rounding)
            if fault is not None:
                found.append(f"layer {layer.name}: {fault}")
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether the core equals the host, and ONNX Runtime in every layer."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        layers = [
            {**asdict(layer.difference), **asdict(layer)} for layer in self.instructions_per_layer
        ]
        for layer in layers:
            del layer["difference"]
        return {
            **asdict(self),
            "instructions_per_layer": layers,
            "passed": self.passed,
            "faults": list(self.faults),
        }
