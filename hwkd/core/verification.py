"""What a check of exported C is asked for, and what it found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from hwkd.core.core_file import Core, Rounding
from hwkd.core.limits import Fit
from hwkd.core.metric import ACCURACY, Scores
from hwkd.core.strict_model import StoredInt, StrictModel

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
        flash_bytes: that the network may use, vector table included.
        ram_bytes: that it may use for arena and stack.
    """

    name: str
    core: Core
    flash_bytes: StoredInt
    ram_bytes: StoredInt


class Mismatches(StrictModel):
    """Output values of the emulated core that differ.

    Attributes:
        onnxruntime: from ONNX Runtime's.
    """

    onnxruntime: StoredInt = Field(ge=0)
    host_c: StoredInt = Field(ge=0)


class LayerCheck(StrictModel):
    """One step of the C and how it differs from ONNX Runtime's layer that reads the same integers.

    Attributes:
        instructions: executed by the emulated core; not a time.
        values: compared, of all inputs; None in runs that compared whole networks only.
        differing: of them; those within the bound of an average are not counted. None likewise.
        averages_within_bound: averages that fell to the other side of a tie, which the order of a
            float sum decides.
        averages_at_tie: averages for which that order decides, whether they differ or not; None
            in runs that did not count them.
        max_lsb: largest difference, those averages left out.
    """

    name: str
    kind: str
    macs: StoredInt
    instructions: StoredInt
    values: StoredInt | None = None
    differing: StoredInt | None = None
    averages_within_bound: StoredInt = 0
    averages_at_tie: StoredInt | None = None
    max_lsb: StoredInt

    @property
    def differing_text(self) -> str:
        """How many values differ, averages at a tie beside them."""
        if self.differing is None:
            return "not counted"
        ties = self.averages_within_bound
        return f"{self.differing:,}" + (f" + {ties:,} at a tie" if ties else "")


class FeatureCheck(StrictModel):
    """Features of raw samples: the core's C beside what they are in training.

    Attributes:
        values: int8 inputs of the network compared, of all raw inputs on this computer.
        differing: of them, from NumPy's.
        core_values: the same on the emulated core, of the traced inputs.
        core_differing: of them.
        instructions: executed by the core for one raw input, the most; not a time.
        ram_bytes: static memory beside the arena.
        table_bytes: constants.
    """

    values: StoredInt
    differing: StoredInt
    core_values: StoredInt
    core_differing: StoredInt
    instructions: StoredInt
    ram_bytes: StoredInt
    table_bytes: StoredInt


class PreparedCheck(StrictModel):
    """Raw values that `model_run_raw` brings to scale in floats, through a program of its own.

    Attributes:
        values: int8 inputs of the network compared, here and on the core each.
        differing: of them on this computer, from NumPy's.
        core_differing: the same on the core.
        max_lsb: largest of these differences.
        answers_differing: outputs of the core's program that are not those of the network's C
            for the int8 inputs that the core made.
        instructions: executed by the core to bring one raw input to scale, the most; not in
            `instructions_per_inference`, not a time.
    """

    values: StoredInt
    differing: StoredInt
    core_differing: StoredInt
    max_lsb: StoredInt
    answers_differing: StoredInt
    instructions: StoredInt


class StreamCheck(StrictModel):
    """A recording through the C that takes frames as they come, beside whole windows.

    Attributes:
        frames: that went through it.
        answers: of whole windows, each compared.
        values: outputs of them all.
        differing: of them on this computer, from those of the C of whole windows.
        core_differing: the same on the emulated core.
        onnxruntime_max_lsb: largest difference of the core's from ONNX Runtime's of the windows.
        instructions_per_frame: executed by the core on average, features among them where the
            network takes raw samples; not a time.
        ram_bytes: static data from the ELF, and stack.
        ram_predicted_bytes: the same before compiling; None where the core's sizes are not known.
    """

    frames: StoredInt
    hop_frames: StoredInt
    window_frames: StoredInt
    answers: StoredInt
    values: StoredInt
    differing: StoredInt
    core_differing: StoredInt
    onnxruntime_max_lsb: StoredInt
    instructions_per_frame: float
    flash_bytes: StoredInt
    flash_predicted_bytes: StoredInt | None = None
    ram_bytes: StoredInt
    ram_predicted_bytes: StoredInt | None = None
    stack_bytes: StoredInt


class ExitCheck(StrictModel):
    """Inferences that ended at one output of a network with exits.

    Attributes:
        output: its name; the last one is the end of the network.
        instructions: their mean on the emulated core; None where none ended there.
    """

    output: str
    inputs: StoredInt
    instructions: StoredInt | None = None


