"""Where an answer turns: the threshold on a score, chosen on validation and shipped with it."""

from __future__ import annotations

from typing import TypeAlias

from pydantic import Field

from hwkd.core.strict_model import StoredInt, StrictModel

# Rows are the true classes, columns what a network named, both in the order of the labels.
Confusion: TypeAlias = tuple[tuple[StoredInt, ...], ...]


class DecisionRecord(StrictModel):
    """A threshold and what it was chosen for, on validation, for the int8 file.

    Attributes:
        answer: what a score at or above the threshold means, for example "anomaly".
        threshold: in the unit of the score.
        rate: what it was chosen for, for example "false alarms of normal examples".
        unit: of that rate; "ratio" is a share, 0 to 1.
        wanted: of that rate, at most.
        reached: of it, on validation.
        detected: share of what it should find that it found there.
        best: metric that the threshold is the best one for; then no rate was wanted, and `wanted`
            is what was reached. Empty where one was.
        smoothing: inferences whose mean score is compared; None where examples stand alone.
        stride: samples from one inference to the next, for which the threshold holds; likewise.
        rate_hz: of those samples; likewise.
        curve: false accepts per hour and false rejects, 0 to 1, over all thresholds; likewise.
    """

    answer: str
    threshold: float
    rate: str
    wanted: float
    reached: float
    detected: float
    unit: str = "ratio"
    best: str = ""
    smoothing: StoredInt | None = None
    stride: StoredInt | None = None
    rate_hz: float | None = None
    curve: tuple[tuple[float, float], ...] = ()

    @property
    def stride_s(self) -> float | None:
        """From one inference to the next; None where examples stand alone."""
        return None if self.stride is None or not self.rate_hz else self.stride / self.rate_hz


class ReadTextRecord(StrictModel):
    """A text, and what the network says of it.

    Attributes:
        text: its beginning, as it may be shown.
        label: its class.
        named: the likeliest one.
        chance: of its class, 0 to 1.
    """

    text: str
    label: StoredInt
    named: StoredInt
    chance: float


class SeenPictureRecord(StrictModel):
    """A picture, and what the network sees in it.

    Attributes:
        given: what is there, in words.
        error: of it, as `Head.errors`.
        png: the picture with both drawn into it, in base64.
    """

    given: str
    error: float
    png: str = Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=1_000_000)
