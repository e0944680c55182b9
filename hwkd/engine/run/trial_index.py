"""What the trials of a study come to, kept up with while they change.

A study only grows, and a finished trial never changes; so each is looked at until it is finished,
and a search of many thousand trials asks as fast as a young one.
"""

from __future__ import annotations

from collections.abc import Sequence

from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState

PROPOSAL = "hwkd.stored_proposal"
RECORD = "hwkd.record"
NETWORK_KEY = "hwkd.network_key"
REQUEUED_FROM = "hwkd.requeued_from"
# Whether a candidate was trained or may be, told without reading its record.
COUNTS = "hwkd.counts_as_training"


class TrialIndex:
    """Candidates of one study, by what became of them.

    Attributes:
        places: trial -> its place among the candidates; a repetition has that of the first one.
        finished: candidates with a record, in the order in which they were seen to finish.
        interrupted: numbers of trials that were queued again.
        by_network: `Layers.key` -> finished candidates of that network.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.places: dict[int, int] = {}
        self.candidates = 0
        self.open: list[FrozenTrial] = []
        self.finished: list[FrozenTrial] = []
        self.interrupted: set[int] = set()
        self.by_network: dict[str, list[FrozenTrial]] = {}
        self._trained: set[int] = set()  # finished candidates that count as trainings
        self._untrained: set[int] = set()
        self._read = 0

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Look at trials that are new or were open."""
        again = [trials[trial.number] for trial in self.open]
        new = trials[self._read :]
        self._read = len(trials)
        self.open = []
        for trial in new:
            self._place(trial)
        for trial in (*again, *new):
            if trial.number not in self.places:
                continue
            if not trial.state.is_finished():
                self.open.append(trial)
                continue
            if trial.number not in self.interrupted:
                (self._trained if _counts(trial) else self._untrained).add(trial.number)
            if RECORD in trial.user_attrs:
                self.finished.append(trial)
                key = trial.user_attrs.get(NETWORK_KEY)
                if key is not None:
                    self.by_network.setdefault(key, []).append(trial)

    @property
    def has_queued(self) -> bool:
        """Whether a candidate waits."""
        return any(trial.state == OptunaState.WAITING for trial in self.open)

    @property
    def started(self) -> int:
        """How many candidates were taken; a repetition of one does not count."""
        return len(self._trained) + len(self._untrained) + len(self._running())

    @property
    def trainings(self) -> int:
        """How many candidates were trained or may be: rejected and repeated ones are not."""
        return len(self._trained) + sum(map(_counts, self._running()))

    def _running(self) -> list[FrozenTrial]:
        return [
            trial
            for trial in self.open
            if trial.state != OptunaState.WAITING and trial.number not in self.interrupted
        ]

    def _place(self, trial: FrozenTrial) -> None:
        """Number a candidate; what older versions asked for and never completely chose is none."""
        if PROPOSAL not in trial.user_attrs and RECORD not in trial.user_attrs:
            return
        repeated = trial.user_attrs.get(REQUEUED_FROM)
        if repeated is not None:
            self.interrupted.add(repeated)
            self._trained.discard(repeated)
            self._untrained.discard(repeated)
        if repeated is None or repeated not in self.places:
            self.places[trial.number], self.candidates = self.candidates, self.candidates + 1
        else:
            self.places[trial.number] = self.places[repeated]


def _counts(trial: FrozenTrial) -> bool:
    return bool(trial.user_attrs.get(COUNTS, True))
