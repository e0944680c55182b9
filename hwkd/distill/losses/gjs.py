"""Generalised Jensen-Shannon divergence: between forward and reverse KL."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.logit_method import LogitMethod
from hwkd.distill.method import option

_IGNORED_LABEL = -100


def jensen_shannon_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
    labels: Tensor | None = None,
) -> Tensor:
    """Return beta * KL(t || m) + (1 - beta) * KL(s || m), m = beta * t + (1 - beta) * s.

    beta 0 is defined as KL(t || s) and beta 1 as KL(s || t), the limits of the sum over beta(1 -
    beta).

    Args:
        student_logits: shape [..., classes].
        teacher_logits: same shape; no gradient flows into it.
        beta: 0 to 1.
        temperature: softening divisor, > 0; the value is not multiplied by its square.
        labels: shape [...]; positions labelled -100 are left out. None keeps all.

    Returns:
        Scalar in nats, mean over the positions that are kept (0 if there is none).

    Source:
        Agarwal et al. 2024, arXiv:2306.13649, equation 1.
    """
    student, teacher = at_least_float32(student_logits, teacher_logits.detach())
    log_s = functional.log_softmax(student / temperature, dim=-1)
    log_t = functional.log_softmax(teacher / temperature, dim=-1)
    if beta == 0:
        rows = _kl(log_t, log_s)
    elif beta == 1:
        rows = _kl(log_s, log_t)
    else:
        log_m = torch.logaddexp(log_t + math.log(beta), log_s + math.log(1 - beta))
        rows = beta * _kl(log_t, log_m) + (1 - beta) * _kl(log_s, log_m)
    if labels is None:
        return rows.mean()
    kept = rows[labels != _IGNORED_LABEL]
    return kept.sum() / max(1, kept.numel())


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(-1)


@METHODS.register("gjs")
@dataclass(frozen=True, kw_only=True)
class JensenShannon(LogitMethod):
    """Generalised Jensen-Shannon divergence (Agarwal et al. 2024); needs logits.

    For sequences, labels of -100 mask positions. There is no factor T^2.
    """

    beta: float = option(0.5, "0 forward KL, 1 reverse KL, between: mixture", low=0, high=1)
    temperature: float = option(1.0, "softening divisor of both logits", above=0)

    name = "gjs"
    formula = "β KL(t ‖ m) + (1 − β) KL(s ‖ m), m = β t + (1 − β) s; β 0: KL(t ‖ s), β 1: KL(s ‖ t)"
    paper = "Agarwal et al. 2024, arXiv:2306.13649"

    def divergence(self, student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """Return the divergence; of sequences, where labels do not mask it."""
        mask = labels if student.dim() == 3 else None
        return jensen_shannon_loss(
            student, teacher, beta=self.beta, temperature=self.temperature, labels=mask
        )
