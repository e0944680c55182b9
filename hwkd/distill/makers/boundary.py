"""Samples moved to where a teacher changes its mind, beside the samples that they were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hwkd.core.catalog import MAKERS
from hwkd.distill.generated_losses import boundary_step
from hwkd.distill.maker import Maker, Making
from hwkd.distill.method import option

_BATCH = 256


@MAKERS.register("boundary")
@dataclass(frozen=True, kw_only=True)
class Boundary(Maker):
    """The data, and samples of it moved towards the class that the teacher finds next likely.

    What supports the teacher's boundaries says more of them than what is far away; a moved sample
    keeps the label of what it was.
    """

    share: float = option(0.5, "of the data that is moved, added to all of it", above=0, high=1)
    steps: int = option(10, "at most; one that crossed stays", low=1, high=1000)
    step: float = option(0.3, "share of the way by the difference of scores", above=0)

    name: ClassVar[str] = "boundary"
    paper: ClassVar[str] = "BSS, Heo et al. 2019, arXiv:1805.05532"
    needs_data: ClassVar[bool] = True

    def make(self, making: Making) -> tuple[Tensor, Tensor]:
        """Return the data and what was moved, with the labels of the data."""
        draws = torch.Generator().manual_seed(making.seed)
        order = torch.randperm(len(making.labels), generator=draws)
        right = making.called(making.inputs) == making.labels
        # Of what the teacher has wrong, another class than the label's is no boundary.
        chosen = order[right[order]][: max(1, round(self.share * len(order)))]
        moved = []
        for rows in torch.split(chosen, _BATCH):
            moved.append(self._moved(making, making.inputs[rows]))
            making.tell("move samples", sum(map(len, moved)), len(chosen))
        inputs = torch.cat([making.inputs, *moved])
        return inputs, torch.cat([making.labels, making.labels[chosen]])

    def _moved(self, making: Making, inputs: Tensor) -> Tensor:
        rows = torch.arange(len(inputs))
        with torch.no_grad():
            base, target = making.asked(inputs).topk(2).indices.unbind(1)
        for _ in range(self.steps):
            inputs = inputs.detach().requires_grad_()
            logits = making.asked(inputs)
            gap = (logits[rows, target] - logits[rows, base]).sum()
            (slope,) = torch.autograd.grad(gap, inputs)
            with torch.no_grad():
                inputs = boundary_step(
                    inputs, logits, slope, base=base, target=target, step=self.step,
                    limits=(float(making.low.min()), float(making.high.max())),
                )  # fmt: skip
                inputs = making.within(inputs)
        return inputs.detach()
