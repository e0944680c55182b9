"""One surrogate for everything that must be measured, and the front as they see it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import ndtr

from hwkd.propose.acquisition import Estimates
from hwkd.propose.candidates import ScreenedTrace
from hwkd.propose.encoding import Encoder, FloatArray, Rows
from hwkd.propose.observations import Trained, bounded, drawn_in, front_range
from hwkd.propose.problem import Observation
from hwkd.propose.surrogate import Surrogate, find_settings

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
        objectives: index of a measured objective -> its surrogate; further outputs are further
            results of the first one.
        candidates: what the surrogates were fitted to, pending ones last.
        values: shape [n, objectives]: of the fitted candidates, the measured ones as the
            surrogates see them without their noise.
        is_feasible: shape [n], by the constraints that were measured.
    """

    encoder: Encoder
    objectives: dict[int, Surrogate]
    constraints: tuple[Surrogate, ...]
    candidates: Sequence[ScreenedTrace]
    values: FloatArray
    is_feasible: FloatArray

    @property
    def feasible(self) -> FloatArray:
        """The values of what keeps every constraint that was measured."""
        feasible: FloatArray = self.values[self.is_feasible]
        return feasible

    def estimates(self, candidates: Sequence[ScreenedTrace]) -> Estimates:
        """Predict the objectives of candidates; exact ones are copied."""
        rows = self.encoder.rows(candidates)
        found = {index: surrogate.predict(rows) for index, surrogate in self.objectives.items()}
        mean = _with_exact({i: one.mean for i, one in found.items()}, rows.exact, candidates)
        deviation = np.zeros_like(mean)
        for index, one in found.items():
            deviation[:, index] = one.deviation
        return Estimates(mean, deviation)

    def feasible_chance(self, candidates: Sequence[ScreenedTrace]) -> FloatArray:
        """Return the chance that every measured constraint is kept."""
        chance = np.ones(len(candidates))
        if self.constraints:
            rows = self.encoder.rows(candidates)
            for surrogate in self.constraints:
                found = surrogate.predict(rows)
                chance *= ndtr(-found.mean / found.deviation)
        return chance

    def predicted(
        self, candidate: ScreenedTrace, outputs: int, *, stretch: float
    ) -> tuple[tuple[float, float], ...]:
        """Predict measurements of one candidate: the first objective, then the outputs."""
        rows = self.encoder.rows([candidate])
        surrogate = self.objectives[0]
        pairs = []
        for result, found in enumerate(surrogate.predict_all(rows, 1 + outputs)):
            whole = surrogate.measured_deviation(found.deviation, result)
            offset = candidate.screened.offset if result == 0 else 0.0
            pairs.append((float(found.mean[0]) + offset, stretch * float(whole[0])))
        return tuple(pairs)


def fit_models(
    encoder: Encoder,
    seen: Trained,
    part: Sequence[int],
    pending: Sequence[ScreenedTrace],
    *,
    candidate_of: Callable[[Observation], ScreenedTrace],
    worst: Sequence[float | None],
    memory: SettingsMemory,
) -> Models:
    """Fit a surrogate to everything that must be measured.

    Args:
        pending: being tried; believed to come out as predicted.
        worst: see `hwkd.propose.observations.drawn_in`; per objective.
    """
    trained = seen.part(part)
    candidates = [candidate_of(observation) for observation in trained.observations]
    rows, waiting = encoder.rows(candidates), encoder.rows(pending)
    learned = _learned_from(seen)
    numbers = tuple(observation.number for observation in learned.observations)

    def fitted(what: int, results_of: Callable[[Trained], FloatArray]) -> Surrogate:
        def data() -> tuple[Rows, FloatArray]:
            taken = [candidate_of(observation) for observation in learned.observations]
            return encoder.rows(taken), results_of(learned)[:, 0]

        settings = memory.find((what, numbers), data)
        return _fitted(rows, results_of(trained), waiting, settings)

    exact = candidates[0].screened.exact
    objectives = {
        index: fitted(index, partial(_results, index, worst[index], candidate_of))
        for index, known in enumerate(exact)
        if known is None
    }
    measured = min((len(o.constraints) for o in trained.observations), default=0)
    constraints = tuple(fitted(-1 - index, partial(_measured, index)) for index in range(measured))
    feasible = [all(c <= 0 for c in o.constraints) for o in trained.observations]
    everyone = [*candidates, *pending]
    known_values = np.r_[rows.exact, waiting.exact]
    values = _with_exact({i: s.smoothed() for i, s in objectives.items()}, known_values, everyone)
    if len(exact) > 1:
        for index, known in enumerate(exact):
            if known is not None:
                values[: len(candidates), index] = trained.values[:, index]
    return Models(
        encoder=encoder,
        objectives=objectives,
        constraints=constraints,
        candidates=everyone,
        values=values,
        is_feasible=np.array([*feasible, *[True] * len(pending)], dtype=bool),
    )


def _results(
    index: int,
    worst: float | None,
    candidate_of: Callable[[Observation], ScreenedTrace],
    some: Trained,
) -> FloatArray:
    """Return what a surrogate of one objective learns: of the first one the outputs, too."""
    results = some.values[:, index : index + 1].copy()
    if some.values.shape[1] == 1:
        worst = None
        results[:, 0] -= [candidate_of(o).screened.offset for o in some.observations]
    elif worst is None:
        best, nadir = front_range(some.values)
        worst = float(2.0 * nadir[index] - best[index])
    results[:, 0] = drawn_in(results[:, 0], worst)
    if index == 0 and some.observations[0].outputs:
        results = np.c_[results, [o.outputs for o in some.observations]]
    return results


def _measured(index: int, some: Trained) -> FloatArray:
    return np.array([[o.constraints[index]] for o in some.observations])


def _fitted(
    rows: Rows, results: FloatArray, waiting: Rows, settings: tuple[FloatArray, ...]
) -> Surrogate:
    surrogate = Surrogate(rows, results, settings)
    if not len(waiting):
        return surrogate
    believed = np.stack(
        [surrogate.expected(waiting, index) for index in range(results.shape[1])], axis=1
    )
    return Surrogate(rows.joined(waiting), np.r_[results, believed], settings)


def _learned_from(seen: Trained) -> Trained:
    """Return the part that settings are found from, which rarely changes."""
    count = _settings_from(len(seen))
    older = Trained(seen.observations[:count], seen.values[:count])
    return older.part(bounded(older, (), most=_MOST_FOR_SETTINGS))


def _settings_from(count: int) -> int:
    size = min(count, _ALWAYS_UP_TO)
    while (larger := int(np.ceil(size * _GROWTH))) <= count:
        size = larger
    return size


def _with_exact(
    measured: Mapping[int, FloatArray], exact: FloatArray, candidates: Sequence[ScreenedTrace]
) -> FloatArray:
    """Return the objectives of candidates, shape [n, objectives], from those that are measured."""
    values = exact.copy()
    for index, found in measured.items():
        values[:, index] = found
    if values.shape[1] == 1:
        values[:, 0] += [candidate.screened.offset for candidate in candidates]
    return values
