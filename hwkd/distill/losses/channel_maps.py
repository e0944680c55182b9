"""Where each class is: maps of classes, made to sum to 1 over positions or over classes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.head import CLASS_MAPS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import as_maps, at_least_float32, kl_from_logits
from hwkd.distill.method import LossMethod, both_logits, option


def normalised_maps_loss(
    student: Tensor,
    teacher: Tensor,
    *,
    temperature: float = 4.0,
    norm: str = "channel",
    divergence: str = "kl",
) -> Tensor:
    """Return the divergence of maps that a softmax made shares of 1.

    Args:
        student: shape [batch, channels, height, width].
        teacher: same shape; no gradient flows into it.
        temperature: softening divisor, > 0.
        norm: "channel": over the positions of each channel, a mean over channels; "spatial": over
            the channels at each position, a mean over positions.
        divergence: "kl", times T squared, or "squared", a sum of squared differences of the shares,
            for which the temperature is 1.

    Source:
        Shu et al. 2021, arXiv:2011.13256, equations 3 to 5.
    """
    ours, theirs = (maps.flatten(2) for maps in at_least_float32(student, teacher.detach()))
    if norm == "spatial":
        ours, theirs = ours.transpose(1, 2), theirs.transpose(1, 2)
    if divergence == "kl":
        return kl_from_logits(ours / temperature, theirs / temperature).mean() * temperature**2
    shares = functional.softmax(ours, dim=-1) - functional.softmax(theirs, dim=-1)
    return shares.square().sum(-1).mean()


@METHODS.register("cwd_maps")
@dataclass(frozen=True, kw_only=True)
class ChannelWiseMaps(LossMethod):
    """Channel-wise distillation of class maps (Shu et al. 2021): where each class is.

    `cwd` is the same of feature maps.
    """

    temperature: float = option(4.0, "softening divisor of both maps (kl)", above=0)
    norm: str = option("channel", "what sums to 1", choices=("channel", "spatial"))
    divergence: str = option("kl", "of the shares", choices=("kl", "squared"))

    name = "cwd_maps"
    family = "maps"
    formula = "T² / (B C) Σ KL(softmax_HW(z_t / T) ‖ softmax_HW(z_s / T))"
    paper = "Shu et al. 2021, arXiv:2011.13256"
    needs = frozenset({Signal.LOGITS})
    of_kind = CLASS_MAPS
    float32_only = True
    usual_weight = 3.0

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the divergence under the method's name."""
        del batch
        ours, theirs = (as_maps(logits) for logits in both_logits(student, teacher))
        loss = normalised_maps_loss(
            ours, theirs, temperature=self.temperature, norm=self.norm, divergence=self.divergence
        )
        return {self.name: loss}
