"""The plan of one call: time divided anew before every stage, and said aloud where it changed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from hwkd.core.run_record import RunRecord
from hwkd.engine.run.listener import SearchListener
from hwkd.engine.setup.config import SearchConfig
from hwkd.engine.setup.time_plan import Stage, TimeLimit

# A share that differs by less from what was said last is the same to a reader.
_SAME_S, _SAME_RATIO = 1.0, 0.1


@dataclass
class Planning:
    """Divides what is left of a limit, for one call on a run folder.

    Attributes:
        listener: hears a plan that is new, and each that differs from the last one it heard.
    """

    limit: TimeLimit
    config: SearchConfig
    listener: SearchListener
    _told: Mapping[Stage, float] = field(default_factory=dict)

    def plan(
        self, run: RunRecord, *, trains_teacher: bool = False, searches: bool = True
    ) -> tuple[RunRecord, Mapping[Stage, float]]:
        """Return the record with the shares of the stages to come, and these, in seconds.

        Args:
            trains_teacher: as `TimeLimit.plan` takes it.
            searches: likewise; without a search what is left is for the end of one.
        """
        config = self.config
        shares = self.limit.plan(
            trains_teacher=trains_teacher,
            has_teacher=bool(config.teacher.sources),
            final=config.train_best or not searches,
            verifies=config.verify_best,
            searches=searches,
        )
        if not shares:
            return run, shares
        if self._is_news(shares):
            self.listener.on_plan(shares, math.fsum(shares.values()))
            self._told = shares
        seconds = run.planned_seconds | dict(shares.items())
        return run.model_copy(update={"planned_seconds": seconds}), shares

    def _is_news(self, shares: Mapping[Stage, float]) -> bool:
        if ("final training" in shares) != ("final training" in self._told):
            return True
        told = (self._told.get(stage) for stage in shares)
        return any(
            last is None or abs(share - last) > max(_SAME_S, _SAME_RATIO * last)
            for share, last in zip(shares.values(), told, strict=True)
        )
