"""Probabilistic knowledge transfer: each sample's neighbours as a distribution."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import flat, length
from hwkd.distill.method import option
from hwkd.distill.pair_method import PairMethod


def probabilistic_transfer_loss(
    student_embedding: Tensor, teacher_embedding: Tensor, *, eps: float = 1e-7
) -> Tensor:
    """Return mean over pairs of p_t * log((p_t + eps) / (p_s + eps)).

    p is (cosine + 1) / 2 divided by its row sum, the diagonal included.

    Args:
        student_embedding: shape [batch, dim].
        teacher_embedding: shape [batch, any dim].
        eps: added to lengths and probabilities; RepDistiller has 1e-7, KD-Zoo 1e-6.

    Returns:
        Scalar, divided by batch^2 and not by batch; unchanged by a rotation of embeddings.

    Source:
        Passalis and Tefas 2018, arXiv:1803.10837. The public code has a NaN gradient for an
        all-zero embedding; here such a row is similar to nothing.
    """
    ours = _neighbour_probabilities(student_embedding, eps)
    theirs = _neighbour_probabilities(teacher_embedding, eps)
    return (theirs * ((theirs + eps) / (ours + eps)).log()).mean()


def _neighbour_probabilities(embedding: Tensor, eps: float) -> Tensor:
    rows = flat(embedding)
    rows = rows / (length(rows, dim=1, keepdim=True) + eps)
    similarity = (rows @ rows.T + 1.0) / 2.0
    return similarity / similarity.sum(1, keepdim=True)


@METHODS.register("pkt")
@dataclass(frozen=True, kw_only=True)
class ProbabilisticTransfer(PairMethod):
    """Probabilistic knowledge transfer (Passalis and Tefas 2018); needs embeddings."""

    eps: float = option(1e-7, "added to lengths and probabilities", above=0)

    name = "pkt"
    family = "relation"
    formula = "mean_ij p_t log((p_t + ε) / (p_s + ε)), p = rows of (cos + 1) / 2"
    paper = "Passalis and Tefas 2018, arXiv:1803.10837"
    needs = frozenset({Signal.EMBEDDING})
    signal = Signal.EMBEDDING
    min_batch = 2
    float32_only = True
    usual_weight = 30000.0

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the divergence of neighbour distributions."""
        return probabilistic_transfer_loss(student, teacher, eps=self.eps)
