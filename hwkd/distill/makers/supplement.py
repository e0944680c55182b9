"""A generator beside the data, whose discriminator is the teacher."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import MAKERS
from hwkd.core.signals import Signal, Views
from hwkd.distill.edge_losses import mean_distance
from hwkd.distill.losses.of_classes import label_loss
from hwkd.distill.maker import Maker, Making, evenly_labelled
from hwkd.distill.makers.generator import generator_network, taps_of
from hwkd.distill.method import option

_BATCH = 128


@MAKERS.register("supplement")
@dataclass(frozen=True, kw_only=True)
class Supplement(Maker):
    """The data, and samples that a network makes which the teacher takes for data of each class.

    The teacher, which learns no more, is the discriminator: what is made must be of the class that
    was asked for, and the teacher's embeddings of it must have means and deviations of those of
    real samples. A made sample has the label that the teacher gives it.
    """

    share: float = option(0.5, "of the data's size that is added to it", above=0, high=20)
    steps: int = option(600, "of the generator", low=1, high=1_000_000)
    batch: int = option(_BATCH, "inputs made in a step", low=2, high=4096)
    rate: float = option(1e-3, "of the generator (Adam)", above=0)
    noise: int = option(64, "numbers that an input is made from", low=1, high=4096)
    width: int = option(32, "channels of the generator", low=4, high=512)
    alike: float = option(1.0, "weight of embeddings like the data's; classes have 1", low=0)

    name: ClassVar[str] = "supplement"
    paper: ClassVar[str] = (
        "Liu et al. 2018, arXiv:1812.02271; embeddings as Salimans et al. 2016, arXiv:1606.03498"
    )
    needs_data: ClassVar[bool] = True

    def make(self, making: Making) -> tuple[Tensor, Tensor]:
        """Return the data and what was made, with the data's labels and the teacher's."""
        draws = torch.Generator().manual_seed(making.seed)
        network = generator_network(making, self.noise + making.classes, self.width)
        learns = torch.optim.Adam(network.parameters(), lr=self.rate, betas=(0.5, 0.999))
        taps = taps_of(making, "supplement")
        for step in range(self.steps):
            asked = torch.randint(making.classes, (self.batch,), generator=draws)
            rows = torch.randint(len(making.inputs), (self.batch,), generator=draws)
            with torch.no_grad():
                real = taps.read(making.inputs[rows]).need(Signal.EMBEDDING)
            learns.zero_grad(set_to_none=True)
            made = taps.read(network(self._begin(asked, making.classes, draws)))
            torch.autograd.backward(self._aim(made, asked, real))
            learns.step()
            making.tell("train the generator", step + 1, self.steps)
        count = max(2, round(self.share * len(making.labels)))
        asked = evenly_labelled(count, making.classes, draws)
        with torch.no_grad():
            parts = [
                network(self._begin(each, making.classes, draws))
                for each in torch.split(asked, _BATCH)
            ]
        made_inputs = making.within(torch.cat(parts))
        labels = torch.cat([making.labels, making.called(made_inputs)])
        return torch.cat([making.inputs, made_inputs]), labels

    def _begin(self, asked: Tensor, classes: int, draws: torch.Generator) -> Tensor:
        """Return noise and the class that is asked for."""
        noise = torch.randn(len(asked), self.noise, generator=draws)
        return torch.cat([noise, functional.one_hot(asked, classes).float()], 1)

    def _aim(self, made: Views, asked: Tensor, real: Tensor) -> Tensor:
        embedding = made.need(Signal.EMBEDDING)
        spread = (embedding.std(0) - real.std(0)).square().sum()
        return label_loss(made.need(Signal.LOGITS), asked).mean() + self.alike * (
            mean_distance(embedding, real) + spread
        )
