"""What a training step minimises: the interface, and training on labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from hwkd.core.head import Head
from hwkd.core.signals import Batch
from hwkd.core.teaching import RepeatsOutputs


class Criterion(Protocol):
    """What a step minimises: the sum of the terms that a call returns."""

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Run the module on the batch and return weighted scalar terms by name."""
        ...

    def parameters(self) -> Sequence[nn.Parameter]:
        """Parameters trained beside the module's (adapters); usually none."""
        ...


@runtime_checkable
class LogsGradients(Protocol):
    """A criterion that also measures how strongly each of its terms pulls."""

    def take_gradient_norms(self) -> dict[str, float]:
        """Return the norms by term name, measured since the last call."""
        ...


@runtime_checkable
class TakesTurns(Protocol):
    """A criterion of which parts of the module have aims of their own, and optimizers."""

    def turns(self, module: nn.Module) -> Sequence[tuple[Sequence[nn.Parameter], int]]:
        """Return, for each turn, what learns in it and its steps before each of the others'."""
        ...

    def turn(self, index: int, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms of a turn by name."""
        ...


class TaskLoss:
    """The labels alone: what a student learns without a teacher."""

    def __init__(
        self, head: Head, *, label_smoothing: float = 0.0, some_unlabelled: bool = False
    ) -> None:
        """Take the loss of a head; the other arguments are `Head.loss`'s."""
        self._head = head
        self._label_smoothing = label_smoothing
        self._some_unlabelled = some_unlabelled

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the loss under the head's name for it."""
        outputs = None
        if self._head.kind.of_squares and isinstance(module, RepeatsOutputs):
            outputs = module.before_repeats(batch.inputs)
        if outputs is None:
            outputs = module(batch.inputs)
        # The network may compute in half precision; the loss does not.
        loss = self._head.loss(
            outputs.float(),
            batch.labels,
            smoothing=self._label_smoothing,
            some_unlabelled=self._some_unlabelled,
        )
        return {self._head.loss_name: loss}

    def parameters(self) -> Sequence[nn.Parameter]:
        """None."""
        return ()
