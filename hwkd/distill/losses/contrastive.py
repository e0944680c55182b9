"""Contrastive distillation: recognise the teacher's view of a sample among others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32, unit
from hwkd.distill.method import RunShapes, TrainedMethod, option

_EPS = 1e-7
# Multiplying with the whole memory is faster than gathering rows until it has this many per
# negative: a gathered element costs about as much as twenty multiply-adds.
_DENSE_RATIO = 20


def contrast_loss(scores: Tensor, samples: int) -> Tensor:
    """Return the noise-contrastive loss of one anchor, divided by batch, in nats.

    -sum over batch of log(p / (p + k/n)) + sum over negatives of log((k/n) / (q + k/n)), with p the
    score of the positive, q of a negative, k negatives and n samples; 1e-7 is added to each
    denominator.

    Args:
        scores: shape [batch, 1 + negatives], positive first, already divided by their normaliser.
        samples: n, rows of the memory.

    Source:
        Tian et al. 2020, arXiv:1910.10699, equation 10.
    """
    noise = (scores.shape[1] - 1) / samples
    positive, negatives = scores[:, 0], scores[:, 1:]
    found = (positive / (positive + noise + _EPS)).log().sum()
    rejected = (noise / (negatives + noise + _EPS)).log().sum()
    return -(found + rejected) / len(scores)


class ContrastMemory(nn.Module):
    """One embedding of each network per training sample, updated by momentum.

    Holds 2 * samples * dim float32 numbers. Both normalisers are fixed by the first batch.
    """

    student: Tensor
    teacher: Tensor
    normalisers: Tensor

    def __init__(
        self, samples: int, dim: int, *, temperature: float, momentum: float, seed: int
    ) -> None:
        """Fill the memory with uniform numbers of unit expected length."""
        super().__init__()
        self.temperature = temperature
        self.momentum = momentum
        generator = torch.Generator().manual_seed(seed)
        bound = (3.0 / dim) ** 0.5
        for name in ("student", "teacher"):
            rows = torch.rand(samples, dim, generator=generator) * 2 * bound - bound
            self.register_buffer(name, rows)
        self.register_buffer("normalisers", torch.full((2,), -1.0))

    def forward(
        self, student: Tensor, teacher: Tensor, sample_ids: Tensor, contrast: Tensor
    ) -> Tensor:
        """Return the loss of both anchors and then renew the rows of this batch.

        Args:
            student: unit embeddings, shape [batch, dim].
            teacher: unit embeddings, shape [batch, dim].
            sample_ids: shape [batch], rows of the memory.
            contrast: shape [batch, 1 + negatives], rows to compare with, the sample's own first.
        """
        student_scores = self._scores(self.teacher, contrast, student)
        teacher_scores = self._scores(self.student, contrast, teacher)
        samples = len(self.student)
        if bool((self.normalisers < 0).any()):
            means = torch.stack([student_scores.mean(), teacher_scores.mean()]).detach()
            self.normalisers.copy_(means * samples)
        loss = contrast_loss(student_scores / self.normalisers[0], samples) + contrast_loss(
            teacher_scores / self.normalisers[1], samples
        )
        self._renew(self.student, student, sample_ids)
        self._renew(self.teacher, teacher, sample_ids)
        return loss

    def _scores(self, memory: Tensor, contrast: Tensor, anchors: Tensor) -> Tensor:
        if len(memory) < _DENSE_RATIO * contrast.shape[1]:
            # The backward pass reads what the forward pass read, and the memory is renewed between.
            products = (anchors @ memory.clone().T).gather(1, contrast)
        else:
            products = (memory[contrast] @ anchors[:, :, None]).squeeze(2)
        return (products / self.temperature).exp()

    @torch.no_grad()
    def _renew(self, memory: Tensor, rows: Tensor, sample_ids: Tensor) -> None:
        mixed = memory[sample_ids] * self.momentum + rows.to(memory.dtype) * (1 - self.momentum)
        memory.index_copy_(0, sample_ids, unit(mixed, dim=1))


@METHODS.register("crd")
@dataclass(frozen=True, kw_only=True)
class Contrastive(TrainedMethod):
    """Contrastive representation distillation (Tian et al. 2020); needs embeddings and sample ids.

    Trains one linear layer per network and keeps a memory of 2 * samples * dim float32 numbers,
    refused above `memory_mib`. Negatives are drawn from all samples, the sample itself included as
    in public code. `crd_batch` is the form without memory.
    """

    dim: int = option(128, "length of both embeddings", low=2)
    negatives: int = option(16384, "drawn per sample", low=1)
    temperature: float = option(0.07, "divides inner products", above=0)
    momentum: float = option(0.5, "share of the old row in a renewed one", low=0, high=1)
    memory_mib: int = option(512, "largest memory bank", low=1)

    name = "crd"
    family = "contrastive"
    formula = "NCE(s | memory of t) + NCE(t | memory of s), scores exp(⟨·,·⟩ / τ) / Z"
    paper = "Tian et al. 2020, arXiv:1910.10699"
    evidence = "RepDistiller, 13 pairs above 70k parameters: beats KD in 13 of 13"
    needs = frozenset({Signal.EMBEDDING})
    float32_only = True
    # Positives differ from negatives in degree only.
    is_zero_at_teacher = False
    usual_weight = 0.8

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse a memory bank over its limit."""
        mebibytes = 2 * shapes.samples * self.dim * 4 / 2**20
        if mebibytes > self.memory_mib:
            return (
                f"its memory bank for {shapes.samples} samples needs {mebibytes:.0f} MiB, "
                f"memory_mib "
                f"allows {self.memory_mib}; raise it, lower dim or use crd_batch"
            )
        return None

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with embeddings and memory."""
        return _Contrast(self, shapes)


class _Contrast(nn.Module):
    steps: Tensor

    def __init__(self, method: Contrastive, shapes: RunShapes) -> None:
        super().__init__()
        self.negatives = method.negatives
        self.samples = shapes.samples
        self.student_embed, self.teacher_embed = _embedding_layers(shapes, method.dim)
        self.memory = ContrastMemory(
            shapes.samples,
            method.dim,
            temperature=method.temperature,
            momentum=method.momentum,
            seed=shapes.seed,
        )
        self.seed = shapes.seed
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        ours, theirs = _unit_embeddings(self.student_embed, self.teacher_embed, student, teacher)
        ids = batch.sample_ids
        # Draws follow from the step, so a resumed run draws what an uninterrupted one would have.
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + int(self.steps))
        self.steps += 1
        size = (len(ids), self.negatives)
        drawn = torch.randint(self.samples, size, generator=generator).to(ids.device)
        contrast = torch.cat([ids[:, None], drawn], 1)
        return {"crd": self.memory(ours, theirs, ids, contrast)}


@METHODS.register("crd_batch")
@dataclass(frozen=True, kw_only=True)
class InBatchContrastive(TrainedMethod):
    """Contrastive distillation among the samples of a batch: no memory bank.

    Cross-entropy of finding the teacher's embedding of the same sample, and the reverse. Trains one
    linear layer per network.
    """

    dim: int = option(128, "length of both embeddings", low=2)
    temperature: float = option(0.1, "divides cosines", above=0)

    name = "crd_batch"
    family = "contrastive"
    formula = "½ CE(cos(s_i, t_j) / τ, i) + ½ CE(cos(t_i, s_j) / τ, i)"
    paper = "van den Oord et al. 2018, arXiv:1807.03748, between two networks"
    needs = frozenset({Signal.EMBEDDING})
    min_batch = 2
    float32_only = True
    is_zero_at_teacher = False
    usual_weight = 0.8

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its embeddings."""
        return _InBatch(self, shapes)


