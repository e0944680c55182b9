"""One surrogate for everything that must be measured, and the front as they see it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from hwkd.propose.acquisition import Estimates
from hwkd.propose.candidates import Candidate
from hwkd.propose.encoding import Encoder, FloatArray, Rows
from hwkd.propose.history import Trained, bounded, drawn_in, front_range
from hwkd.propose.surrogate import Surrogate, find_settings

__all__ = ["Models", "SettingsMemory", "fit_models"]

# Settings of the kernel are found again after each of so many observations, then at each growth by
# this factor, and from at most so many observations.
_ALWAYS_UP_TO, _GROWTH, _MOST_FOR_SETTINGS = 40, 1.08, 120


class SettingsMemory:
    """Remembers the settings that were found for some data; a pure function made fast."""

    def __init__(self, seed: int) -> None:
        """Start empty."""
        self._seed = seed
        self._found: dict[Hashable, tuple[FloatArray, ...]] = {}

    def find(
        self, key: Hashable, data: Callable[[], tuple[Rows, FloatArray]]
    ) -> tuple[FloatArray, ...]:
        """Return the settings for the data of a key; one entry per first part of the key."""
        found = self._found.get(key)
        if found is None:
            rows, result = data()
            found = find_settings(rows, result, seed=self._seed)
            if len(self._found) > 16:
                self._found.clear()
            self._found[key] = found
        return found


@dataclass(frozen=True, slots=True)
class Models:
    """Surrogates of the measured objectives and constraints.

    Attributes:
        encoder: of candidates.
        objectives: index of a measured objective -> its surrogate; further outputs are further
            results of the first one.
        constraints: one surrogate each.
        candidates: what the surrogates were fitted to, pending ones last.
        values: shape [n, objectives]: of the fitted candidates, the measured ones as the
            surrogates see them without their noise.
        is_feasible: shape [n], by the constraints that were measured.
    """

    encoder: Encoder
    objectives: dict[int, Surrogate]
    constraints: tuple[Surrogate, ...]
    candidates: Sequence[Candidate]
    values: FloatArray
    is_feasible: FloatArray

    def estimates(self, candidates: Sequence[Candidate]) -> Estimates:
        """Predict the objectives of candidates; exact ones are copied."""
        return _estimates(self.objectives, self.encoder.rows(candidates), candidates)

    def feasible_chance(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return the chance that every measured constraint is kept."""
        chance = np.ones(len(candidates))
        if self.constraints:
            rows = self.encoder.rows(candidates)
            for surrogate in self.constraints:
                found = surrogate.predict(rows)
                chance *= ndtr(-found.mean / found.deviation)
        return chance

    def predicted(self, candidate: Candidate, outputs: int) -> tuple[tuple[float, float], ...]:
        """Predict measurements of one candidate: the first objective, then the outputs."""
        rows = self.encoder.rows([candidate])
        surrogate = self.objectives[0]
        pairs = []
        for result in range(1 + outputs):
            found = surrogate.predict(rows, result)
            whole = surrogate.measured_deviation(found.deviation, result)
            offset = candidate.screened.offset if result == 0 else 0.0
            pairs.append((float(found.mean[0]) + offset, float(whole[0])))
        return tuple(pairs)


def fit_models(
    encoder: Encoder,
    trained: Trained,
    candidates: Sequence[Candidate],
    pending: Sequence[Candidate],
    *,
    worst: Sequence[float | None],
    memory: SettingsMemory,
) -> Models:
    """Fit a surrogate to everything that must be measured.

    Args:
        encoder: of candidates.
        trained: a bounded part of what was observed.
        candidates: of `trained`.
        pending: being tried; believed to come out as predicted.
        worst: see `hwkd.propose.history.drawn_in`; per objective.
        memory: of settings.
    """
    rows = encoder.rows(candidates)
    exact = candidates[0].screened.exact
    offsets = np.array([candidate.screened.offset for candidate in candidates])
    waiting = encoder.rows(pending)
    objectives: dict[int, Surrogate] = {}
    best, nadir = front_range(trained.values)
    for index in (index for index, known in enumerate(exact) if known is None):
        results = trained.values[:, index : index + 1].copy()
        if len(exact) == 1:
            results[:, 0] -= offsets
        bound = worst[index] if len(exact) > 1 else None
        if len(exact) > 1 and bound is None:
            bound = float(2.0 * nadir[index] - best[index])
        results[:, 0] = drawn_in(results[:, 0], bound)
        if index == 0 and trained.observations[0].outputs:
            results = np.c_[results, [o.outputs for o in trained.observations]]
        objectives[index] = _fitted(index, trained, rows, results, waiting, memory)
    measured = min((len(o.constraints) for o in trained.observations), default=0)
    constraints = []
    for index in range(measured):
        results = np.array([[o.constraints[index]] for o in trained.observations])
        constraints.append(_fitted(-1 - index, trained, rows, results, waiting, memory))
    feasible = [all(c <= 0 for c in o.constraints) for o in trained.observations]
    everyone = [*candidates, *pending]
    values = _estimates(objectives, rows.joined(waiting) if pending else rows, everyone).mean
    if len(exact) > 1:
        for index, known in enumerate(exact):
            if known is not None:
                values[: len(candidates), index] = trained.values[:, index]
    return Models(
        encoder=encoder,
        objectives=objectives,
        constraints=tuple(constraints),
        candidates=everyone,
        values=values,
        is_feasible=np.array([*feasible, *[True] * len(pending)], dtype=bool),
    )


def _fitted(
    what: int,
    trained: Trained,
    rows: Rows,
    results: FloatArray,
    waiting: Rows,
    memory: SettingsMemory,
) -> Surrogate:
    """Fit one surrogate; settings depend on a part of the data that rarely changes."""
    count = _settings_from(len(trained))
    part = bounded(trained.part(range(count)), (), most=_MOST_FOR_SETTINGS)
    numbers = tuple(trained.observations[index].number for index in part)

    def data() -> tuple[Rows, FloatArray]:
        taken = np.array(part)
        chosen = Rows(rows.group[taken], rows.size[taken], rows.bits[taken], rows.features[taken])
        return chosen, results[taken, 0]

    settings = memory.find((what, numbers), data)
    surrogate = Surrogate(rows, results, settings)
    if not len(waiting):
        return surrogate
    believed = np.stack(
        [surrogate.predict(waiting, index).mean for index in range(results.shape[1])], axis=1
    )
    return Surrogate(rows.joined(waiting), np.r_[results, believed], settings)


def _settings_from(count: int) -> int:
    size = min(count, _ALWAYS_UP_TO)
    while (larger := int(np.ceil(size * _GROWTH))) <= count:
        size = larger
    return size


def _estimates(
    surrogates: dict[int, Surrogate], rows: Rows, candidates: Sequence[Candidate]
) -> Estimates:
    objectives = len(candidates[0].screened.exact) if candidates else 0
    mean = np.zeros((len(candidates), objectives))
    deviation = np.zeros((len(candidates), objectives))
    for index in range(objectives):
        if index in surrogates:
            found = surrogates[index].predict(rows)
            mean[:, index], deviation[:, index] = found.mean, found.deviation
        else:
            mean[:, index] = [candidate.screened.exact[index] for candidate in candidates]
    if objectives == 1:
        mean[:, 0] += [candidate.screened.offset for candidate in candidates]
    return Estimates(mean, deviation)
