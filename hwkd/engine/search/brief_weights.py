"""The weights that a candidate got as a candidate, scored as those of a student that may ship."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from hwkd.core.best import judged_value
from hwkd.core.trial import TrialRecord
from hwkd.engine.arms.contest import BRIEF
from hwkd.engine.arms.orders import ArmOrder, ArmResult
from hwkd.engine.arms.recipes import arm_of_trial
from hwkd.engine.arms.train_arm import score_brief_weights
from hwkd.engine.run.run_folder import RunFolder
from hwkd.engine.search.end_needs import scoring_s
from hwkd.engine.search.ending import BRIEF_SCORINGS, Ending
from hwkd.engine.search.last_trainings import order_of
from hwkd.engine.setup.context import SearchContext


@dataclass(frozen=True, kw_only=True)
class BriefWeights:
    """Own weights of the candidates of a search; each is scored once.

    Attributes:
        ranked: completed trials, best first; at least one.
    """

    ranked: Sequence[TrialRecord]
    context: SearchContext
    store: RunFolder
    ending: Ending
    _scored: dict[int, tuple[ArmOrder, ArmResult]] = field(default_factory=dict)

    def scored(self, trial: TrialRecord) -> tuple[ArmOrder, ArmResult]:
        """Return one candidate's own weights as a student that ships."""
        if trial.number not in self._scored:
            order = self._order(trial)
            result = score_brief_weights(self.store, trial, self.context, order)
            self._scored[trial.number] = order, result
        return self._scored[trial.number]

    def score_best(self) -> None:
        """Score the ones that ship where no full training is better.

        Only under a limit: there nothing but measuring what ships is to follow full trainings.
        """
        if self.ending.end_s is None:
            return
        goal = self.ending.goal
        judged = [
            (judged_value(goal, r.objective), r) for r in self.ranked if r.objective is not None
        ]
        self.scored(min(judged, key=lambda pair: pair[0])[1])

    def _order(self, trial: TrialRecord) -> ArmOrder:
        """Name the folder for a candidate's own weights."""
        context, ending = self.context, self.ending
        kind = context.data.head.kind
        arm = arm_of_trial(trial.methods, context.methods, kind, context.scheme).name
        order = order_of(trial, arm, 0, context, ending, processes=1, budget_s=None)
        end_s = ending.end_s
        if end_s is not None:
            end_s = min(end_s, time.monotonic() + BRIEF_SCORINGS * scoring_s(trial))
        return order.model_copy(
            update={
                "name": f"{BRIEF}-{trial.number}",
                "epochs": context.config.training.brief_epochs or 1,
                "end_s": end_s,
                "learns_all": False,
            }
        )