class _InBatch(nn.Module):
    def __init__(self, method: InBatchContrastive, shapes: RunShapes) -> None:
        super().__init__()
        self.temperature = method.temperature
        self.student_embed, self.teacher_embed = _embedding_layers(shapes, method.dim)

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        ours, theirs = _unit_embeddings(self.student_embed, self.teacher_embed, student, teacher)
        scores = ours @ theirs.T / self.temperature
        same = torch.arange(len(scores), device=scores.device)
        forward = functional.cross_entropy(scores, same)
        return {"crd_batch": (forward + functional.cross_entropy(scores.T, same)) / 2}


def _embedding_layers(shapes: RunShapes, dim: int) -> tuple[nn.Linear, nn.Linear]:
    ours, theirs = shapes.student.embedding, shapes.teacher.embedding
    if ours is None or theirs is None:
        raise ValueError("contrastive distillation needs the embedding of both networks")
    return nn.Linear(ours[0], dim), nn.Linear(theirs[0], dim)


def _unit_embeddings(
    student_embed: nn.Module, teacher_embed: nn.Module, student: Views, teacher: Views
) -> tuple[Tensor, Tensor]:
    ours, theirs = at_least_float32(
        student.need(Signal.EMBEDDING), teacher.need(Signal.EMBEDDING).detach()
    )
    return unit(student_embed(ours), dim=1), unit(teacher_embed(theirs), dim=1)
