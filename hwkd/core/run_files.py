"""What `run.json` in a run folder holds: the facts about a search that no single trial knows.

Together with `trials.jsonl` it is all that a report reads. The engine writes it when the search
starts and replaces it, whole, when a phase ends; `final` is filled once, after the test split was
read. Readers of old `schema_version`s stay for ever; see `tests/golden/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hwkd.core.errors import RunFolderError
from hwkd.core.student import Layer
from hwkd.core.trial import CostRecord, EpochRecord, LimitName, ProfileRecord, SpecRecord
from hwkd.core.verification_record import VerificationRecord

__all__ = [
    "RUN_FILE",
    "TRIALS_FILE",
    "ControlRecord",
    "Correction",
    "DataRecord",
    "DeviceRecord",
    "EnvironmentRecord",
    "FeasibilityRecord",
    "FinalRecord",
    "GainRecord",
    "LayerRecord",
    "LimitRecord",
    "NormalisationRecord",
    "ObjectiveSettings",
    "QuantisationChoiceRecord",
    "QuantisationRecord",
    "RunRecord",
    "RunStatus",
    "SplitRecord",
    "TeacherRecord",
    "read_run_record",
]

RUN_FILE = "run.json"
TRIALS_FILE = "trials.jsonl"

Correction: TypeAlias = Literal["channel equalisation", "bias correction"]
RunStatus: TypeAlias = Literal["running", "finished", "interrupted", "stopped by timeout"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitRecord(_Frozen):
    """One hard limit in force.

    Attributes:
        name: what is limited; "ram" is peak RAM, "flash" weights and code, "weights" weights alone.
        value: seconds, bytes or joules.
        origin: the device descriptor gave it, or an option did.
    """

    name: LimitName
    value: float = Field(gt=0)
    origin: Literal["device", "option"]


class DeviceRecord(_Frozen):
    """The target.

    Attributes:
        name: catalogue name or the path that was given.
        core: processor core, for example "Cortex-M7".
        clock_hz: clock that the numbers are for; None when the device is measured as it runs.
        runtime: inference runtime that the numbers are for.
        runtime_version: of that runtime; None when the descriptor states none.
        dtype: of the network on the device.
        latency_basis: "estimated" by the device model, or "measured" (`host`).
        latency_risk: end of the 90% latency interval that must stay inside the limit.
        limits: hard limits in force; one that is absent does not hold.
    """

    name: str
    core: str
    clock_hz: float | None
    runtime: str
    runtime_version: str | None = None
    dtype: str = "int8"
    latency_basis: Literal["estimated", "measured"] = "estimated"
    latency_risk: Literal["upper", "expected", "lower"] = "upper"
    limits: tuple[LimitRecord, ...] = ()

    def limit(self, name: LimitName) -> LimitRecord | None:
        """Return the limit called `name`, None when it does not hold."""
        return next((limit for limit in self.limits if limit.name == name), None)


class SplitRecord(_Frozen):
    """One split; `class_counts` is in the order of `DataRecord.class_names`."""

    name: Literal["train", "validation", "test"]
    class_counts: tuple[int, ...]

    @property
    def samples(self) -> int:
        """Number of examples."""
        return sum(self.class_counts)


class NormalisationRecord(_Frozen):
    """What firmware does before the network: `(raw - mean) / std` per channel.

    Attributes:
        mean: one per channel, in units of the raw data.
        std: one per channel, same units, > 0.
        raw_low: smallest raw value.
        raw_high: largest raw value.
        raw_dtype: type of the raw data, for example "uint8".
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    raw_low: float
    raw_high: float
    raw_dtype: str


class DataRecord(_Frozen):
    """The data set.

    Attributes:
        task: name of the task.
        source: where the data came from, for people.
        fingerprint: SHA-256 over content, splits and preprocessing.
        input_shape: without batch.
        class_names: in the order of the labels.
        splits: train, validation, test.
        split_seed: seed of the splits that were made.
        normalisation: what was applied to the inputs.
        notes: what a reader must know: splits made, files left out, layout guessed.
    """

    task: str
    source: str
    fingerprint: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    splits: tuple[SplitRecord, ...]
    split_seed: int
    normalisation: NormalisationRecord
    notes: tuple[str, ...] = ()


