"""Divergences of the next token of language models."""

from __future__ import annotations

from torch.nn.functional import log_softmax

from hwkd.distill.token_divergences import TokenDivergence, mean_of_labelled
from support.golden_schemes.runners import runs


def _mean(x, name, share=None):
    values = TokenDivergence(name, share).of(x["zs"], x["zt"])
    return mean_of_labelled(values, x["labels"])


def _entropy_of_the_teacher(x):
    log_q = log_softmax(x["zt"], -1)
    return mean_of_labelled(-(log_q.exp() * log_q).sum(-1), x["labels"])


@runs("rkl")
def _rkl(x, o):
    return _mean(x, "reverse"), {}


@runs("skew_fkl")
def _skew_fkl(x, o):
    # The set has the cross-entropy: the teacher's entropy more, of the same gradient.
    return _mean(x, "skewed-forward", o["lam"]) + _entropy_of_the_teacher(x), {}


@runs("skew_rkl")
def _skew_rkl(x, o):
    return _mean(x, "skewed-reverse", o["lam"]), {}


@runs("sym_kl")
def _sym_kl(x, o):
    share = o["lam"]
    return _mean(x, "symmetric", share) + (1 - share) * _entropy_of_the_teacher(x), {}


@runs("tv")
def _tv(x, o):
    return _mean(x, "total-variation"), {}
