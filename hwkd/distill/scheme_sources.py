"""Where targets come from that no role of a phase computes: earlier networks, averages, memories.

A source shows signals of one role, and lives as long as a phase.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.cohort_sources import Average, HeldOut, Memory, Sent, Stale
from hwkd.core.signals import Batch
from hwkd.distill.aggregators.general import general_weights
from hwkd.distill.timetables.copies import stale_copy
from hwkd.distill.timetables.ramp import averaging_decay

_Copied = TypeVar("_Copied", Average, Stale)

_CHUNK_SAMPLES = 1024
# What a module of roles shows for inputs.
Shows = Callable[[nn.Module, Tensor], Mapping[str, Tensor]]


class SchemeSource(Protocol):
    """One role that does not learn: `show` and `observe` for every step in turn."""

    def show(self, batch: Batch) -> Mapping[str, Tensor]:
        """Return its signals for a batch; none has a gradient."""
        ...

    def observe(self, batch: Batch, signals: Mapping[str, Tensor]) -> None:
        """Take note of a step, before the weights change."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Return the tensors that a checkpoint must hold."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`."""
        ...


class _Finished:
    """What no longer learns: who made it is there when a training goes on."""

    def observe(self, batch: Batch, signals: Mapping[str, Tensor]) -> None:
        """Learn nothing."""
        del batch, signals

    def state(self) -> Mapping[str, Tensor]:
        """Keep nothing."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Have nothing to restore."""
        del state


class TableSource(_Finished):
    """Logits of a network that is finished, computed once for each sample and copy."""

    def __init__(self, name: str, tables: Sequence[Tensor]) -> None:
        """Keep what it said.

        Args:
            name: of the role.
            tables: of each augmented copy, shape [samples, classes].
        """
        self._name, self._tables = name, list(tables)

    @classmethod
    def of(
        cls, name: str, network: nn.Module, copies: Sequence[Tensor], *, noise: float = 0.0
    ) -> TableSource:
        """Ask a network.

        Args:
            name: of the role.
            network: maps inputs to logits; is put in evaluation mode.
            copies: augmented versions of the inputs, each [samples, *input_shape].
            noise: deviation of what is added to each logit.
        """
        network.eval()
        with torch.no_grad():
            tables = [
                torch.cat([network(part) for part in torch.split(each, _CHUNK_SAMPLES)]).float()
                for each in copies
            ]
        draws = torch.Generator().manual_seed(zlib.crc32(name.encode()))
        if noise:
            tables = [t + noise * torch.randn(t.shape, generator=draws).to(t) for t in tables]
        return cls(name, tables)

    def show(self, batch: Batch) -> Mapping[str, Tensor]:
        """Look the samples up."""
        table = self._tables[batch.copy]
        return {f"{self._name}.logits": table.index_select(0, batch.sample_ids)}


class SentSource(_Finished):
    """Maps and logits that clients sent of their own samples, in one table for each copy."""

    def __init__(self, role: Sent, tables: Sequence[Mapping[str, Tensor]]) -> None:
        """Keep what they sent.

        Args:
            role: names the signals.
            tables: of each augmented copy: `maps`, shape [samples, *shape], and `logits`.
        """
        self._role, self._tables = role, list(tables)

    def show(self, batch: Batch) -> Mapping[str, Tensor]:
        """Look the samples up."""
        table = self._tables[batch.copy]
        names = {"maps": f"stage{self._role.stage}", "logits": "logits"}
        return {
            f"{self._role.name}.{names[key]}": value.index_select(0, batch.sample_ids)
            for key, value in table.items()
        }


class FrozenSource(_Finished):
    """A network that is finished, run on every batch."""

    def __init__(self, name: str, of: str, cohort: nn.Module, shows: Shows) -> None:
        """Copy it.

        Args:
            name: of the role.
            of: the role that it was.
            cohort: that it was in.
            shows: its signals.
        """
        self._name, self._of, self._shows = name, of, shows
        self._copy = copy.deepcopy(cohort).eval().requires_grad_(False)

    @torch.no_grad()
    def show(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run it."""
        shown, start = self._shows(self._copy, batch.inputs), f"{self._of}."
        return {
            f"{self._name}.{signal.removeprefix(start)}": value
            for signal, value in shown.items()
            if signal.startswith(start)
        }


class _CopySource(Generic[_Copied]):
    """What is common to copies of a whole cohort."""

    def __init__(self, roles: Sequence[_Copied], cohort: nn.Module, shows: Shows) -> None:
        self._roles: tuple[_Copied, ...] = tuple(roles)
        self._cohort = cohort
        self._copy = copy.deepcopy(cohort).eval().requires_grad_(False)
        self._shows = shows
        self._steps = 0

    @torch.no_grad()
    def show(self, batch: Batch) -> Mapping[str, Tensor]:
        """Run the copy."""
        self._before()
        shown = self._shows(self._copy, batch.inputs)
        return {f"{role.name}.logits": shown[f"{role.of}.logits"] for role in self._roles}

    def observe(self, batch: Batch, signals: Mapping[str, Tensor]) -> None:
        """Count the step."""
        del batch, signals
        self._after()
        self._steps += 1

    def state(self) -> Mapping[str, Tensor]:
        """Return the copy and the count."""
        own = {f"copy.{name}": tensor for name, tensor in self._copy.state_dict().items()}
        return own | {"steps": torch.tensor(self._steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore both."""
        self._steps = int(state["steps"])
        self._copy.load_state_dict(
            {n.removeprefix("copy."): t for n, t in state.items() if n.startswith("copy.")}
        )

    def _before(self) -> None:
        """Renew the copy before it is asked."""

    def _after(self) -> None:
        """Renew the copy after it was asked."""

    @torch.no_grad()
    def _move(self, keep: float) -> None:
        """Set the copy to `keep` times itself and the rest of the cohort."""
        present = self._cohort.state_dict()
        for name, value in self._copy.state_dict().items():
            if value.is_floating_point():
                value.lerp_(present[name], 1.0 - keep)
            else:
                value.copy_(present[name])


class AverageSource(_CopySource[Average]):
    """The moving average of networks: of weights and of batch statistics."""

    def _after(self) -> None:
        self._move(averaging_decay(self._steps, self._roles[0].decay))


class StaleSource(_CopySource[Stale]):
    """Copies of networks that are renewed after so many steps."""

    def _before(self) -> None:
        interval = self._roles[0].interval
        if stale_copy(self._steps, interval=interval, burn_in=0) == self._steps:
            self._move(0.0)


class MemorySource:
    """What a network said of each sample when it saw it last; at first, the sample's label."""

    def __init__(self, role: Memory, labels: Tensor, classes: int) -> None:
        """Begin with the labels."""
        self._role = role
        self._table = functional.one_hot(labels, classes).float()

    def show(self, batch: Batch) -> Mapping[str, Tensor]:
        """Look the samples up."""
        return {f"{self._role.name}.probabilities": self._table[batch.sample_ids]}

    def observe(self, batch: Batch, signals: Mapping[str, Tensor]) -> None:
        """Remember what is said now."""
        said = torch.softmax(signals[f"{self._role.of}.logits"].detach().float(), 1)
        self._table[batch.sample_ids] = said

    def state(self) -> Mapping[str, Tensor]:
        """Return the table."""
        return {"table": self._table}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore it."""
        self._table.copy_(state["table"])


class HeldOutSource:
    """Weights of peers from their errors on held-out samples, measured once an epoch."""

    def __init__(
        self,
        role: HeldOut,
        cohort: nn.Module,
        shows: Shows,
        *,
        held_out: tuple[Tensor, Tensor],
        steps_per_epoch: int,
    ) -> None:
        """Begin with equal weights.

        Args:
            role: names the members.
            cohort: that they are in.
            shows: its signals.
            held_out: inputs and labels.
            steps_per_epoch: between two measurements.
        """
        self._role, self._cohort, self._shows = role, cohort, shows
        self._inputs, self._labels = held_out
        self._period, self._steps = steps_per_epoch, 0
        count = len(role.members)
        self._weights = torch.full((count,), 1.0 / count, device=self._labels.device)

    def show(self, batch: Batch) -> Mapping[str, Tensor]:
        """Measure, if it is time to."""
        del batch
        if self._steps % self._period == 0 and self._steps:
            was_training = self._cohort.training
            self._cohort.eval()
            with torch.no_grad():
                shown = self._shows(self._cohort, self._inputs)
            self._cohort.train(was_training)
            held = torch.stack([shown[f"{name}.logits"] for name in self._role.members])
            self._weights = general_weights(held, self._labels)
        return {f"{self._role.name}.weights": self._weights}

    def observe(self, batch: Batch, signals: Mapping[str, Tensor]) -> None:
        """Count the step."""
        del batch, signals
        self._steps += 1

    def state(self) -> Mapping[str, Tensor]:
        """Return weights and count."""
        return {"weights": self._weights, "steps": torch.tensor(self._steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore both."""
        self._weights, self._steps = state["weights"].to(self._weights), int(state["steps"])