class TeacherRecord(_Frozen):
    """The teacher.

    Attributes:
        kind: "trained here", "onnx" or "factory".
        description: what network it is.
        validation_accuracy: 0 to 1.
        test_accuracy: 0 to 1; None when it was never measured.
        seconds: spent on training it, loading it and computing its logits in this run.
        from_cache: it was trained by an earlier run on the same data and configuration.
    """

    kind: Literal["trained here", "onnx", "factory"]
    description: str
    validation_accuracy: float
    test_accuracy: float | None = None
    seconds: float
    from_cache: bool = False


class FeasibilityRecord(_Frozen):
    """What share of one space fits, found by sampling before anything was trained.

    Attributes:
        space: search space.
        sampled: random students that were costed.
        feasible: those inside every limit.
        binding: limit -> students that exceed it; one student may exceed several.
    """

    space: str
    sampled: int = Field(ge=0)
    feasible: int = Field(ge=0)
    binding: dict[LimitName, int] = Field(default_factory=dict)


class ObjectiveSettings(_Frozen):
    """What was minimised: alpha * task + beta * KD + gamma * overrun, or the Pareto front."""

    mode: Literal["weighted", "pareto"]
    alpha: float
    beta: float
    gamma: float
    target_latency_s: float | None = None


class EnvironmentRecord(_Frozen):
    """The machine that searched; `accelerator` is what trained, for example "cpu"."""

    python: str
    platform: str
    cpu: str
    cores: int
    accelerator: str
    packages: dict[str, str] = Field(default_factory=dict)


class ControlRecord(_Frozen):
    """The same student trained another way, so that a gain can be told from chance.

    Attributes:
        name: for example "same student, cross-entropy only (no teacher)".
        dtype: what was tested.
        seeds: one per training.
        test_accuracies: 0 to 1, in the order of `seeds`.
        validation_accuracies: likewise; what the student that ships was chosen by.
    """

    name: str
    dtype: Literal["float32", "int8"]
    seeds: tuple[int, ...]
    test_accuracies: tuple[float, ...]
    validation_accuracies: tuple[float, ...] = ()


class GainRecord(_Frozen):
    """What distillation gained in int8 test accuracy over the best control, seed by seed.

    Attributes:
        over: name of the control that was best on validation.
        mean: difference of accuracies, 0.01 is one point.
        low: lower end of the interval; None for a single seed.
        high: upper end; None for a single seed.
        seeds: pairs compared.
        confidence: of the Student-t interval, 0 to 1.
        verdict: "gain", "loss" or "no difference shown".
    """

    over: str
    mean: float
    low: float | None
    high: float | None
    seeds: int
    confidence: float
    verdict: str


class LayerRecord(_Frozen):
    """One layer of the best student; see `hwkd.core.student.Layer`."""

    name: str
    kind: str
    shape: tuple[int, ...]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    groups: int
    activation: str

    @classmethod
    def of(cls, layer: Layer) -> LayerRecord:
        """Copy what a report shows of a layer."""
        return cls(
            name=layer.name,
            kind=layer.kind,
            shape=layer.shape,
            kernel=layer.kernel,
            stride=layer.stride,
            groups=layer.groups,
            activation=layer.activation,
        )


class QuantisationRecord(_Frozen):
    """How the int8 file was made; firmware needs scale and zero point of input and output.

    Attributes:
        scheme: for example "ONNX Runtime static QDQ, int8 activations, per-channel int8 weights".
        calibration_samples: training examples that set the ranges.
        input_scale: real value of one int8 step of the normalised input.
        input_zero_point: int8 value that stands for 0.
        output_scale: real value of one int8 step of a logit; None when the output is float.
        output_zero_point: int8 value that stands for a logit of 0; None when the output is float.
    """

    scheme: str
    calibration_samples: int
    input_scale: float
    input_zero_point: int
    output_scale: float | None = None
    output_zero_point: int | None = None


