"""Where an answer turns: the threshold on a score, chosen on validation and shipped with it."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from hwkd.core.metric import Metric
from hwkd.core.strict_model import StoredInt, StrictModel

# Rows are the true classes, columns what a network named, both in the order of the labels.
Confusion: TypeAlias = tuple[tuple[StoredInt, ...], ...]


# So many events, were the rate what is allowed, would all be missed by luck once in twenty times
# (Hanley and Lippman-Hand 1983, Journal of the American Medical Association 249, 1743-1745).
_EVENTS_THAT_TELL = 3.0


class CountRecord(StrictModel):
    """What a rate of a threshold is made of, on one split.

    Attributes:
        events: false answers.
        base: what they are counted in: hours of a rate per hour, else examples.
    """

    events: StoredInt
    base: float

    @property
    def rate(self) -> float:
        """Events over what they are counted in; 0 of nothing."""
        return self.events / self.base if self.base else 0.0


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
        on_validation: what `reached` is made of; None where nothing is counted, and of older runs.
        on_test: the same on the test split, which nothing was chosen by; likewise.
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
    on_validation: CountRecord | None = None
    on_test: CountRecord | None = None

    @property
    def stride_s(self) -> float | None:
        """From one inference to the next; None where examples stand alone."""
        return None if self.stride is None or not self.rate_hz else self.stride / self.rate_hz

    @property
    def falsely(self) -> str:
        """What is counted, without where: "false accepts", "false alarms"."""
        return " ".join(self.rate.split()[:2])

    def rate_text(self, rate: float) -> str:
        """Return a rate with its unit, for people."""
        return Metric(name=self.rate, unit=self.unit, direction="min").text(rate)

    def base_text(self, base: float) -> str:
        """Return hours or examples, for people."""
        if self.unit != "ratio":
            return f"{base:.3g} h"
        return f"{base:,.0f} {self.rate.removeprefix(self.falsely).removeprefix(' of ')}"

    def count_text(self, found: CountRecord) -> str:
        """Return what a rate is made of, for people: "3 in 0.09 h", "1 of 36 normal examples"."""
        return f"{found.events:,} {'of' if self.unit == 'ratio' else 'in'} " + self.base_text(
            found.base
        )

    @property
    def exceeds(self) -> bool:
        """Whether there is more of it on test than was wanted."""
        return self.on_test is not None and self.on_test.rate > self.wanted

    @property
    def shortage(self) -> str | None:
        """Which splits are too small to show that a rate is kept; None where none is."""
        splits = (("validation", self.on_validation), ("test", self.on_test))
        few = [
            f"{name} has {found.base:{',.0f' if self.unit == 'ratio' else '.3g'}}"
            for name, found in splits
            if found is not None and found.base * self.wanted < _EVENTS_THAT_TELL
        ]
        if not few or self.wanted <= 0:
            return None
        need = self.base_text(_EVENTS_THAT_TELL / self.wanted)
        return f"{', '.join(few)}, fewer than 3 / rate, {need}"

    @property
    def doubts(self) -> tuple[str, ...]:
        """What a reader must know before trusting the rate, in sentences."""
        wanted, said = self.rate_text(self.wanted), []
        if self.on_test is not None and self.exceeds:
            said.append(
                f"On test there are more {self.falsely} than asked for: "
                f"{self.rate_text(self.on_test.rate)} ({self.count_text(self.on_test)}), asked at "
                f"most {wanted}."
            )
        if self.shortage is not None:
            said.append(
                f"{self.falsely.capitalize()} of {wanted} at most cannot be shown: {self.shortage}."
            )
        return tuple(said)


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
        colours: of the classes that are drawn, by name; none of older versions and of pictures.
    """

    given: str
    error: float
    png: str = Field(pattern=r"^[A-Za-z0-9+/]+={0,2}$", max_length=1_000_000)
    colours: dict[str, Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]] = Field(
        default_factory=dict
    )
