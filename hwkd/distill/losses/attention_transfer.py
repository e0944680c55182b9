"""Attention transfer: where a layer looks, summed over channels."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import as_maps, flat, length, pool_to_common_size, unit
from hwkd.distill.method import option
from hwkd.distill.pair_method import PairMethod


def attention_transfer_loss(
    student_maps: Tensor, teacher_maps: Tensor, *, p: int = 2, form: str = "squared"
) -> Tensor:
    """Return the difference of normalised attention maps a = unit(mean over channels of f^p).

    Args:
        student_maps: shape [batch, channels, height, width] or [batch, channels, time].
        teacher_maps: same batch; channel counts may differ, sizes are pooled to the smaller per
            axis.
        p: power, >= 1.
        form: "squared" is the authors' code, mean over batch and positions of (a_s - a_t)^2; "norm"
            is the paper's equation 2, mean over batch of the L2 norm of a_s - a_t.

    Returns:
        Scalar; unchanged when channels are permuted.

    Source:
        Zagoruyko and Komodakis 2017, arXiv:1612.03928. The two forms differ by two orders of
        magnitude, so a weight tuned for one is wrong for the other; KD_Lib takes no mean over
        channels.
    """
    student, teacher = pool_to_common_size(as_maps(student_maps), as_maps(teacher_maps))
    ours, theirs = (unit(flat(f.pow(p).mean(1)), dim=1) for f in (student, teacher))
    if form == "norm":
        return length(ours - theirs, dim=1).mean()
    return (ours - theirs).square().mean()


@METHODS.register("at")
@dataclass(frozen=True, kw_only=True)
class AttentionTransfer(PairMethod):
    """Attention transfer (Zagoruyko and Komodakis 2017); needs feature maps, no adapters."""

    p: int = option(2, "power that the features are raised to", low=1)
    form: str = option(
        "squared", "the authors' code or the paper's equation", choices=("squared", "norm")
    )

    name = "at"
    family = "feature"
    formula = "mean (â_s − â_t)², â = unit(mean_c f^p)"
    paper = "Zagoruyko and Komodakis 2017, arXiv:1612.03928"
    needs = frozenset({Signal.FEATURES})
    needs_positions = True
    float32_only = True
    usual_weight = 1000.0

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the difference of attention maps."""
        return attention_transfer_loss(student, teacher, p=self.p, form=self.form)
