"""A network that makes inputs, trained beside a student that follows the teacher on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hwkd.core.catalog import MAKERS
from hwkd.core.errors import TeacherError
from hwkd.core.signals import Signal, Views
from hwkd.distill.edge_losses import absolute_difference
from hwkd.distill.generated_losses import (
    activation_size,
    class_balance,
    competition,
    mean_softened_distance,
    one_hot_loss,
)
from hwkd.distill.maker import Maker, Making, follow
from hwkd.distill.makers.inversion import Norm, inputs_of, remembered_distance, with_statistics
from hwkd.distill.method import option
from hwkd.distill.taps import Taps, discover_places

_STUDENT_RATE = 2e-3
# What is made before makes no class yet.
_KEPT_AFTER = 0.4


@MAKERS.register("generator")
@dataclass(frozen=True, kw_only=True)
class Generator(Maker):
    """A network from noise to inputs; what it makes while it learns is kept.

    dafl: inputs that the teacher is sure of and that excite it, all classes alike. dfad: inputs on
    which a student is far from the teacher, by logits. zskt: the same by softened classes.
    """

    samples: int = option(1000, "kept in all", low=2, high=1_000_000)
    way: str = option("dafl", "what it is trained for", choices=("dafl", "dfad", "zskt"))
    steps: int = option(600, "of the generator", low=1, high=1_000_000)
    student_steps: int = option(2, "of the student for each of them", low=1, high=100)
    batch: int = option(128, "inputs made in a step", low=2, high=4096)
    rate: float = option(1e-3, "of the generator (Adam)", above=0)
    noise: int = option(64, "numbers that an input is made from", low=1, high=4096)
    width: int = option(32, "channels of the generator", low=4, high=512)
    statistics: float = option(
        1.0, "weight of batch statistics, where the teacher remembers some", low=0
    )
    competition: float = option(0.0, "weight of the student's disagreement (dafl)", low=0)
    balance: float = option(5.0, "weight of all classes alike (dafl)", low=0)
    activation: float = option(0.1, "weight of the teacher's excitement (dafl)", low=0)

    name: ClassVar[str] = "generator"
    paper: ClassVar[str] = "DAFL arXiv:1904.01186, DFAD arXiv:1912.11006, ZSKT arXiv:1905.09768"

    def make(self, making: Making) -> tuple[Tensor, Tensor]:
        """Return inputs, and what the teacher calls them."""
        draws = torch.Generator().manual_seed(making.seed)
        network = generator_network(making, self.noise, self.width)
        student = making.student(0)
        learns = torch.optim.Adam(network.parameters(), lr=self.rate, betas=(0.5, 0.999))
        follows = torch.optim.Adam(student.parameters(), lr=_STUDENT_RATE)
        taps, norms = taps_of(making, self.name), with_statistics(making.asked)
        first = int(_KEPT_AFTER * self.steps)
        each = -(-self.samples // (self.steps - first))
        kept: list[Tensor] = []
        for step in range(self.steps):
            inputs = network(torch.randn(self.batch, self.noise, generator=draws))
            learns.zero_grad(set_to_none=True)
            torch.autograd.backward(self._aim(taps, student, inputs, norms))
            learns.step()
            for _ in range(self.student_steps):
                noise = torch.randn(self.batch, self.noise, generator=draws)
                with torch.no_grad():
                    inputs = network(noise)
                follow(student, follows, inputs, making.answers(inputs))
            if step >= first:
                kept.append(inputs[:each])
            making.tell("train the generator", step + 1, self.steps)
        found = torch.cat(kept)
        chosen = torch.randperm(len(found), generator=draws)[: self.samples]
        found = making.within(found[chosen])
        return found, making.called(found)

    def _aim(self, taps: Taps, student: nn.Module, inputs: Tensor, norms: list[Norm]) -> Tensor:
        with inputs_of(norms) as found:
            views = taps.read(inputs)
        known = self.statistics * remembered_distance(norms, found)
        return known + self._of_views(views, student, inputs)

    def _of_views(self, views: Views, student: nn.Module, inputs: Tensor) -> Tensor:
        logits = views.need(Signal.LOGITS)
        if self.way == "dafl":
            excited = activation_size(views.need(Signal.EMBEDDING))
            kinds = self.balance * class_balance(logits)
            loss = one_hot_loss(logits) + kinds + self.activation * excited
            if not self.competition:
                return loss
            student.eval()
            return loss + competition(
                student(inputs), logits, temperature=3.0, weight=self.competition
            )
        student.eval()
        if self.way == "zskt":
            return -mean_softened_distance(student(inputs), logits)
        # The logarithm keeps a generator from making its logits large and nothing else.
        return -torch.log1p(absolute_difference(student(inputs), logits).mean())


def taps_of(making: Making, maker: str) -> Taps:
    """Return what reads logits and embedding of the teacher.

    Raises:
        TeacherError: if it shows no embedding; names the maker.
    """
    middle = ((making.low + making.high) / 2).expand(2, *making.input_shape)
    places = discover_places(making.asked, middle.contiguous())
    if places.embedding is None:
        raise TeacherError(
            f"--by {maker}: the teacher has no linear layer, so it shows no embedding; give one "
            "that ends in a linear layer"
        )
    return Taps(making.asked, places, frozenset({Signal.LOGITS, Signal.EMBEDDING}))


def generator_network(making: Making, noise: int, width: int) -> nn.Module:
    """Return a network from so many numbers to inputs in their range; its seed is the making's."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(making.seed)
        return _Generator(making, noise, width)


class _Generator(nn.Module):
    """A linear layer to a quarter of the size, and two steps of twice the size."""

    def __init__(self, making: Making, noise: int, width: int) -> None:
        super().__init__()
        channels, *sizes = making.input_shape
        self._size = [1, *sizes][-2:]  # a signal is a picture of height 1
        self._shape = making.input_shape
        self._small = [-(-size // 4) for size in self._size]
        self._width = 2 * width
        self.begin = nn.Linear(noise, self._width * self._small[0] * self._small[1])
        self.body = nn.Sequential(
            nn.BatchNorm2d(2 * width), nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(0.2),
            nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels),
        )  # fmt: skip
        self._low, self._high = making.low, making.high

    def forward(self, noise: Tensor) -> Tensor:
        small = self.begin(noise).reshape(-1, self._width, *self._small)
        values = self.body(small)[..., : self._size[0], : self._size[1]]
        share = torch.sigmoid(values).reshape(-1, *self._shape)
        inputs: Tensor = self._low + share * (self._high - self._low)
        return inputs
