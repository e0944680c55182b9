"""What a phase of a scheme minimises: its edges, over the signals of all roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from hwkd.core.signals import Batch
from hwkd.core.teaching import TrainingSet
from hwkd.distill.scheme import Phase, edge_terms
from hwkd.distill.scheme_sources import SchemeSource


class ShowsSignals(Protocol):
    """A module of roles, as `hwkd.nn.cohort.Cohort` is."""

    def signals(
        self,
        inputs: Tensor,
        other: Tensor | None = None,
        *,
        given: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Return what every role shows."""
        ...


class SchemeCriterion:
    """The terms of a phase; see `hwkd.train.loop.Criterion`.

    Roles with an aim of their own learn in turns, before every step of the others.
    """

    def __init__(
        self, phase: Phase, sources: Mapping[str, SchemeSource], data: TrainingSet
    ) -> None:
        """Keep what a step needs.

        Args:
            phase: of a scheme.
            sources: roles that do not learn, by name.
            data: that is trained on.
        """
        self._phase = phase
        self._sources = dict(sources)
        self._copies = data.copies

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Run every role on the batch and return weighted scalar terms by name."""
        signals = self._signals(module, batch)
        terms = edge_terms(self._phase.edges, signals, batch.labels, batch.epoch_ratio)
        for source in self._sources.values():
            source.observe(batch, signals)
        return terms

    def turns(self, module: nn.Module) -> Sequence[tuple[Sequence[nn.Parameter], int]]:
        """Return, for roles that learn in turns, their parameters and steps."""
        parts: Any = module.get_submodule("parts")
        return [
            ([p for name in turn.roles for p in parts[name].parameters()], turn.steps)
            for turn in self._phase.turns
        ]

    def turn(self, index: int, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of a turn."""
        edges = self._phase.turns[index].edges
        return edge_terms(edges, self._signals(module, batch), batch.labels, batch.epoch_ratio)

    def parameters(self) -> Sequence[nn.Parameter]:
        """None: everything that learns is in the cohort."""
        return ()

    def state_dict(self) -> dict[str, Tensor]:
        """Return what sources remember, for a checkpoint."""
        return {
            f"{name}.{key}": tensor
            for name, source in self._sources.items()
            for key, tensor in source.state().items()
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state_dict`."""
        for name, source in self._sources.items():
            size, own = len(name) + 1, f"{name}."
            source.load_state({k[size:]: t for k, t in state.items() if k.startswith(own)})

    def _signals(self, module: Any, batch: Batch) -> dict[str, Tensor]:
        cohort: ShowsSignals = module
        # Another copy where there is one, else the sample as nothing happened to it.
        view = self._copies[(batch.copy + 1) % len(self._copies)]
        given: dict[str, Tensor] = {}
        for source in self._sources.values():
            given.update(source.show(batch))
        other = view.index_select(0, batch.sample_ids)
        signals = cohort.signals(batch.inputs, other, given=given) | given
        return {name: t.float() if t.is_floating_point() else t for name, t in signals.items()}
