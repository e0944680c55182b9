"""What transformers learn from transformers: hidden states, attention, values, balanced parts."""

from __future__ import annotations

import torch
from torch.nn.functional import mse_loss

from hwkd.distill.edge_losses import cosine_distance
from hwkd.distill.losses.of_classes import divergence, label_loss
from hwkd.distill.losses.transformer import (
    attention_divergence_loss,
    attention_map_loss,
    value_relation_loss,
)
from hwkd.distill.token_divergences import TokenDivergence, mean_of_labelled
from hwkd.language.lessons import levelled
from support.golden_schemes.runners import numbered, runs


@runs("tinybert")
def _tinybert(x, o):
    ours, theirs = numbered(x, "as"), numbered(x, "at")
    step = len(theirs) // len(ours)
    maps = [attention_map_loss(a, theirs[(j + 1) * step - 1]) for j, a in enumerate(ours)]
    states = zip(numbered(x, "hs"), numbered(x, "ht")[::step], strict=True)
    return torch.stack([*maps, *(mse_loss(s, t) for s, t in states)]).sum(), {}


@runs("tinybert_pred")
def _tinybert_pred(x, o):
    # Ours is the mean over samples, times the square of the temperature.
    return divergence(x["zs"], x["zt"], temperature=o["temperature"]).mean(), {}


@runs("distilbert")
def _distilbert(x, o):
    seen = x["mask"].bool()
    soft = divergence(x["zs"][seen], x["zt"][seen], temperature=o["temperature"]).mean()
    labels = x["labels"].flatten()
    own = mean_of_labelled(label_loss(x["zs"].flatten(0, 1), labels), labels)
    turned = cosine_distance(x["hs"][seen], x["ht"][seen]).mean()
    return o["kl"] * soft + o["mlm"] * own + o["cos"] * turned, {}


@runs("minilm")
def _minilm(x, o):
    ours, theirs = (
        torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, -1)
        for q, k in ((x["qs"], x["ks"]), (x["qt"], x["kt"]))
    )
    return attention_divergence_loss(ours, theirs) + value_relation_loss(x["vs"], x["vt"]), {}


@runs("mobilebert")
def _mobilebert(x, o):
    states = zip(numbered(x, "hs"), numbered(x, "ht"), strict=True)
    maps = zip(numbered(x, "as"), numbered(x, "at"), strict=True)
    parts = [mse_loss(s, t) for s, t in states] + [attention_divergence_loss(*p) for p in maps]
    return torch.stack(parts).sum(), {}


@runs("minitron")
def _minitron(x, o):
    labels = x["labels"].flatten()
    ours, theirs = x["zs"].flatten(0, 1), x["zt"].flatten(0, 1)
    logits = mean_of_labelled(TokenDivergence("forward").of(ours, theirs), labels)
    pairs = zip(numbered(x, "hs"), numbered(x, "ht"), strict=True)
    inner = torch.stack([mse_loss(s, t) for s, t in pairs]).mean()
    taught = logits + levelled(inner, logits)
    if o["skip_lm"]:
        return taught, {}
    own = mean_of_labelled(label_loss(ours, labels), labels)
    return own + o["scale"] * levelled(taught, own), {}
