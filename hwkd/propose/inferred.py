"""The space of a study that nobody described, as its own trials show it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from hwkd.propose.domains import Value, is_number
from hwkd.propose.traces import Params, TraceTrial

# A choice of ours that no study has: which set of names a candidate uses.
BRANCH = "hwkd:branch"


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredSpace:
    """Sets of names that trials used, and what each name was chosen from.

    An objective that asks for different names after different choices shows several branches. A
    choice whose values never coincide between branches decides the branch, and keeps to the values
    that were seen there.

    Attributes:
        branches: label -> names in the order of asking.
        domains: name -> distribution, as asked for last.
        deciding: (label, name) -> values seen, for choices that decide the branch.
    """

    branches: Mapping[str, tuple[str, ...]]
    domains: Mapping[str, BaseDistribution]
    deciding: Mapping[tuple[str, str], tuple[Value, ...]]

    @property
    def signature(self) -> Hashable:
        """Equal for equal spaces."""
        return (
            tuple(self.branches.items()),
            tuple((name, repr(domain)) for name, domain in self.domains.items()),
            tuple(self.deciding.items()),
        )

    def suggest(self, trial: TraceTrial) -> None:
        """Run the space."""
        label = next(iter(self.branches))
        if len(self.branches) > 1:
            label = str(trial.suggest_categorical(BRANCH, tuple(self.branches)))
        for name in self.branches[label]:
            seen = self.deciding.get((label, name))
            domain = self.domains[name]
            if seen is not None:
                trial.suggest_categorical(name, seen)
            elif isinstance(domain, IntDistribution):
                trial.suggest_int(name, domain.low, domain.high, step=domain.step, log=domain.log)
            elif isinstance(domain, FloatDistribution):
                trial.suggest_float(name, domain.low, domain.high, step=domain.step, log=domain.log)
            else:
                trial.suggest_categorical(name, getattr(domain, "choices", ()))

    def labelled(self, params: Params) -> Params:
        """Return the choices of a trial with the branch that they belong to."""
        return params if len(self.branches) < 2 else {BRANCH: _label(params), **params}


def infer_space(trials: Iterable[FrozenTrial]) -> InferredSpace | None:
    """Return the space of trials; None where no trial made a choice."""
    branches: dict[str, tuple[str, ...]] = {}
    domains: dict[str, BaseDistribution] = {}
    seen: dict[str, dict[str, dict[Value, None]]] = {}
    for trial in trials:
        if not trial.params:
            continue
        label = _label(trial.params)
        branches.setdefault(label, tuple(trial.params))
        domains.update(trial.distributions)
        for name, value in trial.params.items():
            seen.setdefault(name, {}).setdefault(label, {})[value] = None
    if not branches:
        return None
    deciding = {}
    for name, by_label in seen.items():
        if len(by_label) < 2 or (
            is_number(domains[name]) and not isinstance(domains[name], IntDistribution)
        ):
            continue
        values = [value for found in by_label.values() for value in found]
        if len(values) == len(set(values)):
            deciding.update(
                {(label, name): tuple(sorted(found, key=repr)) for label, found in by_label.items()}
            )
    return InferredSpace(branches=branches, domains=domains, deciding=deciding)


def _label(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
