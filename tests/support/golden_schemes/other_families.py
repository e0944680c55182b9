"""Schemes of rounding, of two views, of tasks one after another, of many places, of widths."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch.nn import functional

from hwkd.distill import edge_losses as losses
from hwkd.distill.aggregators.mean import mean_logit, mean_probability
from hwkd.distill.losses.of_classes import divergence, label_loss, soft_cross_entropy
from hwkd.distill.scheme import Edge, label_edge
from hwkd.distill.timetables import sizes
from support.golden_schemes.runners import numbered, runs, total


@runs("apprentice")
def _apprentice(x, o):
    edges = (
        label_edge("teacher", o["alpha"]),
        label_edge("student", o["beta"]),
        Edge(
            name="teacher", loss=soft_cross_entropy, prediction="student.logits",
            target="teacher.logits", weight=o["gamma"],
        ),
    )  # fmt: skip
    return total(edges, {"student.logits": x["zs"], "teacher.logits": x["zt"]}, x["y"]), {}


@runs("qkd")
def _qkd(x, o):
    phase, temperature = o["phase"], o["temperature"]
    kl = partial(divergence, temperature=temperature)
    both = (("student", "teacher"), ("teacher", "student"))
    edges = [
        each
        for ours, theirs in (both if phase == "co_studying" else both[:1])
        for each in (
            label_edge(ours),
            Edge(name=theirs, loss=kl, prediction=f"{ours}.logits", target=f"{theirs}.logits"),
        )
    ]
    assert phase in ("co_studying", "tutoring")
    signals = {"student.logits": x["zs"], "teacher.logits": x["zt"]}
    return total(tuple(edges), signals, x["y"]), {}


@runs("cross_modal")
def _cross_modal(x, o):
    is_paired = x["paired"].bool()
    hint = losses.half_squared_distance(x["fs"][is_paired], x["ft"][is_paired]).mean()
    if "zs" not in x:
        return hint * o.get("hint", 1.0), {}
    soft = divergence(
        x["zs"][is_paired], x["zt"][is_paired].detach(), temperature=o.get("temperature", 1.0)
    )
    return o.get("hint", 1.0) * hint + soft.mean(), {}


@runs("lwf")
def _lwf(x, o):
    old = x["z_old_heads"].shape[1]
    soft = losses.old_head_loss(
        x["z_old_heads"], x["z_prev"], temperature=o["temperature"], eps=o.get("eps", 0.0)
    )
    return label_loss(x["z_new_head"], x["y"] - old).mean() + o["lam"] * soft.mean(), {}


@runs("icarl")
def _icarl(x, o):
    both = torch.cat([x["z_old_heads"], x["z_new_head"]], 1)
    kept = losses.binary_divergence(x["z_old_heads"], x["z_prev"].detach())
    return label_loss(both, x["y"]).mean() + o["lam"] * kept.mean(), {}


@runs("pod")
def _pod(x, o):
    loss = partial(losses.pooled_difference, collapse=o["collapse"])
    pairs = zip(numbered(x, "s"), numbered(x, "t"), strict=True)
    value = torch.stack([loss(s, t.detach()).mean() for s, t in pairs]).mean()
    if "spatial" in o:
        scale = math.sqrt(o["classes"] / o["task_size"])
        flat = losses.cosine_distance(x["es"], x["et"].detach()).mean()
        value = scale * (o["spatial"] * value + o["flat"] * flat)
    return value, {}


@runs("fedmd")
def _fedmd(x, o):
    consensus = mean_logit(torch.stack(numbered(x, "z")))
    value = losses.absolute_difference(x["zs"], consensus.detach()).mean()
    return value, {"consensus": consensus}


@runs("feddf")
def _feddf(x, o):
    z, temperature, way = torch.stack(numbered(x, "z")), o["temperature"], o["scheme"]
    weights = o["weights"] if "weights" in o else [1 / len(z)] * len(z)
    kl = partial(divergence, temperature=temperature, scaled=False)
    if way == "avg_losses":
        terms = [w * kl(x["zs"], member).mean() for w, member in zip(weights, z, strict=True)]
        return torch.stack(terms).sum(), {}
    if way == "avg_logits":
        return kl(x["zs"], mean_logit(z, weights)).mean(), {}
    assert way == "avg_probs"
    return divergence(x["zs"] / temperature, mean_probability(z, 1.0, weights)).mean(), {}


@runs("fedgkt")
def _fedgkt(x, o):
    kl = divergence(
        x["zs"], x["zt"].detach(), temperature=o["temperature"], eps=o.get("eps", 0.0)
    ).mean()
    labels, alpha, side = label_loss(x["zs"], x["y"]).mean(), o["alpha"], o["side"]
    assert side in ("client", "server")
    return labels + alpha * kl if side == "client" else kl + alpha * labels, {}


@runs("netaug")
def _netaug(x, o):
    def sliced(widths):
        first, second = widths
        value = torch.relu(functional.conv2d(x["x"], x["w1"][:first], padding=1))
        value = functional.conv2d(value, x["w2"][:second, :first])
        return value.mean((2, 3)) @ x["wf"][:, :second].T

    base, wide = (label_loss(sliced(o[name]), x["y"]).mean() for name in ("base", "augmented"))
    return base + o["alpha"] * wide, {}


@runs("netaug_widths")
def _netaug_widths(x, o):
    return None, {"widths": sizes.augmented_widths(o["base"], o["multipliers"], o["divisor"])}


@runs("netaug_schedule")
def _netaug_schedule(x, o):
    stops = {name: o.get(name, 0) for name in ("stop_width", "stop_expand", "stop_all")}
    epochs = o["epochs"]
    return None, {"mode": [sizes.augmentation_mode(e, epochs, **stops) for e in range(epochs)]}


@runs("netaug_sort")
def _netaug_sort(x, o):
    order = sizes.by_importance(x["w_project"].abs().sum((0, 2, 3)).tolist())
    index = torch.tensor(order)
    return None, {
        "index": index, "w_project": x["w_project"][:, index], "w_depth": x["w_depth"][index],
        "w_expand": x["w_expand"][index],
    }  # fmt: skip


@runs("dna")
def _dna(x, o):
    pairs = list(zip(numbered(x, "s"), numbered(x, "t"), strict=True))
    blocks = torch.stack([losses.squared_difference(s, t.detach()).mean() for s, t in pairs])
    weights = o["weights"] if "weights" in o else [1.0] * len(pairs)
    apart = [losses.relative_difference(s, t) for s, t in pairs]
    value = (blocks * torch.tensor(weights, dtype=blocks.dtype)).sum()
    return value, {"block_loss": blocks, "relative_l1": torch.stack(apart)}
