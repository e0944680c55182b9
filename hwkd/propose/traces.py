"""A candidate as the trace of its choices: draw, replay, change one, cross two, list all.

A search space is a function that asks for choices by name; which choices there are may depend on
earlier ones. Running it with a trial that replays values and records what was asked makes every
space, a user's own included, open to mutation without knowing its structure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar

from optuna.distributions import BaseDistribution

from hwkd.propose import domains
from hwkd.propose.domains import Value

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Params: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Trace(Generic[T_co]):
    """One run of a space.

    Attributes:
        params: name -> value, in the order of asking.
        domains: name -> what the value was chosen from.
    """

    params: Params
    domains: Mapping[str, BaseDistribution]
    made: T_co

    @property
    def identity(self) -> tuple[tuple[str, Value, type], ...]:
        """Equal for equal choices."""
        return tuple((name, value, type(value)) for name, value in self.params.items())


class TraceTrial:
    """Stands in for an Optuna trial: replays given values, draws the others, records all."""

    def __init__(
        self,
        given: Params,
        random: Random,
        legal: Mapping[str, BaseDistribution] = MappingProxyType({}),
    ) -> None:
        """Start without any choice made.

        Args:
            given: values to choose where a name is asked for; one that is not legal any more
                becomes the nearest legal number, or is drawn.
            legal: what given values were chosen from: one that is chosen from the same is legal.
        """
        self.params: dict[str, Value] = {}
        self.domains: dict[str, BaseDistribution] = {}
        self._given, self._legal = given, legal
        self._random = random

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Choose one of `choices`."""
        return self._choose(name, domains.categorical(choices))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Choose an integer."""
        value = self._choose(name, domains.integer(low, high, step, log))
        assert isinstance(value, int)
        return value

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Choose a number."""
        value = self._choose(name, domains.real(low, high, step, log))
        assert isinstance(value, float)
        return value

    def _choose(self, name: str, domain: BaseDistribution) -> Value:
        if name in self.params:  # asked twice: the same answer, as Optuna gives it
            return self.params[name]
        value = self._given.get(name)
        if name in self._given and self._legal.get(name) is not domain:
            value = domains.nearest(domain, value)
        if value is None:
            value = domains.draw(domain, self._random)
        self.params[name] = value
        self.domains[name] = domain
        return value


Suggest: TypeAlias = Callable[[TraceTrial], T]


def run(
    suggest: Suggest[T],
    given: Params,
    random: Random,
    legal: Mapping[str, BaseDistribution] = MappingProxyType({}),
) -> Trace[T]:
    """Run a space once; see `TraceTrial`."""
    trial = TraceTrial(given, random, legal)
    made = suggest(trial)
    return Trace(trial.params, trial.domains, made)


def mutate(suggest: Suggest[T], parent: Trace[object], random: Random) -> Trace[T]:
    """Change one choice of a trace, sometimes two, and replay the rest."""
    names = [name for name, domain in parent.domains.items() if not domain.single()]
    given = dict(parent.params)
    for name in random.sample(names, min(len(names), 1 + (random.random() < 0.3))):
        given[name] = domains.another(parent.domains[name], given[name], random)
    return run(suggest, given, random, parent.domains)


def cross(
    suggest: Suggest[T], first: Trace[object], second: Trace[object], random: Random
) -> Trace[T]:
    """Take every choice from one of two traces."""
    given = {**second.params, **first.params}
    given.update({n: value for n, value in second.params.items() if random.random() < 0.5})
    return run(suggest, given, random)


def enumerate_traces(suggest: Suggest[T], *, most: int) -> Iterator[Trace[T] | None]:
    """Yield every trace of a finite space; None at the end of an incomplete list.

    Args:
        most: so many traces are listed at most; a space with a continuous choice has no list.
    """
    random = Random("enumerate")
    waiting: list[dict[str, Value]] = [{}]
    count = 0
    while waiting:
        prefix = waiting.pop()
        trace = run(suggest, prefix, random)
        # The first choice that the prefix leaves open branches; its first value is followed now.
        while (name := _first_open(trace, prefix)) is not None:
            values = domains.every_value(trace.domains[name])
            if values is None or len(values) > most:
                yield None
                return
            waiting.extend({**prefix, name: value} for value in values[1:])
            prefix = {**prefix, name: values[0]}
            trace = run(suggest, prefix, random)
        if count == most:
            yield None
            return
        count += 1
        yield trace


def _first_open(trace: Trace[object], prefix: Params) -> str | None:
    return next((name for name in trace.params if name not in prefix), None)
