"""How far a training is, by steps and by the clock, and the learning rate that follows from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from hwkd.train.config import TrainConfig

Clock = Callable[[], float]


def learning_rate(done_ratio: float, step_ratio: float, config: TrainConfig) -> float:
    """Return the rate of a step.

    Args:
        done_ratio: share of the training made before the step, 0 to 1.
        step_ratio: share that the step is; the first step of a warm-up is not idle.
        config: peak, warm-up and shape.
    """
    warmup = config.warmup_ratio
    if done_ratio < warmup:
        return config.learning_rate * min(1.0, (done_ratio + step_ratio) / warmup)
    descent = (done_ratio - warmup) / max(1.0 - warmup, 1e-12)
    if config.schedule == "one-cycle":
        return config.learning_rate * max(0.0, 1.0 - descent)
    return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, descent)))


@dataclass(slots=True, kw_only=True)
class Position:
    """Where a training is between its start and its end.

    With a time budget the later of the two counts: the share of the steps or of the time. Time for
    what follows the last step is set aside, in units of the mean step so far.

    Attributes:
        time_budget_s: from `started_s` on; None counts steps only.
        closing_steps: what comes after the last step takes at most as long as so many steps.
        clock: seconds, monotonic.
    """

    total_steps: int
    time_budget_s: float | None
    closing_steps: int
    clock: Clock
    started_s: float
    steps: int = field(default=0, init=False)
    done_ratio: float = field(default=0.0, init=False)
    step_ratio: float = field(default=0.0, init=False)
    _first_s: float = field(default=0.0, init=False)

    def goes_on(self) -> bool:
        """Take stock before a step; False when the training is over. The first step is made."""
        self.done_ratio, self.step_ratio = self.steps / self.total_steps, 1.0 / self.total_steps
        if self.time_budget_s is None or self.steps == 0:
            return True
        elapsed_s = self.elapsed_s()
        if self.steps == 1:
            self._first_s = elapsed_s
        # The first step also sets up what the others reuse, so it says little about them.
        step_s = (elapsed_s - self._first_s) / max(1, self.steps - 1)
        usable_s = self.time_budget_s - self.closing_steps * step_s
        if elapsed_s + step_s > usable_s:
            return False
        # The step that starts now is the last one where the next would not end in time, so that
        # the rate comes down to zero as it does at the end of a training that counts its steps.
        self.done_ratio = max(self.done_ratio, elapsed_s / usable_s)
        self.step_ratio = max(self.step_ratio, step_s / usable_s)
        return True

    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.started_s
