"""Methods on the gradient by the input: what a network's answer depends on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32, flat, unit
from hwkd.distill.losses.of_classes import label_loss
from hwkd.distill.method import LossMethod


def gradient_by_input(scores: Tensor, inputs: Tensor, *, keeps_graph: bool) -> Tensor:
    """Return the gradient of summed scores by the inputs, flattened per sample.

    Args:
        scores: shape [batch], each computed from its own row of `inputs`.
        inputs: a leaf that requires a gradient.
        keeps_graph: the result is differentiated again (the student's side).
    """
    (gradient,) = torch.autograd.grad(
        scores.sum(), inputs, create_graph=keeps_graph, retain_graph=True
    )
    return flat(gradient)


def jacobian_loss(student_gradient: Tensor, teacher_gradient: Tensor) -> Tensor:
    """Return the mean squared difference of gradients of unit length per sample.

    Args:
        student_gradient: shape [batch, inputs].
        teacher_gradient: same shape; no gradient flows into it.

    Source:
        Czarnecki et al. 2017, arXiv:1706.04859; Srinivas and Fleuret 2018, arXiv:1803.00443,
        equation 6 (gradient of one output, normalised).
    """
    ours, theirs = at_least_float32(student_gradient, teacher_gradient.detach())
    return (unit(ours, dim=1) - unit(theirs, dim=1)).square().mean()


class _GradientMethod(LossMethod):
    """Compares the gradients of a score by the input; a step differentiates twice."""

    family = "gradient"
    needs = frozenset({Signal.LOGITS, Signal.INPUTS})
    needs_labels = True
    cacheable = False
    float32_only = True

    @abstractmethod
    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return what is differentiated, shape [batch], each from its own row of the inputs."""

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the difference of gradients as the term of the method's name."""
        gradients = [
            gradient_by_input(
                self.score(views.need(Signal.LOGITS), batch.labels),
                views.need(Signal.INPUTS),
                keeps_graph=views is student,
            )
            for views in (student, teacher)
        ]
        return {self.name: jacobian_loss(*gradients)}


@METHODS.register("jacobian")
@dataclass(frozen=True, kw_only=True)
class Jacobian(_GradientMethod):
    """Jacobian matching (Srinivas and Fleuret 2018): the true class's logit by the input.

    Needs logits and inputs. A step differentiates twice and costs about three times a plain one.
    """

    name = "jacobian"
    formula = "mean (unit(∂z_s,y/∂x) − unit(∂z_t,y/∂x))²"
    paper = "Czarnecki et al. 2017, arXiv:1706.04859; Srinivas and Fleuret 2018, arXiv:1803.00443"

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the logit of the true class."""
        return logits.gather(1, labels[:, None])[:, 0]


@METHODS.register("input_gradient")
@dataclass(frozen=True, kw_only=True)
class InputGradient(_GradientMethod):
    """Input-gradient alignment (Chan et al. 2020): gradient of the cross-entropy by the input.

    Needs logits and inputs. The paper aligns with an adversary; this is its squared-difference term
    on gradients of unit length, so that a confident teacher's small gradient still has a direction.
    """

    name = "input_gradient"
    formula = "mean (unit(∂CE_s/∂x) − unit(∂CE_t/∂x))²"
    paper = "Chan et al. 2020, arXiv:1912.05699"

    def score(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy."""
        return label_loss(logits, labels)
