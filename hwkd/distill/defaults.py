"""The distillation that is used when the user names none, and why.

The reasons are measurements on students under 5,000 parameters; `docs/methods.md` lists them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.core.head import CLASS_MAPS, OutputKind
from hwkd.distill.losses.logit_mse import LogitMse
from hwkd.distill.losses.lskd import StandardisedTargets
from hwkd.distill.losses.pixel_wise import PixelWise
from hwkd.distill.losses.soft_targets import SoftTargets
from hwkd.distill.method import LossMethod

# The share of the largest possible entropy that a softened teacher should have on average. A
# saturated teacher at a fixed temperature cost students under 600 parameters five to nine points.
_ENTROPY_RATIO = 0.3
# A teacher that is sharper than this at the usual temperature is saturated. Teachers of the digits
# (0.19) and of Fashion-MNIST (0.45) are not; that of those students had a largest probability of
# 0.9999 on average.
_SATURATED_RATIO = 0.1
_USUAL_TEMPERATURE = 2.0
_LOWEST, _HIGHEST = 1.0, 20.0
_STEPS = 40


def usual_method(kind: OutputKind) -> LossMethod:
    """Return the term on outputs of a kind, of a teacher that is not looked at."""
    if kind.name == CLASS_MAPS:
        return PixelWise()
    return SoftTargets(temperature=_USUAL_TEMPERATURE) if kind.of_classes else LogitMse()


def default_method(teacher_logits: Tensor, kind: OutputKind) -> LossMethod:
    """Return the term to distill with when none is named.

    Soft targets at temperature 2, where the teacher's classes are soft enough to say something. A
    saturated teacher's are not: then standardised logits, which do not depend on its scale, and for
    two classes, which have no scale-free form, soft targets at the temperature that gives the
    teacher a set entropy. Values are matched as they are, maps of classes by soft targets at each
    position. Feature terms cost more than they rank better, so there are none.

    Args:
        teacher_logits: shape [samples, outputs], any float type.
    """
    if not kind.of_classes:
        return usual_method(kind)
    if mean_entropy_ratio(teacher_logits, _USUAL_TEMPERATURE) >= _SATURATED_RATIO:
        return usual_method(kind)
    if teacher_logits.shape[1] >= 3:
        return StandardisedTargets(temperature=_USUAL_TEMPERATURE)
    return SoftTargets(temperature=temperature_for_entropy(teacher_logits))


def temperature_for_entropy(teacher_logits: Tensor, *, ratio: float = _ENTROPY_RATIO) -> float:
    """Return the temperature at which the teacher's mean entropy is `ratio` of log(classes).

    Args:
        teacher_logits: shape [samples, classes].
        ratio: 0 to 1.

    Returns:
        Between 1 and 20, by bisection: entropy grows with temperature.
    """
    low, high = _LOWEST, _HIGHEST
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if mean_entropy_ratio(teacher_logits, middle) < ratio:
            low = middle
        else:
            high = middle
    return round(high, 2)


def mean_entropy_ratio(teacher_logits: Tensor, temperature: float) -> float:
    """Return the mean entropy of softmax(z / T) as a share of log(classes), 0 to 1."""
    log_p = torch.log_softmax(teacher_logits.float() / temperature, dim=1)
    entropy = -(log_p.exp() * log_p).sum(1).mean()
    return float(entropy / torch.log(torch.tensor(float(teacher_logits.shape[1]))))
