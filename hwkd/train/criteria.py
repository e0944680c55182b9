"""What a training step minimises: the interface, and training on labels alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Batch", "Criterion", "CrossEntropy", "LogsGradients"]


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one step sees.

    Attributes:
        inputs: shape [batch, *input_shape].
        labels: shape [batch], int64.
        sample_ids: shape [batch], rows of the training split; the key into cached teacher outputs.
        view: index of the augmented view that `inputs` come from.
        epoch_ratio: how much of the training is done, 0 to 1.
    """

    inputs: Tensor
    labels: Tensor
    sample_ids: Tensor
    view: int
    epoch_ratio: float


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


class CrossEntropy:
    """Hard labels only: what a student learns without a teacher."""

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        """`label_smoothing` moves that share of the target evenly to all classes, 0 to 1."""
        self._label_smoothing = label_smoothing

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the term `cross_entropy`."""
        # The network may compute in half precision; the loss does not.
        logits = module(batch.inputs).float()
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self._label_smoothing)
        return {"cross_entropy": loss}

    def parameters(self) -> Sequence[nn.Parameter]:
        """None."""
        return ()
