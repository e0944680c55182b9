"""A few samples of each class that stand for a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import MAKERS
from hwkd.core.errors import DataError
from hwkd.core.signals import Signal
from hwkd.distill.losses.of_classes import label_loss
from hwkd.distill.maker import Maker, Making, moved_about
from hwkd.distill.method import option
from hwkd.distill.taps import Taps, discover_places


@MAKERS.register("condense")
@dataclass(frozen=True, kw_only=True)
class Condense(Maker):
    """Samples that networks with random weights cannot tell from the data, class by class.

    distribution: the mean of a class before the classifier is that of the data. gradient: its
    gradient is.
    """

    per_class: int = option(10, "samples of each class", low=1, high=10_000)
    way: str = option("distribution", "what is to agree", choices=("distribution", "gradient"))
    steps: int = option(400, "each with a network of its own", low=1, high=100_000)
    batch: int = option(64, "real samples of a class in a step", low=1, high=4096)
    rate: float = option(0.05, "of the steps (Adam), in deviations of the data", above=0)
    move: int = option(1, "places that both sides are moved about by, at most", low=0, high=32)

    name: ClassVar[str] = "condense"
    paper: ClassVar[str] = "Zhao et al. 2021, arXiv:2006.05929; Zhao and Bilen, arXiv:2110.04181"
    needs_data: ClassVar[bool] = True
    needs_teacher: ClassVar[bool] = False

    def make(self, making: Making) -> tuple[Tensor, Tensor]:
        """Return inputs, begun as samples of the data, and their classes."""
        draws = torch.Generator().manual_seed(making.seed)
        rows = [torch.nonzero(making.labels == k).flatten() for k in range(making.classes)]
        if short := [k for k, own in enumerate(rows) if not len(own)]:
            raise DataError(f"--by condense: no sample of class {short[0]}; give samples of each")
        begun = torch.cat([_drawn(own, self.per_class, draws) for own in rows])
        inputs = making.inputs[begun].clone().requires_grad_()
        labels = torch.arange(making.classes).repeat_interleave(self.per_class)
        optimizer = torch.optim.Adam([inputs], lr=self.rate, betas=(0.5, 0.9))
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for step in range(self.steps):
            network = making.student(step).train()
            optimizer.zero_grad(set_to_none=True)
            real = torch.cat([_drawn(own, self.batch, draws) for own in rows])
            # Both are moved alike, so that what agrees does so wherever it is.
            state = draws.get_state()
            theirs = moved_about(making.inputs[real], self.move, draws)
            draws.set_state(state)
            ours = moved_about(inputs, self.move, draws)
            compare = _of_means if self.way == "distribution" else _of_gradients
            loss = compare(network, (ours, labels), (theirs, making.labels[real]))
            torch.autograd.backward(loss)
            optimizer.step()
            rate.step()
            with torch.no_grad():
                inputs.copy_(making.within(inputs))
            making.tell("make samples", step + 1, self.steps)
        return inputs.detach(), labels


def _drawn(rows: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """Return rows without putting them back, where there are enough."""
    if len(rows) >= count:
        return rows[torch.randperm(len(rows), generator=draws)[:count]]
    return rows[torch.randint(len(rows), (count,), generator=draws)]


def _of_means(
    network: nn.Module, ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]
) -> Tensor:
    places = discover_places(network, ours[0].detach())
    taps = Taps(network, places, frozenset({Signal.EMBEDDING}))
    # Together, or each side would have batch statistics of its own.
    both = taps.read(torch.cat([ours[0], theirs[0]])).need(Signal.EMBEDDING)
    found, wanted = both[: len(ours[0])], both[len(ours[0]) :].detach()
    terms = [
        (found[ours[1] == k].mean(0) - wanted[theirs[1] == k].mean(0)).square().sum()
        for k in torch.unique(ours[1])
    ]
    return torch.stack(terms).sum()


def _of_gradients(
    network: nn.Module, ours: tuple[Tensor, Tensor], theirs: tuple[Tensor, Tensor]
) -> Tensor:
    weights = [weight for weight in network.parameters() if weight.dim() > 1]
    terms = []
    for k in torch.unique(ours[1]):
        pair = []
        for inputs, labels in (ours, theirs):
            own = labels == k
            loss = label_loss(network(inputs[own]), labels[own]).mean()
            pair.append(torch.autograd.grad(loss, weights, create_graph=inputs is ours[0]))
        # As the paper: rows of a weight are one output each.
        terms += [
            (1 - functional.cosine_similarity(a.flatten(1), b.flatten(1).detach(), dim=1)).sum()
            for a, b in zip(*pair, strict=True)
        ]
    return torch.stack(terms).sum()