class QuantisationChoiceRecord(_Frozen):
    """Float and int8 side by side; which int8 form ships was decided by these accuracies alone.

    Attributes:
        calibration: how the ranges of the activations were found.
        corrections: what was done to the float weights before rounding.
        validation_float: accuracy on validation, 0 to 1, float32.
        validation_ptq: likewise, int8, quantised after training.
        validation_qat: likewise, int8, trained with simulated rounding; None if it was not.
        qat_epochs: of that training.
        ships: which of the two int8 forms is `student_int8.onnx`.
    """

    calibration: Literal["minmax", "percentile", "mse"]
    corrections: tuple[Correction, ...] = ()
    validation_float: float
    validation_ptq: float
    validation_qat: float | None = None
    qat_epochs: int | None = None
    ships: Literal["ptq", "qat"]


class FinalRecord(_Frozen):
    """The best student after distillation at full length; the test split was read once for it.

    Attributes:
        trial: number of the trial that proposed it.
        spec: its choices.
        epochs: of the full training.
        seconds: of the full training, export and measurement, controls included.
        validation_accuracy_int8: 0 to 1.
        test_accuracy_float: 0 to 1, float32 ONNX file.
        test_accuracy_int8: 0 to 1, int8 ONNX file.
        layers: in execution order.
        cost: estimate for the device.
        quantisation: how the int8 file was made.
        quantisation_choice: what other int8 forms reached; None in records of older versions.
        profile: of the int8 file on the machine that searched.
        verification: its C on an emulated core; None unless asked for.
        controls: the same student, one entry per way of training it; the distilled one first.
        methods: what it was distilled with, as `--method` takes it; empty is labels alone.
        recipe: how the student that ships was trained: "distilled", or the control that was at
            least as good on validation.
        gain: None without controls.
        history: loss terms and gradient norms, epoch by epoch.
    """

    trial: int
    spec: SpecRecord
    epochs: int
    seconds: float
    validation_accuracy_int8: float
    test_accuracy_float: float
    test_accuracy_int8: float
    layers: tuple[LayerRecord, ...]
    cost: CostRecord
    quantisation: QuantisationRecord
    quantisation_choice: QuantisationChoiceRecord | None = None
    profile: ProfileRecord | None = None
    controls: tuple[ControlRecord, ...] = ()
    verification: VerificationRecord | None = None
    methods: tuple[str, ...] = ()
    recipe: str = "distilled"
    gain: GainRecord | None = None
    history: tuple[EpochRecord, ...] = ()


class RunRecord(_Frozen):
    """Everything about one search except its trials.

    Attributes:
        hwkd_version: that wrote the file.
        created_at: UTC, ISO 8601.
        status: how far the search came.
        command: the command line, arguments as they were given.
        seed: of the search.
        workers: processes.
        phase_seconds: phase -> wall time, in the order they ran.
        feasibility: one per space; empty until sampled.
        final: None until the best student was trained at full length.
        caveats: what a reader must know before using a number.
    """

    schema_version: Literal[1] = 1
    hwkd_version: str
    created_at: str
    status: RunStatus
    command: tuple[str, ...]
    seed: int
    workers: int
    phase_seconds: dict[str, float] = Field(default_factory=dict)
    device: DeviceRecord
    data: DataRecord
    teacher: TeacherRecord | None = None
    objective: ObjectiveSettings
    feasibility: tuple[FeasibilityRecord, ...] = ()
    environment: EnvironmentRecord
    final: FinalRecord | None = None
    caveats: tuple[str, ...] = ()


def read_run_record(path: Path) -> RunRecord:
    """Read `run.json`.

    Raises:
        RunFolderError: if the file is missing, cut or of an unknown schema version.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RunFolderError(
            f"{path.parent}: not a run folder: cannot read {path.name}: {error.strerror}; "
            "give the folder that `hwkd search --out` wrote"
        ) from None
    try:
        return RunRecord.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise RunFolderError(
            f"{path}: not a run record: {place}: {first['msg']}; "
            "the file was cut or written by another version of hwkd"
        ) from None
