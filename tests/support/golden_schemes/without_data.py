"""Schemes whose samples are made, or found at a border."""

from __future__ import annotations

import math
from functools import partial

import torch

from hwkd.distill import edge_losses as losses
from hwkd.distill import generated_losses as made
from hwkd.distill.losses.of_classes import divergence, label_loss, soft_cross_entropy
from hwkd.distill.timetables import boundary
from support.golden_schemes.runners import numbered, runs


@runs("dafl")
def _dafl(x, o):
    base = o.get("log_base", 10)
    value = (
        o["one_hot"] * made.one_hot_loss(x["zt"])
        + o["information_entropy"]
        * made.class_balance(x["zt"], log_base=math.e if base == "e" else base)
        + o["activation"] * made.activation_size(x["ft"])
    )
    return value, {}


@runs("dfad")
def _dfad(x, o):
    value = losses.absolute_difference(x["zs"], x["zt"]).mean()
    return value, {"generator_loss": -value}


@runs("deepinversion_bn")
def _deepinversion_bn(x, o):
    layers = [numbered(x, name) for name in ("x", "mean", "var")]
    return made.statistics_distance(*layers, first_multiplier=o.get("first_multiplier", 1.0)), {}


@runs("deepinversion_prior")
def _deepinversion_prior(x, o):
    weights = {name: o.get(name, 0.0) for name in ("tv_l1", "tv_l2", "l2")}
    return made.smoothness(x["x"], **weights), {}


@runs("deepinversion_compete")
def _deepinversion_compete(x, o):
    temperature, weight = o.get("temperature", 1.0), o.get("weight", 1.0)
    return made.competition(x["zs"], x["zt"], temperature=temperature, weight=weight), {}


@runs("zskt")
def _zskt(x, o):
    assert o.get("temperature", 1.0) == 1.0
    assert o.get("kl_reduction", "mean") == "mean"
    value = made.mean_softened_distance(x["zs"], x["zt"])
    pairs = zip(numbered(x, "s"), numbered(x, "t"), strict=True)
    attention = [losses.attention_mismatch(s, t).mean() for s, t in pairs]
    beta = o.get("at_beta", 250.0)
    return value + beta * torch.stack(attention).sum(), {"generator_loss": -value}


@runs("bss_step")
def _bss_step(x, o):
    moved, base = x["x"], None
    for _ in range(o.get("steps", 1)):
        moved = moved.detach().requires_grad_()
        scores = moved.flatten(1) @ x["W"].T + x["b"]
        base = scores.argmax(1) if base is None else base
        rows = torch.arange(len(moved))
        gap = scores[rows, x["target"]] - scores[rows, base]
        gradient = torch.autograd.grad(gap.sum(), moved)[0]
        moved = made.boundary_step(
            moved.detach(), scores.detach(), gradient, base=base, target=x["target"],
            step=o["step"], limits=tuple(o["clip"]),
        )  # fmt: skip
    return moved.square().sum(), {"x_adv": moved}


@runs("bss")
def _bss(x, o):
    soft = partial(soft_cross_entropy, temperature=o["temperature"], scaled=False)
    return (
        label_loss(x["zs"], x["y"]).mean()
        + o["ratio"] * soft(x["zs"], x["zt"]).mean()
        + o["attack_ratio"] * soft(x["zs_adv"], x["zt_adv"]).mean()
    ), {}


@runs("bss_schedule")
def _bss_schedule(x, o):
    epochs = o["epochs"]
    both = [boundary.boundary_ratios(e, epochs) for e in range(1, epochs + 1)]
    return None, {"ratio": [b[0] for b in both], "attack_ratio": [b[1] for b in both]}


@runs("kdgan")
def _kdgan(x, o):
    sampled = losses.sampled_label_loss
    student = sampled(x["zs"], x["y_student"], x["d_student"]).mean()
    teacher = sampled(x["zt"], x["y_teacher"], x["d_teacher"]).mean()
    to_student = divergence(x["zs"], x["zt"].detach()).mean()
    to_teacher = divergence(x["zt"], x["zs"].detach()).mean()
    alpha = o["alpha"]
    value = (
        alpha * student + (1 - alpha) * teacher + o["beta"] * to_student + o["gamma"] * to_teacher
    )
    judge = losses.telling_apart(x["d_true"], x["d_student"], x["d_teacher"], share=alpha).mean()
    return value, {"discriminator_loss": judge}
