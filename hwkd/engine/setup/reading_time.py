"""A limit of time while data is read: refused as soon as it is known that nothing can follow."""

from __future__ import annotations

from dataclasses import dataclass, field

from hwkd.core.progress import Progress
from hwkd.engine.setup.time_plan import TimeLimit

# What is left of a stage is told by its pace so far once that took so long.
_TELLING_S = 2.0
# Of what it looks like: later parts may be faster, and refusing too early is worse than too late.
_SURE_SHARE = 0.5


@dataclass
class ReadInTime:
    """Passes on how far reading is, and ends it where the limit leaves nothing for a training.

    Attributes:
        limit: of the whole command, which tells the time.
        verifies: as `TimeLimit.require_enough` takes it.
        progress: hears it all.
    """

    limit: TimeLimit
    verifies: bool
    progress: Progress
    _begun: dict[str, tuple[float, int]] = field(default_factory=dict)
    _last: dict[str, int] = field(default_factory=dict)

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Hear of an advance; see `hwkd.core.progress.Progress`.

        Raises:
            ConfigError: if the limit is too short for what is left; it says the least that works.
        """
        self.progress(stage, done, total, note)
        now_s = self.limit.spent_s()
        last = self._last.get(stage)
        if last is None or done < last:  # it begins, or does for another part of the data
            self._begun[stage] = now_s, done
        self._last[stage] = done
        since_s, first = self._begun[stage]
        taken_s, left_s = now_s - since_s, 0.0
        if taken_s >= _TELLING_S and first < done < total:
            left_s = taken_s * (total - done) / (done - first)
        self.limit.require_reading(_SURE_SHARE * left_s, left_s, what=stage, verifies=self.verifies)
