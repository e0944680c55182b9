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


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded candidates.

    Attributes:
        group: shape [n], whole numbers.
        size: shape [n], how many choices the group knows.
        bits: shape [n, bits].
        features: shape [n, features], standardised, 0 where one has no meaning.
    """

    group: FloatArray
    size: FloatArray
    bits: FloatArray
    features: FloatArray

    def __len__(self) -> int:
        """Return how many candidates."""
        return len(self.group)

    def joined(self, other: Rows) -> Rows:
        """Return these rows and then the others."""
        return Rows(
            np.r_[self.group, other.group],
            np.r_[self.size, other.size],
            np.r_[self.bits, other.bits],
            np.r_[self.features, other.features],
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
        self._sizes = {number: float(len(names)) for number, names in active.items()}
        self._starts: dict[str, int] = {}
        self._width = 0
        for name, known in self._names.items():
            self._starts[name] = self._width
            self._width += self._block(known)
        self._pieces: dict[tuple[str, Value, type], NDArray[np.float64]] = {}
        self._rows: dict[ScreenedTrace, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        raw = np.array([self._raw(candidate) for candidate in seen], dtype=float)
        with np.errstate(invalid="ignore"):
            known_count = np.maximum(1, np.isfinite(raw).sum(0))
            filled = np.where(np.isfinite(raw), raw, 0.0)
            self._mean = filled.sum(0) / known_count
            spread = np.where(np.isfinite(raw), (raw - self._mean) ** 2, 0.0)
        deviation = np.sqrt(spread.sum(0) / known_count)
        self._deviation = np.where(deviation < _TINY, 1.0, deviation)

    def rows(self, candidates: Sequence[ScreenedTrace]) -> Rows:
        """Encode candidates; choices that were not known when it was made do not count."""
        groups = np.array(
            [self._groups.get(self._group_of(candidate), -1) for candidate in candidates],
            dtype=float,
        )
        sizes = np.array([self._sizes.get(int(group), 1.0) for group in groups])
        pairs = [self._row(candidate) for candidate in candidates]
        if not pairs:
            return Rows(groups, sizes, np.empty((0, self._width)), np.empty((0, len(self._mean))))
        return Rows(
            groups, sizes, np.stack([bits for bits, _ in pairs]), np.stack([f for _, f in pairs])
        )

    def _group_of(self, candidate: ScreenedTrace) -> Value:
        return None if self._group is None else candidate.trace.params.get(self._group)

    def _row(self, candidate: ScreenedTrace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        row = self._rows.get(candidate)
        if row is None:
            if len(self._rows) > 8000:
                self._rows.clear()
            raw = (self._raw(candidate) - self._mean) / self._deviation
            row = self._bits(candidate), np.where(np.isfinite(raw), raw, 0.0)
            self._rows[candidate] = row
        return row

    def _raw(self, candidate: ScreenedTrace) -> NDArray[np.float64]:
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

    def _bits(self, candidate: ScreenedTrace) -> NDArray[np.float64]:
        bits = np.zeros(self._width)
        for name, start in self._starts.items():
            value = candidate.trace.params.get(name)
            key = (name, value, type(value) if name in candidate.trace.params else ScreenedTrace)
            piece = self._pieces.get(key)
            if piece is None:
                piece = self._piece(name, candidate)
                self._pieces[key] = piece
            bits[start : start + len(piece)] = piece
        return bits

    def _piece(self, name: str, candidate: ScreenedTrace) -> NDArray[np.float64]:
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
