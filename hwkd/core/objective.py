"""What a search minimises, as its configuration and its record hold it."""

from __future__ import annotations

from pydantic import Field

from hwkd.core.choices import ALPHA, BETA, GAMMA, ObjectiveMode
from hwkd.core.strict_model import StrictModel


class ObjectiveConfig(StrictModel):
    """What is minimised: alpha * task + beta * KD + gamma * overrun, or the Pareto front.

    Attributes:
        mode: "weighted" for the sum, "pareto" for (error, latency, peak RAM, flash).
        alpha: weight of the validation error of the int8 student (0 to 1).
        beta: weight of the divergence from the teacher (of classes nats: 0.05 to 0.5, hence 0.1).
        gamma: weight of max(0, latency / target - 1).
        target_latency_s: what the overrun is measured against; None switches the term off.
        temperature: softening of both sides of the divergence.
    """

    mode: ObjectiveMode = "weighted"
    alpha: float = Field(default=ALPHA, ge=0)
    beta: float = Field(default=BETA, ge=0)
    gamma: float = Field(default=GAMMA, ge=0)
    target_latency_s: float | None = Field(default=None, gt=0)
    temperature: float = Field(default=2.0, gt=0)

    @property
    def objectives(self) -> int:
        """Return how many numbers a trial has."""
        return 4 if self.mode == "pareto" else 1
