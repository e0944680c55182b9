"""What a teacher's answers say beside labels, and how near its student came to them."""

from __future__ import annotations

from hwkd.core.strict_model import StoredInt, StrictModel


class SoftSample(StrictModel):
    """One example's hard and soft target.

    Attributes:
        row: of the split.
        label: name of its class.
        likeliest: names and shares of the classes that are likeliest, the first most.
        entropy_nats: of the whole answer.
    """

    row: StoredInt
    label: str
    likeliest: tuple[tuple[str, float], ...]
    entropy_nats: float


class SoftAnswers(StrictModel):
    """What the answers to a split are like.

    Attributes:
        accuracy: share of examples whose likeliest class is the label, 0 to 1.
        entropy_nats: mean over examples; 0 says no more than a label.
        calibration_error: how far confidence is from accuracy, see
            `hwkd.core.soft_answers.calibration_error`.
        samples: of which the entropies are spread from the surest to the least sure.
    """

    accuracy: float
    entropy_nats: float
    calibration_error: float
    samples: tuple[SoftSample, ...]


class TeachingRecord(StrictModel):
    """Teacher and student side by side, on validation.

    Attributes:
        teacher: in float.
        student: its int8 file.
        agreement: share of examples on which the two say the same class, 0 to 1.
    """

    teacher: SoftAnswers
    student: SoftAnswers
    agreement: float
