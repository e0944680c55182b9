"""Variational information: the teacher's features as a Gaussian given the student's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.method import RunShapes, TrainedMethod, option, pair_term
from hwkd.distill.pair_method import pooled_maps


def variational_information_loss(
    mean: Tensor, log_scale: Tensor, teacher_maps: Tensor, *, eps: float = 1e-5
) -> Tensor:
    """Return the mean of ((mean - t)^2 / var + log var) / 2, var = softplus(log_scale) + eps.

    Args:
        mean: the regressor's prediction, shape [batch, channels, height, width].
        log_scale: shape [channels].
        teacher_maps: same shape as `mean`.
        eps: smallest variance, > 0.

    Returns:
        Scalar in nats without the constant log(2 pi) / 2; negative when the fit is good.

    Source:
        Ahn et al. 2019, arXiv:1904.05835, equation 4.
    """
    variance = (functional.softplus(log_scale) + eps)[None, :, None, None]
    return 0.5 * ((mean - teacher_maps).square() / variance + variance.log()).mean()


@METHODS.register("vid")
@dataclass(frozen=True, kw_only=True)
class VariationalInformation(TrainedMethod):
    """Variational information distillation (Ahn et al. 2019); needs feature maps.

    Trains, per layer pair, three bias-free 1 x 1 convolutions with ReLU between, and one variance
    per teacher channel.
    """

    initial_variance: float = option(5.0, "before training", above=0)
    eps: float = option(1e-5, "smallest variance", above=0)

    name = "vid"
    family = "feature"
    formula = "½ mean((μ(f_s) − f_t)² / σ² + log σ²)"
    paper = "Ahn et al. 2019, arXiv:1904.05835"
    needs = frozenset({Signal.FEATURES})
    float32_only = True
    # A log-likelihood has no zero at equality.
    is_zero_at_teacher = False

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the regressor."""
        return f"three 1x1 convs {channels}→{teacher_channels}"

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its regressors."""
        return _Likelihoods(self, shapes)


class _Likelihoods(nn.Module):
    def __init__(self, method: VariationalInformation, shapes: RunShapes) -> None:
        super().__init__()
        self.eps = method.eps
        pairs = list(zip(shapes.student.features, shapes.teacher.features, strict=True))
        self.regressors = nn.ModuleList(_regressor(s[0], t[0]) for s, t in pairs)
        # softplus of this is the initial variance.
        start = math.log(math.expm1(max(method.initial_variance - method.eps, method.eps)))
        self.log_scales = nn.ParameterList(
            nn.Parameter(torch.full((theirs[0],), start)) for _, theirs in pairs
        )

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        terms = {}
        for index, (ours, theirs) in enumerate(pooled_maps(student, teacher)):
            terms[pair_term("vid", index)] = variational_information_loss(
                self.regressors[index](ours), self.log_scales[index], theirs, eps=self.eps
            )
        return terms


def _regressor(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1, bias=False),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1, bias=False),
    )
