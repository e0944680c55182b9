"""Maps that a discriminator cannot tell from the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.head import CLASS_MAPS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.adversary import Discriminator, beside_picture, generator_loss, own_loss
from hwkd.distill.kernels import as_maps, at_least_float32
from hwkd.distill.method import RunShapes, TrainedMethod, both_logits, option


@METHODS.register("holistic")
@dataclass(frozen=True, kw_only=True)
class Holistic(TrainedMethod):
    """Holistic distillation (Liu et al. 2019): a discriminator tells the teacher's maps from ours.

    Trains the discriminator beside the student. It sees probabilities and the picture, where the
    paper has logits and the picture; both sides take a step at once, where the paper takes turns.
    """

    adversarial: str = option("wgan-gp", "losses of both sides", choices=("wgan-gp", "hinge"))
    penalty: float = option(10.0, "weight of the gradient penalty (wgan-gp)", low=0)
    width: int = option(16, "channels of the discriminator", low=1, high=512)

    name = "holistic"
    family = "maps"
    formula = "− mean D(x, p_s); D: mean D(x, p_s) − mean D(x, p_t) + λ (‖∇D‖ − 1)²"
    paper = "Liu et al. 2019, arXiv:1903.04197"
    needs = frozenset({Signal.LOGITS})
    of_kind = CLASS_MAPS
    float32_only = True
    is_zero_at_teacher = False
    usual_weight = 0.1
    auxiliary_terms = ("holistic_discriminator",)

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its discriminator."""
        return _Judged(self, shapes)


class _Judged(nn.Module):
    def __init__(self, method: Holistic, shapes: RunShapes) -> None:
        super().__init__()
        self.method = method
        picture = shapes.inputs if shapes.inputs is not None and len(shapes.inputs) == 3 else (0,)
        self.sees_picture = picture[0] > 0
        self.judge = Discriminator(shapes.classes + picture[0], method.width)

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        ours, theirs = at_least_float32(*(as_maps(z) for z in both_logits(student, teacher)))
        picture = batch.inputs if self.sees_picture else None
        made, real = (
            beside_picture(torch.softmax(logits, dim=1), picture) for logits in (ours, theirs)
        )
        kind = self.method.adversarial
        judged = self.judge.cut_off(made)
        own = own_loss(self.judge, made, real, adversarial=kind, penalty=self.method.penalty)
        return {
            self.method.name: generator_loss(judged, adversarial=kind),
            self.method.auxiliary_terms[0]: own,
        }
