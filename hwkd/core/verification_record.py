"""What `hwkd search --verify` keeps of the check of the best student on an emulated core."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from hwkd.core.metric import ACCURACY, Scores
from hwkd.core.strict_model import StrictModel

__all__ = ["EmulatedLayerRecord", "EmulationRecord", "VerificationRecord"]


class EmulatedLayerRecord(StrictModel):
    """One step of the C on the emulated core; `instructions` are executed ones, not a time.

    Attributes:
        name: of the ONNX node.
        kind: operator class.
        macs: multiply-accumulates.
        instructions: executed.
        max_lsb: largest difference from ONNX Runtime's layer that reads the same integers.
        values: compared with it; None in runs that compared whole networks only.
        differing: of them; None likewise.
        averages_within_bound: averages at a tie that the order of a float sum decides.
    """

    name: str
    kind: str
    macs: int
    instructions: int
    max_lsb: int
    values: int | None = None
    differing: int | None = None
    averages_within_bound: int = 0


class EmulationRecord(StrictModel):
    """What ran: the exported C on this computer and on an emulated core, and ONNX Runtime.

    Attributes:
        emulated_cpu: that executed it.
        note: what a reader of the counts must know; empty if nothing.
        rounding: of accumulators.
        inputs: test examples.
        outputs: values of one output.
        mismatches_onnxruntime: output values of the core that differ from ONNX Runtime's.
        mismatches_host_c: output values of the core that differ from this computer's C.
        max_lsb: largest difference of an output from ONNX Runtime's, in int8 steps.
        intermediate_max_lsb: largest difference of any layer.
        averages_within_bound: of all layers.
        faults: why it did not pass; none if it did.
        scores: of the core's answers; None without labels.
        instructions: executed for one inference, at most.
        flash_bytes: code, constants and initial values, from the ELF file.
        flash_predicted_bytes: before compiling.
        ram_bytes: static data, from the ELF file.
        stack_bytes: high-water mark.
        ram_predicted_bytes: arena, static data and stack, before compiling.
        arena_bytes: part of the static data that holds tensors.
        layers: in execution order.
        tools: compiler and emulator -> version.
        seconds: wall time of the check.
    """

    emulated_cpu: str
    note: str = ""
    rounding: str
    inputs: int = Field(ge=1)
    outputs: int = Field(ge=1)
    mismatches_onnxruntime: int = Field(ge=0)
    mismatches_host_c: int = Field(ge=0)
    max_lsb: int
    intermediate_max_lsb: int
    averages_within_bound: int = 0
    faults: tuple[str, ...] = ()
    scores: Scores | None = None
    instructions: int
    flash_bytes: int
    flash_predicted_bytes: int | None = None
    ram_bytes: int
    stack_bytes: int
    ram_predicted_bytes: int | None = None
    arena_bytes: int
    layers: tuple[EmulatedLayerRecord, ...] = ()
    tools: dict[str, str] = Field(default_factory=dict)
    seconds: float

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "test_accuracy" not in raw:
            return raw
        kept = {name: value for name, value in raw.items() if name != "test_accuracy"}
        accuracy = raw["test_accuracy"]
        return {**kept, "scores": None if accuracy is None else {ACCURACY.name: accuracy}}


class VerificationRecord(StrictModel):
    """Outcome of the check.

    Attributes:
        core: compiled for.
        flash_limit_bytes: of the device, for the network.
        ram_limit_bytes: likewise.
        passed: the core equals this computer exactly, and ONNX Runtime in every layer as far as
            the rounding promises.
        failure: why nothing could be compared; None if it could.
        emulation: what ran; None if nothing did.
    """

    core: str
    flash_limit_bytes: int
    ram_limit_bytes: int
    passed: bool
    failure: str | None = None
    emulation: EmulationRecord | None = None
