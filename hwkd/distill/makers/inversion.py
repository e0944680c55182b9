"""Inputs whose batch statistics are those that a teacher's normalisations remember."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from hwkd.core.catalog import MAKERS
from hwkd.core.errors import TeacherError
from hwkd.distill.generated_losses import competition, smoothness, statistics_distance
from hwkd.distill.losses.of_classes import label_loss
from hwkd.distill.maker import Maker, Making, evenly_labelled, follow, moved_about
from hwkd.distill.method import option

Norm = nn.modules.batchnorm._BatchNorm
# Of the student that competes, after each batch that was made.
_STUDENT_STEPS, _STUDENT_BATCH, _STUDENT_RATE = 60, 128, 2e-3


@MAKERS.register("inversion")
@dataclass(frozen=True, kw_only=True)
class Inversion(Maker):
    """Noise that is changed until the teacher sees a class in it, and statistics that it knows."""

    samples: int = option(1000, "made in all, evenly over the classes", low=2, high=1_000_000)
    steps: int = option(200, "of each batch", low=1, high=100_000)
    batch: int = option(200, "samples changed together", low=2, high=4096)
    rate: float = option(0.1, "of the steps (Adam), in deviations of the data", above=0)
    statistics: float = option(1.0, "weight of the batch statistics; the class has 1", low=0)
    smooth: float = option(0.0, "weight of the absolute differences of neighbours", low=0)
    move: int = option(
        0, "places that inputs are moved about by, at most; more for large pictures", low=0, high=32
    )
    competition: float = option(
        0.0, "weight of a student's disagreement, which learns from what was made", low=0
    )

    name: ClassVar[str] = "inversion"
    paper: ClassVar[str] = "DeepInversion, Yin et al. 2020, arXiv:1912.08795"

    def make(self, making: Making) -> tuple[Tensor, Tensor]:
        """Return inputs, and what the teacher calls them."""
        norms = normalisations(making.asked)
        generator = torch.Generator().manual_seed(making.seed)
        wanted = evenly_labelled(self.samples, making.classes, generator)
        rival: nn.Module | None = None
        optimizer: torch.optim.Optimizer | None = None
        if self.competition:
            rival = making.student(0)
            optimizer = torch.optim.Adam(rival.parameters(), lr=_STUDENT_RATE)
        made: list[Tensor] = []
        for labels in _parts(wanted, self.batch):
            competes = rival if made else None
            made.append(self._inverted(making, norms, labels, generator, competes))
            if rival is not None and optimizer is not None:
                inputs = torch.cat(made)
                _learn(rival, optimizer, inputs, making.answers(inputs), generator)
            making.tell("make samples", sum(map(len, made)), self.samples)
        inputs = torch.cat(made)
        return inputs, making.called(inputs)

    def _inverted(
        self,
        making: Making,
        norms: list[Norm],
        labels: Tensor,
        generator: torch.Generator,
        rival: nn.Module | None,
    ) -> Tensor:
        if rival is not None:
            rival.eval()
        noise = torch.randn(len(labels), *making.input_shape, generator=generator)
        inputs = making.within(noise).requires_grad_()
        optimizer = torch.optim.Adam([inputs], lr=self.rate, betas=(0.5, 0.9))
        rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.steps)
        for _ in range(self.steps):
            optimizer.zero_grad(set_to_none=True)
            seen = moved_about(inputs, self.move, generator) if self.move else inputs
            with inputs_of(norms) as found:
                logits = making.asked(seen)
            loss = label_loss(logits, labels).mean()
            loss = loss + self.statistics * remembered_distance(norms, found)
            if self.smooth and seen.dim() == 4:
                loss = loss + smoothness(seen, tv_l1=self.smooth)
            if rival is not None:
                loss = loss + competition(
                    rival(seen), logits, temperature=3.0, weight=self.competition
                )
            torch.autograd.backward(loss)
            optimizer.step()
            rate.step()
            with torch.no_grad():
                inputs.copy_(making.within(inputs))
        return inputs.detach()


def with_statistics(teacher: nn.Module) -> list[Norm]:
    """Return the modules that remember statistics; none where they were folded into weights."""
    return [m for m in teacher.modules() if isinstance(m, Norm) and m.running_mean is not None]


def normalisations(teacher: nn.Module) -> list[Norm]:
    """Return the modules that remember statistics of what the teacher was trained on.

    Raises:
        TeacherError: if there are none: they were folded into weights, or it has other ones.
    """
    found = with_statistics(teacher)
    if not found:
        raise TeacherError(
            "--by inversion: the teacher has no batch normalisation that remembers statistics "
            "(an exported one has them folded into its weights); give a torch teacher that has, "
            "or --by generator"
        )
    return found


@contextmanager
def inputs_of(modules: list[Norm]) -> Iterator[dict[nn.Module, Tensor]]:
    """Collect what goes into modules; of one that runs twice (mirror images), the first."""
    found: dict[nn.Module, Tensor] = {}

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found.setdefault(module, inputs[0])

    handles = [module.register_forward_pre_hook(hook) for module in modules]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def remembered_distance(norms: list[Norm], found: dict[nn.Module, Tensor]) -> Tensor:
    """Return how far batch statistics are from those that modules remember; 0 without modules."""
    if not norms:
        return torch.zeros(())
    means, variances = [], []
    for norm in norms:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        means.append(norm.running_mean)
        variances.append(norm.running_var)
    return statistics_distance([found[norm] for norm in norms], means, variances)


def _parts(labels: Tensor, size: int) -> list[Tensor]:
    """Return labels in parts; statistics of a rest that is small would be those of few samples."""
    parts = list(torch.split(labels, size))
    if len(parts) > 1 and len(parts[-1]) < size // 2:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def _learn(
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    inputs: Tensor,
    logits: Tensor,
    generator: torch.Generator,
) -> None:
    for _ in range(_STUDENT_STEPS):
        drawn = torch.randint(len(inputs), (_STUDENT_BATCH,), generator=generator)
        follow(student, optimizer, inputs[drawn], logits[drawn])
