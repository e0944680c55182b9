"""Transformer methods: attention maps and relations of values."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.kernels import kl_from_logits
from hwkd.distill.method import RunShapes, Shape, option
from hwkd.distill.pair_method import PairMethod

# A probability of 0 in half precision has no logarithm.
_FLOOR = 1e-12
_PADDED = -100.0  # scores at or below are of padding; TinyBERT's code takes them for 0


def attention_map_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of attention.

    Args:
        student: shape [batch, heads, queries, keys]; probabilities, or scores, of which those of
            padding (-100 and below) are not compared.
        teacher: same shape, or another number of heads: then both are averaged over heads.

    Source:
        Jiao et al. 2020, arXiv:1909.10351, equation 7.
    """
    ours, theirs = _same_heads(*(x.masked_fill(x <= _PADDED, 0.0) for x in (student, teacher)))
    return (ours - theirs).square().mean()


def attention_divergence_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean over batch, heads and queries of KL(teacher || student), nats.

    Args:
        student: probabilities, shape [batch, heads, queries, keys].
        teacher: same shape, or another number of heads: then both are averaged over heads.

    Source:
        Wang et al. 2020, arXiv:2002.10957, equation 5.
    """
    ours, theirs = _same_heads(student, teacher)
    ratio = theirs.clamp(min=_FLOOR).log() - ours.clamp(min=_FLOOR).log()
    return (theirs * ratio).sum(-1).mean()


def value_relation_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean KL between softmax(V V^T / sqrt(dim)) of both, nats.

    Args:
        student: values, shape [batch, heads, tokens, dim].
        teacher: any number of heads and any dim; heads are averaged over where their number
            differs.

    Source:
        Wang et al. 2020, arXiv:2002.10957, equations 6 and 7.
    """
    ours, theirs = (v @ v.transpose(-1, -2) / v.shape[-1] ** 0.5 for v in (student, teacher))
    return kl_from_logits(*_same_heads(ours, theirs)).mean()


def _same_heads(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    if student.shape[1] == teacher.shape[1]:
        return student, teacher
    return student.mean(1, keepdim=True), teacher.mean(1, keepdim=True)


def _token_refusal(
    name: str, student: tuple[Shape, ...], teacher: tuple[Shape, ...], tokens: slice
) -> str | None:
    for pair in zip(student, teacher, strict=True):
        ours, theirs = (shape[tokens] for shape in pair)
        if ours != theirs:
            return f"the student's {name} covers {ours} tokens and the teacher's {theirs}"
    return None


@METHODS.register("attention_maps")
@dataclass(frozen=True, kw_only=True)
class AttentionMaps(PairMethod):
    """Attention maps of transformer layers (TinyBERT, MiniLM); needs attention probabilities."""

    form: str = option("kl", "divergence of rows or squared difference", choices=("kl", "mse"))

    name = "attention_maps"
    family = "attention"
    formula = "mean KL(A_t ‖ A_s) per query, or mean (A_s − A_t)²"
    paper = "Jiao et al. 2020, arXiv:1909.10351; Wang et al. 2020, arXiv:2002.10957"
    needs = frozenset({Signal.ATTENTION})
    signal = Signal.ATTENTION
    float32_only = True

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse attention over different tokens."""
        both = shapes.student.attention, shapes.teacher.attention
        return _token_refusal("attention", *both, slice(1, None))

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the difference of one layer."""
        if self.form == "mse":
            return attention_map_loss(student, teacher)
        return attention_divergence_loss(student, teacher)


@METHODS.register("value_relations")
@dataclass(frozen=True, kw_only=True)
class ValueRelations(PairMethod):
    """Value relations (MiniLM, Wang et al. 2020); needs values of any heads and dim."""

    name = "value_relations"
    family = "attention"
    formula = "mean KL(softmax(V_t V_tᵀ / √d) ‖ softmax(V_s V_sᵀ / √d))"
    paper = "Wang et al. 2020, arXiv:2002.10957"
    needs = frozenset({Signal.VALUES})
    signal = Signal.VALUES
    float32_only = True

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse values of different tokens."""
        return _token_refusal("values", shapes.student.values, shapes.teacher.values, slice(1, 2))

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return the divergence of one layer."""
        return value_relation_loss(student, teacher)
