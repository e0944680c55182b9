"""The distillation that is used when the user names none, and why.

The reasons are measurements on students under 5,000 parameters; `docs/methods.md` lists them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.distill.losses.lskd import StandardisedTargets
from hwkd.distill.losses.soft_targets import SoftTargets
from hwkd.distill.method import LossMethod

__all__ = ["default_method", "mean_entropy_ratio", "temperature_for_entropy"]

# The share of the largest possible entropy that a softened teacher should have on average. A
# saturated teacher at a fixed temperature cost students under 600 parameters five to nine points.
_ENTROPY_RATIO = 0.3
_LOWEST, _HIGHEST = 1.0, 20.0
_STEPS = 40


def default_method(teacher_logits: Tensor) -> LossMethod:
    """Return the term to distil with in a search.

    Three or more classes: standardised logits at temperature 2, which do not depend on how sharp
    the teacher is. Two classes have no scale-free form: soft targets, at the temperature that gives
    the teacher a set entropy. Feature terms cost more than they rank better, so there are none.

    Args:
        teacher_logits: shape [samples, classes], any float type.
    """
    if teacher_logits.shape[1] >= 3:
        return StandardisedTargets(temperature=2.0)
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
