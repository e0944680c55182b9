"""What `run.json` says of the best student: its full training, the verdict on it, its int8 form."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import model_validator

from hwkd.core.class_scores import ClassScores
from hwkd.core.decision_record import (
    Confusion,
    DecisionRecord,
    ReadTextRecord,
    SeenPictureRecord,
)
from hwkd.core.measure import Profile
from hwkd.core.metric import ACCURACY, Metric, ScoresRecord
from hwkd.core.old_records import with_network, with_scores
from hwkd.core.strict_model import StoredInt, StrictModel, with_key
from hwkd.core.student import Layers
from hwkd.core.teaching_record import TeachingRecord
from hwkd.core.trial import EpochRecord, StoredCost, StoredSpec
from hwkd.core.verdict_record import Verdict, verdict_of_older_final
from hwkd.core.verification import VerificationRecord

Correction: TypeAlias = Literal["channel equalisation", "bias correction"]


class PairRecord(StrictModel):
    """A layer of the student that followed one of the teacher while it was trained.

    Attributes:
        student: stage of the student, from 1.
        teacher: stage of the teacher, from 1.
        student_shape: without batch.
        teacher_shape: likewise.
        adapter: what was trained between them; it is no part of the student.
    """

    method: str
    student: StoredInt
    teacher: StoredInt
    student_shape: tuple[StoredInt, ...]
    teacher_shape: tuple[StoredInt, ...]
    adapter: str


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
    """Float and int8 side by side; which int8 form ships was decided by these scores alone.

    Attributes:
        calibration: how the ranges of the activations were found.
        corrections: what was done to the float weights before rounding.
        validation_float: on validation, float32.
        validation_ptq: likewise, int8, quantised after training.
        validation_qat: likewise, int8, trained with simulated rounding; None if it was not.
        ships: which of the two int8 forms.
    """

    calibration: Literal["minmax", "percentile", "mse"]
    corrections: tuple[Correction, ...] = ()
    metric: Metric = ACCURACY
    validation_float: float
    validation_ptq: float
    validation_qat: float | None = None
    qat_epochs: StoredInt | None = None
    ships: Literal["ptq", "qat"]


class ExitPointRecord(StrictModel):
    """What an entropy threshold does; see `hwkd.deploy.exit_rule.ExitPoint`."""

    threshold: float
    accuracy_ratio: float
    shares: tuple[float, ...]
    cost_ratio: float


class ExitsRecord(StrictModel):
    """The file of a student with exits, which stops at the first that is sure.

    Attributes:
        outputs: names, in the order in which an inference comes to them.
        cost_basis: what mean costs are of.
        cost_ratios: of an inference that ends at each, over that of the whole network.
        validation: by which the threshold was chosen, int8.
        test: what that threshold does on the test split, int8.
        test_whole_ratio: accuracy of the network's own output there, 0 to 1.
        front: thresholds on validation, from one that leaves nobody early.
    """

    outputs: tuple[str, ...]
    cost_basis: str
    cost_ratios: tuple[float, ...]
    validation: ExitPointRecord
    test: ExitPointRecord
    test_whole_ratio: float
    front: tuple[ExitPointRecord, ...]


class LifelongRecord(StrictModel):
    """What is left of tasks that came one after another, on held-out samples in float.

    Attributes:
        accuracies: after each task, of that one and those before, among the classes known then.
        forgetting: mean over tasks but the last: the best ever reached, less what is left.
        forward_transfer: mean over tasks but the first: accuracy among a task's own classes before
            it is learned, less chance.
        mean_accuracy: over all tasks, after the last.
    """

    accuracies: tuple[tuple[float, ...], ...]
    forgetting: float
    forward_transfer: float
    mean_accuracy: float


class ReachedRecord(StrictModel):
    """What one training reached: its own record has it, and that of the student that ships.

    Attributes:
        epochs: passes over the data, rounded.
        epochs_judged: those before it learned from validation, which its scores there are of; None
            if it never did, and in records of older versions.
        scores: of the float32 and the int8 ONNX file; on validation from before it learned from it.
        confusion: of the int8 file on test, by class; none where outputs are no classes or many.
        by_class: scores of each class on test, likewise, where `confusion` does not say them.
        worst_texts: those of test that the int8 file reads worst; none where inputs are no texts.
        worst_pictures: likewise; none where outputs are no maps of a picture.
        decision: threshold that was chosen on validation; None where answers turn at none.
        pairs: layers that feature methods compared; none of other methods.
        exits: of its file with exits; None of a scheme or a student without.
        lifelong: of tasks in turn, on test; None of any other training.
        all_examples: that it learned from in the end, those of validation among them; None if it
            never learned from those.
    """

    epochs: StoredInt
    scores: ScoresRecord
    confusion: Confusion = ()
    by_class: tuple[ClassScores, ...] = ()
    worst_texts: tuple[ReadTextRecord, ...] = ()
    worst_pictures: tuple[SeenPictureRecord, ...] = ()
    decision: DecisionRecord | None = None
    pairs: tuple[PairRecord, ...] = ()
    exits: ExitsRecord | None = None
    lifelong: LifelongRecord | None = None
    all_examples: StoredInt | None = None
    epochs_judged: StoredInt | None = None

    def reached(self) -> dict[str, Any]:
        """Return what one training reached, by name, without what else its record knows."""
        return {name: getattr(self, name) for name in ReachedRecord.model_fields}


class FinalRecord(ReachedRecord):
    """The best student after distillation at full length; the test split was read once for it.

    Attributes:
        seconds: of the full training, export and measurement, controls included.
        network: layer by layer; of older versions without what each layer reads.
        quantisation: how the int8 file was made.
        quantisation_choice: what other int8 forms reached; None in records of older versions.
        profile: of the int8 file on the machine that searched.
        verification: its C on an emulated core; None unless asked for.
        verdict: every way in which it was trained, which of them ships and what was gained.
        teaching: its teacher beside it on validation; None without one, and of older versions.
        history: loss terms and gradient norms, epoch by epoch.
        remarks: what was tried, given up and is to be known of this end, in sentences.
    """

    trial: StoredInt
    spec: StoredSpec
    seconds: float
    network: Annotated[Layers, *with_key("these layers")]
    cost: StoredCost
    own_c: StoredCost | None = None
    quantisation: QuantisationRecord
    quantisation_choice: QuantisationChoiceRecord | None = None
    profile: Profile | None = None
    verification: VerificationRecord | None = None
    verdict: Verdict
    teaching: TeachingRecord | None = None
    history: tuple[EpochRecord, ...] = ()
    remarks: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _reads_older_runs(cls, raw: Any) -> Any:
        """Older versions kept controls, gain and what ships as loose fields."""
        raw = with_scores(
            raw,
            {
                "validation_int8": "validation_accuracy_int8",
                "test_float": "test_accuracy_float",
                "test_int8": "test_accuracy_int8",
            },
        )
        if not isinstance(raw, dict):
            return raw
        raw = with_network(raw)
        if "verdict" in raw:
            return raw
        try:
            return verdict_of_older_final(raw)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(
                f"has no verdict and no controls of older versions ({error})"
            ) from None
