"""Candidates as rows of numbers: which group, which choices, which features.

Choices become weighted bits whose squared distance is a distance between choices: 1 for two
different categories, the share of its range between two numbers. Distances of many pairs are then
one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution

from hwkd.propose.candidates import ScreenedTrace
from hwkd.propose.domains import Value, is_number, nearest, unit

FloatArray = NDArray[np.float64]

# A number is told apart in so many places of its range.
_PLACES = 16
_TINY = 1e-6
_REMEMBERED = 8000  # rows; more where so many are asked for at once


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded candidates.

    Attributes:
        group: shape [n], whole numbers.
        size: shape [n], how many choices the group knows.
        bits: shape [n, bits]; what a column means depends on the group.
        features: shape [n, features], standardised, 0 where one has no meaning.
        exact: shape [n, objectives], what arithmetic knows; NaN where one must be measured.
    """

    group: FloatArray
    size: FloatArray
    bits: FloatArray
    features: FloatArray
    exact: FloatArray

    def __len__(self) -> int:
        """Return how many candidates."""
        return len(self.group)

    def taken(self, places: NDArray[np.int_] | slice) -> Rows:
        """Return the rows at some places."""
        return Rows(
            self.group[places],
            self.size[places],
            self.bits[places],
            self.features[places],
            self.exact[places],
        )

    def joined(self, other: Rows) -> Rows:
        """Return these rows and then the others."""
        return Rows(
            np.r_[self.group, other.group],
            np.r_[self.size, other.size],
            np.r_[self.bits, other.bits],
            np.r_[self.features, other.features],
            np.r_[self.exact, other.exact],
        )


class Encoder:
    """Turns candidates into rows; what it knows comes from the candidates that it was made from."""

    def __init__(self, seen: Sequence[ScreenedTrace], group: str | None) -> None:
        """Learn names, ranges and the spread of the features.

        Args:
            group: name of the choice that tells families of candidates apart; choices of different
                families are not compared. None: there is one family.
        """
        self._group = group
        self._groups: dict[Value, int] = {}
        self._names: dict[str, list[BaseDistribution]] = {}
        active: dict[int, set[str]] = {}
        for candidate in seen:
            number = self._groups.setdefault(self._group_of(candidate), len(self._groups))
            active.setdefault(number, set()).update(candidate.trace.params)
            for name, domain in candidate.trace.domains.items():
                known = self._names.setdefault(name, [])
                if domain not in known:
                    known.append(domain)
        # Choices of two groups are never compared, so each group's bits begin at the first column.
        self._starts: dict[int, dict[str, int]] = {}
        self._width = 0
        for number, names in active.items():
            place, starts = 0, {}
            for name, known in self._names.items():
                if name in names:
                    starts[name] = place
                    place += self._block(known)
            self._starts[number] = starts
            self._width = max(self._width, place)
        self._pieces: dict[tuple[str, Value, type], FloatArray] = {}
        raw = np.array([self._raw(candidate) for candidate in seen], dtype=float)
        with np.errstate(invalid="ignore"):
            known_count = np.maximum(1, np.isfinite(raw).sum(0))
            filled = np.where(np.isfinite(raw), raw, 0.0)
            self._mean = filled.sum(0) / known_count
            spread = np.where(np.isfinite(raw), (raw - self._mean) ** 2, 0.0)
        deviation = np.sqrt(spread.sum(0) / known_count)
        self._deviation = np.where(deviation < _TINY, 1.0, deviation)
        self._objectives = len(seen[0].screened.exact) if seen else 0
        self._placed: dict[ScreenedTrace, int] = {}
        self._table = self._empty(_REMEMBERED)

    def rows(self, candidates: Sequence[ScreenedTrace]) -> Rows:
        """Encode candidates; choices that were not known when it was made do not count."""
        if len(self._placed) > _REMEMBERED:
            self._placed.clear()
        missing = len(self._placed) + len(candidates) - len(self._table)
        if missing > 0:
            self._table = self._table.joined(self._empty(missing))
        places = list(map(self._placed.get, candidates))
        if None in places:
            places = [
                self._place(candidate) if place is None else place
                for candidate, place in zip(candidates, places, strict=True)
            ]
        return self._table.taken(np.array(places, dtype=int))

    def _empty(self, count: int) -> Rows:
        return Rows(
            np.zeros(count),
            np.zeros(count),
            np.zeros((count, self._width)),
            np.zeros((count, len(self._mean))),
            np.zeros((count, self._objectives)),
        )

    def _group_of(self, candidate: ScreenedTrace) -> Value:
        return None if self._group is None else candidate.trace.params.get(self._group)

    def _place(self, candidate: ScreenedTrace) -> int:
        """Write the row of a candidate into the table, unless it is there; returns where."""
        place = self._placed.setdefault(candidate, len(self._placed))
        group = self._groups.get(self._group_of(candidate), -1)
        self._table.group[place] = group
        self._table.size[place] = float(len(self._starts[group])) if group >= 0 else 1.0
        self._write_bits(candidate, group, self._table.bits[place])
        raw = (self._raw(candidate) - self._mean) / self._deviation
        self._table.exact[place] = np.array(candidate.screened.exact, dtype=float)
        self._table.features[place] = np.where(np.isfinite(raw), raw, 0.0)
        return place

    def _raw(self, candidate: ScreenedTrace) -> FloatArray:
        features = candidate.screened.features
        if features:
            return np.array(features, dtype=float)
        trace = candidate.trace
        return np.array(
            [
                unit(known[0], trace.params[name]) if name in trace.params else math.nan
                for name, known in self._names.items()
                if is_number(known[0])
            ],
            dtype=float,
        )

    def _write_bits(self, candidate: ScreenedTrace, group: int, bits: FloatArray) -> None:
        params = candidate.trace.params
        bits[:] = 0.0
        for name, start in self._starts.get(group, {}).items():
            value = params.get(name)
            key = (name, value, type(value) if name in params else ScreenedTrace)
            piece = self._pieces.get(key)
            if piece is None:
                piece = self._pieces[key] = self._piece(name, candidate)
            bits[start : start + len(piece)] = piece

    def _piece(self, name: str, candidate: ScreenedTrace) -> FloatArray:
        """Return the bits of one choice; the last one says that it was not to be made."""
        known = self._names[name]
        piece = np.zeros(self._block(known))
        if name not in candidate.trace.params:
            piece[-1] = math.sqrt(0.5)
            return piece
        value = candidate.trace.params[name]
        if is_number(known[0]):
            # A range may depend on earlier choices; places are counted in the first one known.
            inside = nearest(known[0], value)
            place = unit(known[0], value if inside is None else inside)
            piece[: round(place * _PLACES)] = math.sqrt(1.0 / _PLACES)
        else:
            choices = _choices(known)
            if (value, type(value)) in choices:
                piece[choices.index((value, type(value)))] = math.sqrt(0.5)
        return piece

    @staticmethod
    def _block(known: Sequence[BaseDistribution]) -> int:
        return 1 + (_PLACES if is_number(known[0]) else len(_choices(known)))


def _choices(known: Sequence[BaseDistribution]) -> list[tuple[Value, type]]:
    found: dict[tuple[Value, type], None] = {}
    for domain in known:
        if isinstance(domain, CategoricalDistribution):
            found.update(((choice, type(choice)), None) for choice in domain.choices)
    return list(found)
