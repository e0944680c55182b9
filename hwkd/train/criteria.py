"""Training on labels alone; see `hwkd.train.loop.Criterion`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from hwkd.train.loop import Batch

__all__ = ["CrossEntropy"]


class CrossEntropy:
    """Hard labels only: what a student learns without a teacher."""

    def __init__(self, *, label_smoothing: float = 0.0) -> None:
        """`label_smoothing` moves that share of the target evenly to all classes, 0 to 1."""
        self._label_smoothing = label_smoothing

    def __call__(self, module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Return the term `cross_entropy`."""
        logits = module(batch.inputs)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self._label_smoothing)
        return {"cross_entropy": loss}

    def parameters(self) -> Sequence[nn.Parameter]:
        """None."""
        return ()
