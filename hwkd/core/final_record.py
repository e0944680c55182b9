"""What `run.json` says of the best student: its full training, its controls, its int8 form."""

from __future__ import annotations

from typing import Literal, TypeAlias

from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.student import Layer
from hwkd.core.trial import CostRecord, EpochRecord, ProfileRecord, SpecRecord
from hwkd.core.verification_record import VerificationRecord

__all__ = [
    "ControlRecord",
    "Correction",
    "FinalRecord",
    "GainRecord",
    "LayerRecord",
    "QuantisationChoiceRecord",
    "QuantisationRecord",
]

Correction: TypeAlias = Literal["channel equalisation", "bias correction"]


class ControlRecord(StrictModel):
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


class GainRecord(StrictModel):
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
    seeds: StoredInt
    confidence: float
    verdict: str


class LayerRecord(StrictModel):
    """One layer of the best student; see `hwkd.core.student.Layer`."""

    name: str
    kind: str
    shape: tuple[int, ...]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    groups: StoredInt
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


class QuantisationRecord(StrictModel):
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
    calibration_samples: StoredInt
    input_scale: float
    input_zero_point: StoredInt
    output_scale: float | None = None
    output_zero_point: StoredInt | None = None


class QuantisationChoiceRecord(StrictModel):
    """Float and int8 side by side; which int8 form ships was decided by these accuracies alone.

    Attributes:
        calibration: how the ranges of the activations were found.
        corrections: what was done to the float weights before rounding.
        validation_float: accuracy on validation, 0 to 1, float32.
        validation_ptq: likewise, int8, quantised after training.
        validation_qat: likewise, int8, trained with simulated rounding; None if it was not.
        qat_epochs: of that training.
        ships: which of the two int8 forms.
    """

    calibration: Literal["minmax", "percentile", "mse"]
    corrections: tuple[Correction, ...] = ()
    validation_float: float
    validation_ptq: float
    validation_qat: float | None = None
    qat_epochs: StoredInt | None = None
    ships: Literal["ptq", "qat"]


class FinalRecord(StrictModel):
    """The best student after distillation at full length; the test split was read once for it.

    Attributes:
        trial: number of the trial that proposed it.
        spec: its choices.
        epochs: of the full training, rounded; of the brief one where its weights ship.
        weights: "full", or "brief" when no full training was better on validation.
        networks_compared: on validation, briefly trained ones included; the more there are, the
            more of the best one's validation accuracy is luck. None in records of older versions.
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

    trial: StoredInt
    spec: SpecRecord
    epochs: StoredInt
    weights: Literal["full", "brief"] = "full"
    networks_compared: int | None = None
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
