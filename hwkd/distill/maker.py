"""What makes samples to learn from: out of a teacher alone, or out of data that is to be small.

A maker is data, as a method is: its options are fields. What it makes is a data set like any other,
which students then learn from as from any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import MAKERS
from hwkd.core.likeliest import likeliest
from hwkd.core.progress import Progress
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import Configured
from hwkd.distill.written_options import configured_options, split_options
from hwkd.io.discovery import discover


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What samples are made from.

    Attributes:
        teacher: normalised inputs -> logits, in evaluation mode and frozen; None for makers that
            look at data instead.
        student: draw -> a student with a random start of its own.
        input_shape: without batch.
        low: smallest value an input can have, shape [channels, 1, ...].
        high: largest, likewise.
        inputs: real ones, shape [n, *input_shape]; only makers that need data look at them.
        labels: of these, shape [n], int64.
        seed: of all that is drawn.
        tell: hears how far it is.
    """

    teacher: nn.Module | None
    student: Callable[[int], nn.Module]
    input_shape: tuple[int, ...]
    classes: int
    low: Tensor
    high: Tensor
    inputs: Tensor
    labels: Tensor
    seed: int
    tell: Progress

    def within(self, inputs: Tensor) -> Tensor:
        """Return inputs with every value in its range."""
        return torch.minimum(torch.maximum(inputs, self.low), self.high)

    @property
    def asked(self) -> nn.Module:
        """The teacher, of makers that ask one."""
        assert self.teacher is not None
        return self.teacher

    @torch.no_grad()
    def answers(self, inputs: Tensor) -> Tensor:
        """Return the teacher's logits."""
        return torch.cat([self.asked(part).float() for part in torch.split(inputs, 512)])

    def called(self, inputs: Tensor) -> Tensor:
        """Return the class that the teacher finds likeliest, shape [n]."""
        return likeliest(self.answers(inputs))


@dataclass(frozen=True, kw_only=True)
class Maker(Configured, ABC):
    """A configured maker; its fields are its options.

    Attributes:
        name: by which it is registered.
        paper: where it is from.
        needs_data: it looks at real samples; else the teacher is all it knows.
        needs_teacher: it asks one.
    """

    kind = "--by"
    paper: ClassVar[str]
    needs_data: ClassVar[bool] = False
    needs_teacher: ClassVar[bool] = True

    @abstractmethod
    def make(self, making: Making) -> tuple[Tensor, Tensor]:
        """Return inputs in their range, shape [n, *input_shape], and labels, shape [n].

        Raises:
            TeacherError: if the teacher does not have what it is made from.
        """


def parse_maker(text: str) -> Maker:
    """Return the maker that `name:option=value,...` names.

    Raises:
        UnknownNameError: if there is no such maker; offers the nearest names.
        ConfigError: for an unknown option or a value that it cannot have.
    """
    name, options = split_options(text, option="--by", example="inversion:samples=2000")
    discover("hwkd.distill.makers")
    kind = MAKERS.get(name)
    made: Maker = kind(**configured_options(f"--by {name}", kind, options))
    return made


def follow(
    student: nn.Module, optimizer: torch.optim.Optimizer, inputs: Tensor, logits: Tensor
) -> None:
    """Make a step of a student towards a teacher's logits; softened by 4, as usual."""
    student.train()
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(divergence(student(inputs), logits, temperature=4.0).mean())
    optimizer.step()


def evenly_labelled(samples: int, classes: int, generator: torch.Generator) -> Tensor:
    """Return as many labels of each class as of any other, give or take one, in any order."""
    return (torch.arange(samples) % classes)[torch.randperm(samples, generator=generator)]


def moved_about(inputs: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Return inputs moved by up to so many places along each axis; what leaves is cut off."""
    places = inputs.dim() - 2
    moves = torch.randint(-most, most + 1, (places,), generator=generator).tolist()
    padded = functional.pad(inputs, [most] * (2 * places), mode="replicate")
    for axis, move in enumerate(moves, start=2):
        padded = padded.narrow(axis, most + move, inputs.shape[axis])
    return padded
