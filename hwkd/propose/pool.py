"""Feasible candidates to choose from: a survey, fresh draws, and relatives of what is good.

Everything here is a function of the seed, the turn and what was tried, so that a search which is
killed and resumed sees the pool that an undisturbed one sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Generic, TypeVar

from hwkd.propose.candidates import ScreenedTrace, Screening
from hwkd.propose.domains import Value, every_value
from hwkd.propose.problem import Origin, Problem
from hwkd.propose.traces import Trace, cross, enumerate_traces, mutate, run

T = TypeVar("T")

# Screened before the first candidate is tried, all groups together; fewer to try only a few.
_SURVEYED, _SURVEYED_PER_TRIED = 600, 30
# Where limits are tight the survey goes on until so many fit or so many were screened.
_ENOUGH, _MOST_SURVEYED = 60, 12_000
_FRESH_PER_TURN, _FRESH_TURNS = 9, 40
_FIRST_RELATIVES, _TURNS_PER_RELATIVE, _MOST_RELATIVES = 10, 2, 48
_CROSSED_PER_TURN = 4
# A space with at most so many candidates is listed when nothing new is found in it.
_LISTED = 20_000


@dataclass(frozen=True, slots=True)
class Source:
    """Where a candidate of the pool comes from."""

    origin: Origin
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Parent:
    """A good candidate: what was observed, and how many turns ago."""

    number: int
    candidate: ScreenedTrace
    turns_ago: int


class Pool(Generic[T]):
    """Makes and screens candidates; those that do not fit cost a screening and nothing else."""

    def __init__(self, problem: Problem[T], screening: Screening[T], *, seed: int) -> None:
        """Name the space; nothing is screened yet."""
        self._problem = problem
        self._screening = screening
        self._seed = seed
        # Of this turn and the one before; a function of the seed, remembered to save its time.
        self._fresh: dict[int, tuple[ScreenedTrace, ...]] = {}
        self._relatives: dict[int, list[ScreenedTrace]] = {}

    @cached_property
    def groups(self) -> tuple[Value, ...]:
        """The families of candidates, as values of the choice that names them."""
        name = self._problem.group
        if name is None:
            return (None,)
        probe = run(self._problem.suggest, {}, self._random("probe"))
        values = every_value(probe.domains[name])
        return values or (probe.params[name],)

    @cached_property
    def survey(self) -> tuple[ScreenedTrace, ...]:
        """Feasible random candidates, every group alike; empty when nothing was found that fits."""
        found: dict[object, ScreenedTrace] = {}
        tried, screened = self._problem.tried, 0
        wanted = _SURVEYED if tried is None else min(_SURVEYED, _SURVEYED_PER_TRIED * tried)
        random = self._random("survey")
        while screened < wanted or (len(found) < _ENOUGH and screened < _MOST_SURVEYED):
            group = self.groups[screened % len(self.groups)]
            self._add(found, self._drawn(group, random))
            screened += 1
        return tuple(found.values())

    @cached_property
    def references(self) -> tuple[ScreenedTrace, ...]:
        """The reference candidates that fit, in the order given."""
        found: dict[object, ScreenedTrace] = {}
        for params in self._problem.references:
            self._add(found, run(self._problem.suggest, params, self._random("reference")))
        return tuple(found.values())

    def fresh(self, turn: int) -> Iterator[ScreenedTrace]:
        """Yield feasible random candidates, this turn's and those of some turns before."""
        numbers = range(max(0, turn - _FRESH_TURNS + 1), turn + 1)
        self._fresh = {
            number: self._fresh[number]
            if number in self._fresh
            else tuple(self._drawn_in_turn(number))
            for number in numbers
        }
        for candidates in self._fresh.values():
            yield from candidates

    def relatives(
        self, parents: Sequence[Parent], turn: int
    ) -> Iterator[tuple[ScreenedTrace, Source]]:
        """Yield feasible mutations of parents, more of older ones, and some crossings of two."""
        suggest, used = self._problem.suggest, {}
        for parent in parents:
            source = Source("mutation", parent.number)
            more = parent.turns_ago // _TURNS_PER_RELATIVE
            count = min(_MOST_RELATIVES, _FIRST_RELATIVES + more)
            known = used[parent.number] = self._relatives.get(parent.number, [])
            for index in range(len(known), count):
                random = self._random("relative", parent.number, index)
                known.append(self._screening(mutate(suggest, parent.candidate.trace, random)))
            for candidate in known[:count]:
                if candidate.screened.is_feasible:
                    yield candidate, source
        self._relatives = used
        random = self._random("crossing", turn)
        for _ in range(_CROSSED_PER_TURN if len(parents) > 1 else 0):
            first, second = random.sample(parents, 2)
            if self.group_of(first.candidate) == self.group_of(second.candidate):
                child = cross(suggest, first.candidate.trace, second.candidate.trace, random)
                for candidate in self._fits(child):
                    yield candidate, Source("crossover", first.number)

    def steps(
        self, candidates: Sequence[ScreenedTrace], turn: int, count: int
    ) -> Iterator[ScreenedTrace]:
        """Yield feasible mutations of candidates that were not tried; candidate by candidate."""
        random = self._random("step", turn)
        for candidate in candidates:
            for _ in range(count):
                yield from self._fits(mutate(self._problem.suggest, candidate.trace, random))

    def untried(self, tried: set[object]) -> Iterable[ScreenedTrace]:
        """Return candidates that were not tried, searching hard; none where none is left.

        A finite space that is small enough is listed, so that none means none; elsewhere a long
        random search stands in.
        """
        for trace in enumerate_traces(self._problem.suggest, most=_LISTED):
            if trace is None:
                break
            for candidate in self._fits(trace):
                if candidate.screened.key not in tried:
                    return (candidate,)
        else:
            return ()
        random = self._random("untried", len(tried))
        for index in range(_MOST_SURVEYED):
            group = self.groups[index % len(self.groups)]
            for candidate in self._fits(self._drawn(group, random)):
                if candidate.screened.key not in tried:
                    return (candidate,)
        return ()

    def group_of(self, candidate: ScreenedTrace) -> Value:
        """Return the family of a candidate."""
        name = self._problem.group
        return None if name is None else candidate.trace.params.get(name)

    def replay_random(self) -> Random:
        """Return what draws choices that a stored candidate lacks: the same ones each time."""
        return self._random("replay")

    def _drawn_in_turn(self, turn: int) -> Iterator[ScreenedTrace]:
        random = self._random("fresh", turn)
        for index in range(_FRESH_PER_TURN):
            yield from self._fits(self._drawn(self.groups[index % len(self.groups)], random))

    def _drawn(self, group: Value, random: Random) -> Trace[T]:
        given = {} if self._problem.group is None else {self._problem.group: group}
        return run(self._problem.suggest, given, random)

    def _fits(self, trace: Trace[T]) -> Iterator[ScreenedTrace]:
        candidate = self._screening(trace)
        if candidate.screened.is_feasible:
            yield candidate

    def _add(self, found: dict[object, ScreenedTrace], trace: Trace[T]) -> None:
        for candidate in self._fits(trace):
            found.setdefault(candidate.screened.key, candidate)

    def _random(self, *label: object) -> Random:
        return Random(":".join(map(str, (self._seed, *label))))
