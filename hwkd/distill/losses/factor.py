"""Factor transfer: a paraphrase of the teacher's features, and a student that learns to say it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import flat, unit
from hwkd.distill.method import RunShapes, TrainedMethod, option, pair_term
from hwkd.distill.pair_method import pooled_maps
from hwkd.distill.pairing import single_positions


def factor_loss(student_factor: Tensor, teacher_factor: Tensor, *, p: int = 1) -> Tensor:
    """Return the mean over elements of |unit(student) - unit(teacher)|^p, flattened per sample.

    Args:
        student_factor: shape [batch, ...].
        teacher_factor: same shape.
        p: 1 or 2.

    Source:
        Kim et al. 2018, arXiv:1802.04977, equation 2.
    """
    difference = unit(flat(student_factor), dim=1) - unit(flat(teacher_factor), dim=1)
    return (difference.abs() if p == 1 else difference.pow(p)).mean()


def attention_factor(maps: Tensor, *, p: int = 2) -> Tensor:
    """Return the channel mean of f^p: what RepDistiller uses in place of a paraphraser."""
    return maps.pow(p).mean(1)


@METHODS.register("ft")
@dataclass(frozen=True, kw_only=True)
class FactorTransfer(TrainedMethod):
    """Factor transfer (Kim et al. 2018); needs feature maps.

    "paraphraser" trains an autoencoder on the teacher's maps and a translator on the student's,
    beside the student instead of before it as in the paper. "attention" is RepDistiller's form
    without parameters.
    """

    form: str = option(
        "paraphraser", "the paper's or RepDistiller's factor", choices=("paraphraser", "attention")
    )
    rate: float = option(0.5, "paraphrase channels per teacher channel", above=0, high=4)

    name = "ft"
    family = "feature"
    formula = "mean |unit(translator(f_s)) − unit(paraphraser(f_t))|"
    paper = "Kim et al. 2018, arXiv:1802.04977"
    needs = frozenset({Signal.FEATURES})
    float32_only = True
    # A translator starts at random, so equal features do not give equal factors.
    is_zero_at_teacher = False
    usual_weight = 200.0
    auxiliary_terms = ("ft_paraphraser",)

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse single positions for the attention form, which normalises over them."""
        if self.form == "attention" and single_positions(shapes.student, shapes.teacher):
            return "form=attention has no gradient for maps of one position; choose other pairs"
        return None

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the translator, if there is one."""
        factors = _factors(teacher_channels, self.rate)
        return "" if self.form == "attention" else f"translator {channels}→{factors}"

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss, with its paraphrasers and translators."""
        if self.form == "attention":
            return _AttentionFactors()
        return _Factors(shapes, self.rate)


class _AttentionFactors(nn.Module):
    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        terms = {}
        for index, (ours, theirs) in enumerate(pooled_maps(student, teacher)):
            terms[pair_term("ft", index)] = factor_loss(
                attention_factor(ours), attention_factor(theirs)
            )
        return terms


class _Factors(nn.Module):
    def __init__(self, shapes: RunShapes, rate: float) -> None:
        super().__init__()
        ours = [shape[0] for shape in shapes.student.features]
        theirs = [shape[0] for shape in shapes.teacher.features]
        factors = [_factors(channels, rate) for channels in theirs]
        self.encoders = _convolutions(theirs, factors)
        self.decoders = _convolutions(factors, theirs)
        self.translators = _convolutions(ours, factors)

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        terms = {}
        for index, (ours, theirs) in enumerate(pooled_maps(student, teacher)):
            factor = self.encoders[index](theirs)
            rebuilt = self.decoders[index](factor)
            terms[pair_term("ft", index)] = factor_loss(
                self.translators[index](ours), factor.detach()
            )
            terms[pair_term("ft_paraphraser", index)] = (rebuilt - theirs).square().mean()
        return terms


def _factors(channels: int, rate: float) -> int:
    return max(1, round(rate * channels))


def _convolutions(in_channels: list[int], out_channels: list[int]) -> nn.ModuleList:
    return nn.ModuleList(
        nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.LeakyReLU(0.1))
        for i, o in zip(in_channels, out_channels, strict=True)
    )
