"""Similarity-preserving distillation: which samples of a batch excite a layer alike."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import batch_gram, row_unit
from hwkd.distill.pair_method import PairMethod


def similarity_loss(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Return ||row_unit(G_s) - row_unit(G_t)||_F^2 / batch^2, G the Gram matrix of samples.

    Args:
        student_features: shape [batch, ...], flattened per sample.
        teacher_features: shape [batch, ...], any other size.

    Returns:
        Scalar; unchanged by a rotation of features and by a permutation of samples.

    Source:
        Tung and Mori 2019, arXiv:1907.09682, equation 4. torchdistill at 3e4373c normalises rows by
        their L1 norm, which is about a quarter of this value.
    """
    ours, theirs = row_unit(batch_gram(student_features)), row_unit(batch_gram(teacher_features))
    return (ours - theirs).square().mean()


@METHODS.register("sp")
@dataclass(frozen=True, kw_only=True)
class SimilarityPreserving(PairMethod):
    """Similarity preserving (Tung and Mori 2019); needs features, no adapters, two samples."""

    name = "sp"
    family = "relation"
    formula = "‖unit_rows(F_s F_sᵀ) − unit_rows(F_t F_tᵀ)‖² / B²"
    paper = "Tung and Mori 2019, arXiv:1907.09682"
    needs = frozenset({Signal.FEATURES})
    min_batch = 2
    pools = False
    float32_only = True
    usual_weight = 3000.0

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the difference of similarity matrices."""
        return similarity_loss(student, teacher)
