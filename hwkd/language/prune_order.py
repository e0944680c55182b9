"""What `hwkd prune` is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hwkd.distill.token_divergences import TokenDivergence
from hwkd.language.inner_states import State


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOrder:
    """What is asked for.

    Attributes:
        part: that is cut, "decoder" or "encoder".
        keep: as "depth:12,width:0.5".
        states: that are compared beside next tokens.
        steps: of each training; None goes by the time.
        seconds: of the whole command, by its clock.
        begun: what the clock said at its start.
        length: tokens of a window; None is the usual.
        controls: whether the two controls are trained, too.
        calibration: windows that the importance is seen on.
        clock: of wall time; `time.process_time` compares on a busy machine.
    """

    model: Path
    data: Path
    part: Literal["decoder", "encoder"]
    keep: str
    states: tuple[State, ...]
    divergence: TokenDivergence
    label_weight: float
    top: int | None
    length: int | None
    batch: int
    rate: float
    steps: int | None
    seconds: float | None
    begun: float
    controls: bool
    calibration: int
    seed: int
    clock: Callable[[], float] = time.monotonic
