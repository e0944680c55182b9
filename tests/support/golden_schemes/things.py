"""Methods about things in pictures: boxes, cells, features inside and around boxes."""

from __future__ import annotations

import torch
from torch.nn import functional

from hwkd.distill.losses.bounded import bounded_regression_loss, weighted_soft_class_loss
from hwkd.distill.losses.cross_head import aligned, quality_focal_loss
from hwkd.distill.losses.focal import focal_loss
from hwkd.distill.losses.localisation import certainty, localisation_loss
from hwkd.distill.losses.masked import masked_generation_loss
from support.golden_schemes.runners import numbered, runs


@runs("ssd_bounded")
def _ssd_bounded(x, o):
    mu = o["mu"]
    is_thing = x["y"] > 0
    hard = functional.cross_entropy(x["zs"], x["y"])
    soft = weighted_soft_class_loss(x["zs"], x["zt"].detach(), background=o["w_background"])
    ours, theirs, true = (x[name][is_thing] for name in ("rs", "rt", "r_true"))
    smooth = functional.smooth_l1_loss(ours, true, reduction="none").sum(1).mean()
    bounded, active = bounded_regression_loss(ours, theirs.detach(), true, margin=o["margin"])
    value = mu * hard + (1 - mu) * soft + smooth + o["nu"] * bounded
    return value, {"bounded_active": active}


@runs("ld")
def _ld(x, o):
    weights = certainty(x["cls_s"])
    value = localisation_loss(
        x["corners_s"], x["corners_t"].detach(), weights, temperature=o["temperature"]
    )
    return o["weight"] * value, {"weights": weights}


@runs("fgd")
def _fgd(x, o):
    parts = focal_loss(
        x["fs"], x["ft"].detach(), numbered(x, "boxes"), picture=tuple(o["image_shape"]),
        temperature=o["temperature"],
    )  # fmt: skip
    return (
        o["alpha"] * parts.foreground + o["beta"] * parts.background + o["gamma"] * parts.attention
    ), {}


@runs("mgd")
def _mgd(x, o):
    student = x["fs"]
    if "wa" in x:
        student = functional.conv2d(student, x["wa"], x["ba"])
    value = masked_generation_loss(
        student, x["ft"].detach(), x["mask"], (x["w1"], x["b1"]), (x["w2"], x["b2"])
    )
    return o["alpha"] * value, {}


@runs("crosskd_cls")
def _crosskd_cls(x, o):
    weights = x["w"] if "w" in x else torch.ones(len(x["zs"]), dtype=x["zs"].dtype)
    value = quality_focal_loss(
        x["zs"], x["zt"].detach(), weights, beta=o["beta"], factor=o["avg_factor"]
    )
    return value, {}


@runs("crosskd_align")
def _crosskd_align(x, o):
    del o
    made = aligned(x["fs"], x["ft"].detach())
    return (made * x["probe"]).sum(), {"*": made}
