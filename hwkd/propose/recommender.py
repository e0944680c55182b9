"""Chooses the next candidate: a spread start, then the largest expected gain per second.

A proposal is a function of the problem, the seed, the turn and what was observed; what the object
remembers only saves time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import itemgetter
from typing import Generic, TypeVar

import numpy as np

from hwkd.propose.acquisition import (
    Box,
    Estimates,
    expected_improvement,
    front_at,
    hypervolume_gain,
)
from hwkd.propose.candidates import ScreenedTrace, Screening
from hwkd.propose.encoding import Encoder, FloatArray
from hwkd.propose.models import Models, SettingsMemory, fit_models
from hwkd.propose.observations import Observations, Trained, bounded, front_range, interval_stretch
from hwkd.propose.pool import Parent, Pool, Source
from hwkd.propose.problem import Observation, Problem, Recommendation
from hwkd.propose.traces import run

T = TypeVar("T")

_FIRST, _FIRST_PER_GROUP = 6, 2
# The share of the predicted deviation that counts: the whole explores too much, yet without it now
# and then a family of candidates that began badly is never looked at again.
_DEVIATION_SHARE, _WHOLE_EVERY = 0.3, 3
_MOST_PARENTS = 24
_CLIMBED, _STEPS_PER_CLIMB = 3, 4
_REMEMBERED = 2000
_GOLDEN = 0.618034
_UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class Reached:
    """The front as the models believe it: what is reached at every point of a box, and by whom."""

    box: Box
    front: FloatArray
    by: FloatArray


class Recommender(Generic[T]):
    """Proposes candidates of one problem."""

    def __init__(self, problem: Problem[T], *, seed: int) -> None:
        """Remember what is asked for; nothing is screened yet."""
        self.problem = problem
        self.screening: Screening[T] = Screening(problem.screen)
        self._pool = Pool(problem, self.screening, seed=seed)
        self._settings = SettingsMemory(seed)
        self._encoder: Encoder | None = None
        self._done: set[object] = set()
        self._read: tuple[Observations | None, int, int] = (None, 0, 0)
        self._observed: dict[int, ScreenedTrace] = {}

    def recommend(self, history: Observations, *, turn: int) -> Recommendation | None:
        """Return the candidate to try next; None when none that fits is left.

        Args:
            turn: how many candidates were asked for before.
        """
        trained = history.trained
        tried = self._tried(history)
        count = len(trained) + len(history.pending)
        for candidate in self._pool.references:
            if candidate.screened.key not in tried:
                return _proposal(candidate, Source("reference"))
        if not self._pool.survey:
            return None
        groups = len(self._pool.groups)
        if count < max(_FIRST, _FIRST_PER_GROUP * groups) or len(trained) < 2:
            free = [c for c in self._pool.survey if c.screened.key not in tried]
            if free:
                return _proposal(self._spread(free, count), Source("first"))
            return self._last_resort(tried)
        return self._best(history, tried, turn)

    def _tried(self, history: Observations) -> set[object]:
        keys = {self._key(observation) for observation in history.pending}
        trained, failed = history.trained.observations, history.without_result
        known, of_trained, of_failed = self._read
        if known is not history:
            of_trained = of_failed = 0
        for observation in (*trained[of_trained:], *failed[of_failed:]):
            self._done.add(self._key(observation))
        self._read = (history, len(trained), len(failed))
        return keys | self._done

    def _key(self, observation: Observation) -> object:
        if observation.key is not None:
            return observation.key
        return self._candidate(observation).screened.key

    def _candidate(self, observation: Observation) -> ScreenedTrace:
        candidate = self._observed.get(observation.number)
        if candidate is None:
            trace = run(self.problem.suggest, observation.params, self._pool.replay_random())
            candidate = self.screening(trace)
            if not observation.is_pending:  # one that is being asked for may lack choices still
                if len(self._observed) >= _REMEMBERED:
                    self._observed.clear()
                self._observed[observation.number] = candidate
        return candidate

    def _spread(self, free: Sequence[ScreenedTrace], count: int) -> ScreenedTrace:
        """Return a survey candidate from a stratum of the costs, big for its cost.

        Groups take turns. Within one, strata of the first exact objective (or of the first
        feature) are visited in a spread-out order; of a stratum the candidates with most of the
        first two features (of networks: operations and weights) promise most.
        """
        groups = self._pool.groups
        group = groups[count % len(groups)]
        own = [c for c in free if self._pool.group_of(c) == group] or list(free)
        rows = self._encoding().rows(own)
        exact = own[0].screened.exact
        axis = next((i for i, value in enumerate(exact) if value is not None), None)
        if axis is not None:
            cost = np.array([c.screened.exact[axis] for c in own], dtype=float)
        else:
            cost = (
                rows.features[:, 0] if rows.features.shape[1] else np.arange(len(own), dtype=float)
            )
        strata = max(2, _FIRST // len(groups))
        place = int(((count // len(groups)) * _GOLDEN + 0.8) % 1.0 * strata)
        parts = np.array_split(np.argsort(cost, kind="stable"), strata)
        part = parts[min(place, strata - 1)]
        if not len(part):
            part = np.arange(len(own))
        size = rows.features[:, :2].sum(1)
        return own[int(max(part, key=size.__getitem__))]

    def _best(self, history: Observations, tried: set[object], turn: int) -> Recommendation | None:
        trained = history.trained
        box = self._box(trained)
        part = bounded(trained, self._front_indices(history, box))
        pending = [self._candidate(observation) for observation in history.pending]
        models = fit_models(
            self._encoding(),
            trained,
            part,
            pending,
            candidate_of=self._candidate,
            worst=self.problem.limits,
            memory=self._settings,
        )
        reached = None if box is None else Reached(box, *front_at(box, models.feasible))
        parents = self._parents(models, trained.part(part), reached, turn)
        pool: dict[object, tuple[ScreenedTrace, Source]] = {}

        def take(candidate: ScreenedTrace, source: Source) -> bool:
            key = candidate.screened.key
            is_new = key not in tried and key not in pool
            if is_new:
                pool[key] = (candidate, source)
            return is_new

        surveyed, drawn = Source("survey"), Source("random")
        for candidate in self._pool.survey:
            take(candidate, surveyed)
        for candidate in self._pool.fresh(turn):
            take(candidate, drawn)
        for candidate, source in self._pool.relatives(parents, turn):
            take(candidate, source)
        if not pool:
            return self._last_resort(tried)
        entries = list(pool.values())
        count = len(trained) + len(history.pending)
        gains = self._gains(models, reached, [candidate for candidate, _ in entries], count)
        best = [entries[index] for index in np.argsort(-gains, kind="stable")[:_CLIMBED]]
        for climbed, source in best:
            for candidate in self._pool.steps([climbed], turn, _STEPS_PER_CLIMB):
                take(candidate, source)
        climbed_to = list(pool.values())[len(entries) :]
        if climbed_to:
            more = self._gains(models, reached, [candidate for candidate, _ in climbed_to], count)
            entries, gains = entries + climbed_to, np.r_[gains, more]
        gain, (candidate, source) = max(zip(gains, entries, strict=True), key=itemgetter(0))
        stretch = interval_stretch(trained.observations)
        predicted = models.predicted(candidate, self.problem.outputs, stretch=stretch)
        return _proposal(candidate, source, predicted, float(gain))

    def _gains(
        self,
        models: Models,
        reached: Reached | None,
        candidates: Sequence[ScreenedTrace],
        count: int,
    ) -> FloatArray:
        """Return the expected gain per predicted second."""
        found = models.estimates(candidates)
        share = 1.0 if count % _WHOLE_EVERY == 0 else _DEVIATION_SHARE
        estimates = Estimates(found.mean, found.deviation * share)
        if reached is None:
            # Where nothing was feasible yet, every feasible candidate is an improvement.
            feasible = models.feasible
            level = feasible[:, 0].min() if len(feasible) else models.values[:, 0].max()
            gain = expected_improvement(
                estimates.mean[:, 0], estimates.deviation[:, 0], np.asarray(level)
            )
        else:
            gain = hypervolume_gain(reached.box, reached.front, estimates)
        gain = gain * models.feasible_chance(candidates)
        if not gain.max() > 0.0:  # nothing promises anything: look where least is known
            gain = 1e-300 * (1.0 + found.deviation[:, 0] / found.deviation[:, 0].max())
        seconds = np.array([candidate.screened.seconds for candidate in candidates])
        per_second: FloatArray = gain / seconds
        return per_second

    def _parents(
        self, models: Models, part: Trained, reached: Reached | None, turn: int
    ) -> list[Parent]:
        """Return the observations whose relatives are worth looking at: the front as believed."""
        feasible = np.flatnonzero(models.is_feasible)
        if reached is None or not len(feasible):
            order = np.argsort(models.values[:, 0], kind="stable")[: _MOST_PARENTS // 2]
            chosen = [int(index) for index in order]
        else:
            chosen = [int(feasible[index]) for index in np.unique(reached.by[reached.by >= 0])]
        # Pending candidates stand behind the observed ones and have no relatives yet.
        chosen = [index for index in chosen if index < len(part)][-_MOST_PARENTS:]
        return [
            Parent(
                part.observations[index].number,
                models.candidates[index],
                max(0, turn - part.observations[index].number),
            )
            for index in chosen
        ]

    def _front_indices(self, history: Observations, box: Box | None) -> list[int]:
        if box is None:
            return []
        coarse = Box(box.points[::4], box.worst)
        _, who = front_at(coarse, history.trained.values[history.front])
        return [history.front[index] for index in np.unique(who[who >= 0])]

    def _box(self, trained: Trained) -> Box | None:
        """Return where the front counts; None with a single objective."""
        if self.problem.objectives == 1:
            return None
        low, high = self._exact_range
        measured = np.isnan(low)
        best, nadir = front_range(trained.values)
        low, high = np.where(measured, best[1:], low), np.where(measured, nadir[1:], high)
        limits = np.array(
            [_UNKNOWN if limit is None else limit for limit in self.problem.limits[1:]]
        )
        high = np.where(np.isnan(limits), high, limits)
        worst = self.problem.limits[0]
        if worst is None:
            worst = float(nadir[0])
        return Box.spanning(low, np.maximum(high, low + 1e-12), worst=worst)

    @cached_property
    def _exact_range(self) -> tuple[FloatArray, FloatArray]:
        """The ends of all objectives but the first in the survey; NaN where one is measured."""
        exact = self._encoding().rows(self._pool.survey).exact[:, 1:]
        return exact.min(0), exact.max(0)

    def _last_resort(self, tried: set[object]) -> Recommendation | None:
        for candidate in self._pool.untried(tried):
            return _proposal(candidate, Source("random"))
        return None

    def _encoding(self) -> Encoder:
        if self._encoder is None:
            self._encoder = Encoder(self._pool.survey, self.problem.group)
        return self._encoder


def _proposal(
    candidate: ScreenedTrace,
    source: Source,
    predicted: tuple[tuple[float, float], ...] = (),
    gain: float | None = None,
) -> Recommendation:
    return Recommendation(
        trace=candidate.trace,
        screened=candidate.screened,
        origin=source.origin,
        parent=source.parent,
        predicted=predicted,
        gain=gain,
    )