class Verification(StrictModel):
    """Result of a check; every number in it comes from a program that ran, but for predictions.

    What is None by default is not in runs of older versions.

    Attributes:
        note: what a reader of the counts must know; empty if nothing.
        kernels: "hwkd" or "cmsis-nn".
        max_lsb: largest difference of an output from ONNX Runtime's.
        judged_max_lsb: the same without the inputs in which an average fell to the other side of
            a tie: there the layers are judged, not what follows from them at the output.
        intermediate_max_lsb: largest difference of any layer from ONNX Runtime's that reads the
            same integers.
        averages_within_bound: see `LayerCheck`, of all layers.
        host_tensors_equal: whether every traced tensor equals the host's.
        faults: why the check did not pass, one phrase each; none if it did.
        instructions_per_inference: the most over all inputs.
        exits: in execution order; none of a network that always runs to its end.
        instructions_per_layer: in execution order.
        flash_bytes: code, constants and initial values, from the ELF.
        flash_predicted_bytes: before compiling; None where the core's code sizes are not known.
        ram_bytes: static data, from the ELF.
        ram_predicted_bytes: static data and stack, before compiling; None likewise.
        stack_bytes: high-water mark.
        arena_bytes: from the ELF.
        arena_predicted_bytes: by the planner, before compiling.
        fit: whether what was built fits the device, its stack included.
        scores: of the emulated core's answers; None without labels.
        features: of raw samples, where the network takes some; instructions per inference have
            theirs, too.
        prepared: of raw values that become floats first; None where raw values stay in integers,
            or none are known.
        stream: of the C that takes frames as they come; None where it was not asked for.
        seconds: wall time of the whole check.
    """

    model: str | None = None
    device: str | None = None
    core: str | None = None
    emulated_cpu: str
    note: str = ""
    rounding: Rounding
    kernels: str | None = None
    inputs: StoredInt = Field(ge=1)
    traced_inputs: StoredInt | None = None
    outputs: StoredInt = Field(ge=1)
    mismatches: Mismatches
    max_lsb: StoredInt
    judged_max_lsb: StoredInt | None = None
    intermediate_max_lsb: StoredInt
    averages_within_bound: StoredInt = 0
    host_tensors_equal: bool | None = None
    faults: tuple[str, ...] = ()
    instructions_per_inference: StoredInt
    exits: tuple[ExitCheck, ...] = ()
    instructions_per_layer: tuple[LayerCheck, ...] = ()
    flash_bytes: StoredInt
    flash_predicted_bytes: StoredInt | None = None
    ram_bytes: StoredInt
    ram_predicted_bytes: StoredInt | None = None
    stack_bytes: StoredInt
    arena_bytes: StoredInt
    arena_predicted_bytes: StoredInt | None = None
    fit: Fit | None = None
    scores: Scores | None = None
    features: FeatureCheck | None = None
    prepared: PreparedCheck | None = None
    stream: StreamCheck | None = None
    seconds: float
    tools: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "instructions" not in raw:
            return raw
        kept = {_OLD_NAMES.get(name, name): value for name, value in raw.items()}
        kept["mismatches"] = {
            name: kept.pop(f"mismatches_{name}", None) for name in ("onnxruntime", "host_c")
        }
        if (accuracy := kept.pop("test_accuracy", None)) is not None:
            kept["scores"] = {ACCURACY.name: accuracy}
        return kept

    @property
    def passed(self) -> bool:
        """Whether the core equals the host, and ONNX Runtime in every layer."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        fit = None if self.fit is None else self.fit.as_dict()
        return {**self.model_dump(mode="json"), "fit": fit, "passed": self.passed}


_OLD_NAMES = {"instructions": "instructions_per_inference", "layers": "instructions_per_layer"}


def judged(found: Verification) -> Verification:
    """Return a comparison with what is wrong in it, one phrase each; none when it passes."""
    faults = []
    checked = found.features
    if checked is not None and checked.differing + checked.core_differing:
        faults.append(
            f"features of raw samples differ from those of training: {checked.differing:,} values "
            f"on this computer, {checked.core_differing:,} on the core"
        )
    prepared = found.prepared
    if prepared is not None and prepared.max_lsb > _ALLOWED_LSB:
        faults.append(
            f"raw values become other inputs than in training: {prepared.differing:,} of "
            f"{prepared.values:,} differ on this computer, {prepared.core_differing:,} on the "
            f"core, by up to {prepared.max_lsb} steps"
        )
    if prepared is not None and prepared.answers_differing:
        faults.append(
            f"{prepared.answers_differing:,} outputs of model_run_raw differ from the network's"
        )
    stream = found.stream
    if stream is not None and stream.differing + stream.core_differing:
        faults.append(
            f"of {stream.values:,} outputs frame by frame {stream.differing:,} on this computer "
            f"and {stream.core_differing:,} on the core differ from those of whole windows"
        )
    if found.mismatches.host_c:
        faults.append(f"{found.mismatches.host_c:,} outputs differ from this computer's C")
    if not found.host_tensors_equal:
        faults.append("a tensor inside differs from this computer's C")
    if (found.judged_max_lsb or 0) > _ALLOWED_LSB:
        faults.append(f"outputs differ from ONNX Runtime by up to {found.judged_max_lsb} steps")
    for layer in found.instructions_per_layer:
        fault = layer_fault(
            found.rounding,
            values=layer.values or 0,
            differing=layer.differing or 0,
            max_lsb=layer.max_lsb,
        )
        if fault is not None:
            faults.append(f"layer {layer.name}: {fault}")
    return found.model_copy(update={"faults": tuple(faults)})


def layer_fault(rounding: Rounding, *, values: int, differing: int, max_lsb: int) -> str | None:
    """Say what is wrong with a layer; None where it is as it should be."""
    if max_lsb > _ALLOWED_LSB:
        return f"{differing:,} of {values:,} values differ, by up to {max_lsb}"
    share = ALLOWED_SHARE[rounding]
    # Of few values the share found lies far from the true one: three standard deviations are
    # allowed, and a single tie is no sign of a fault where ties may differ at all.
    spread = 3.0 * math.sqrt(share * (1.0 - share) * values)
    if differing > max(1 if share else 0, share * values + spread):
        return (
            f"{differing:,} of {values:,} values differ by 1, more than the "
            f"{share:.0%} that {rounding} rounding explains"
        )
    return None


class VerificationRecord(StrictModel):
    """What a search keeps of the check of its best student.

    Attributes:
        passed: the core equals this computer exactly, and ONNX Runtime in every layer as far as
            the rounding promises.
        failure: why nothing could be compared; None if it could.
        emulation: what ran; None if nothing did.
    """

    core: str
    flash_limit_bytes: StoredInt
    ram_limit_bytes: StoredInt
    passed: bool
    failure: str | None = None
    emulation: Verification | None = None
