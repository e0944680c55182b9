"""Locally linear embedding: a student's sample is the same mixture of its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32, squared_distances
from hwkd.distill.method import LossMethod, RunShapes, option

# Relative ridge of the local Gram matrices: needed when neighbours outnumber dimensions.
_RIDGE = 1e-3


def mixing_weights(embedding: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """Return the weights that rebuild each sample from its nearest others, and their indices.

    Args:
        embedding: shape [batch, dim].
        neighbours: number of nearest samples, 1 to batch - 1.

    Returns:
        Weights [batch, neighbours], rows summing to 1, and indices of the same shape.

    Source:
        Roweis and Saul 2000, Science 290:2323, equation 1 and note 19.
    """
    distances = squared_distances(embedding)
    distances = distances + torch.diag(distances.new_full((len(embedding),), float("inf")))
    indices = distances.topk(neighbours, largest=False).indices
    offsets = embedding[indices] - embedding[:, None, :]
    gram = offsets @ offsets.transpose(1, 2)
    trace = gram.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]
    # A sample that equals all its neighbours has a zero Gram matrix; any mixture rebuilds it.
    ridge = torch.eye(neighbours, dtype=gram.dtype, device=gram.device) * (_RIDGE * trace + 1e-12)
    weights = torch.linalg.solve(gram + ridge, torch.ones_like(gram[:, :, 0]))
    return weights / weights.sum(1, keepdim=True), indices


def local_embedding_loss(
    student_embedding: Tensor, teacher_embedding: Tensor, *, neighbours: int = 8
) -> Tensor:
    """Return the share of a student's variance that the teacher's mixtures fail to rebuild.

    mean_i |s_i - sum_j w_ij s_j|^2 / mean_i |s_i - mean s|^2, w from the teacher's embedding.

    Args:
        student_embedding: shape [batch, dim].
        teacher_embedding: shape [batch, any dim].
        neighbours: at most batch - 1 are used.

    Returns:
        Scalar, no unit; unchanged by scale, shift and rotation of the student's embedding. Not 0
        for equal embeddings: the teacher itself is not locally linear.

    Source:
        Chen et al. 2018, arXiv:1812.06597 (locality preserving); weights of Roweis and Saul 2000.
        The division by the variance is ours: without it a collapsed embedding is the optimum.
    """
    count = min(neighbours, len(teacher_embedding) - 1)
    with torch.no_grad():
        weights, indices = mixing_weights(teacher_embedding, count)
    rebuilt = (weights.to(student_embedding.dtype)[:, :, None] * student_embedding[indices]).sum(1)
    residual = (student_embedding - rebuilt).square().sum(1).mean()
    variance = (student_embedding - student_embedding.mean(0)).square().sum(1).mean()
    return residual / variance.where(variance > 0, variance.new_ones(()))


@METHODS.register("embedding")
@dataclass(frozen=True, kw_only=True)
class LocalEmbedding(LossMethod):
    """Feature embedding (Chen et al. 2018): locally linear structure; needs embeddings."""

    neighbours: int = option(8, "samples that a mixture is made of", low=1)

    name = "embedding"
    family = "relation"
    formula = "Σ_i ‖s_i − Σ_j w_ij s_j‖² / Σ_i ‖s_i − mean‖², w rebuilds t_i from its neighbours"
    paper = "Chen et al. 2018, arXiv:1812.06597"
    needs = frozenset({Signal.EMBEDDING})
    min_batch = 3
    float32_only = True
    is_zero_at_teacher = False

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse more neighbours than a batch has."""
        if self.neighbours >= shapes.batch:
            return f"neighbours={self.neighbours} needs a batch of at least {self.neighbours + 1}"
        return None

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the unexplained share as the term "embedding"."""
        del batch
        ours, theirs = at_least_float32(
            student.need(Signal.EMBEDDING), teacher.need(Signal.EMBEDDING).detach()
        )
        return {"embedding": local_embedding_loss(ours, theirs, neighbours=self.neighbours)}
