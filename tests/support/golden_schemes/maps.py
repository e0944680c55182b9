"""Distillation of maps of classes and of pictures: methods of `hwkd.distill.losses`."""

from __future__ import annotations

from hwkd.distill.adversary import discriminator_loss, generator_loss
from hwkd.distill.losses.channel_maps import normalised_maps_loss
from hwkd.distill.losses.gan_compression import compression_loss
from hwkd.distill.losses.intra_class import intra_class_loss
from hwkd.distill.losses.pair_wise import pair_wise_loss
from hwkd.distill.losses.pixel_wise import pixel_wise_loss
from support.golden_schemes.runners import numbered, runs


@runs("seg_pixel")
def _seg_pixel(x, o):
    temperature = o.get("temperature", 1.0)
    options = {"form": o.get("form", "kl"), "batch": o.get("batch", "mean")}
    return pixel_wise_loss(x["zs"], x["zt"], temperature=temperature, **options), {}


@runs("seg_pair")
def _seg_pair(x, o):
    scale, detached = o["scale"], o.get("detach_norm", True)
    return pair_wise_loss(x["fs"], x["ft"], scale=scale, detach_norm=detached), {}


@runs("seg_holistic")
def _seg_holistic(x, o):
    kind = o["adversarial"]
    own = discriminator_loss(x["d_student"], x["d_teacher"], adversarial=kind)
    return generator_loss(x["d_student"], adversarial=kind), {"discriminator_loss": own}


@runs("cwd_norms")
def _cwd_norms(x, o):
    # "mse" is what public code calls the squared differences.
    divergence = "kl" if o["divergence"] == "kl" else "squared"
    temperature = o.get("temperature", 1.0)
    options = {"norm": o["norm"], "divergence": divergence}
    return normalised_maps_loss(x["zs"], x["zt"], temperature=temperature, **options), {}


@runs("ifv")
def _ifv(x, o):
    return intra_class_loss(x["fs"], x["ft"], x["seg"]), {}


@runs("gan_compression")
def _gan_compression(x, o):
    pairs = list(zip(numbered(x, "a"), numbered(x, "b"), strict=True))
    weights = {name: o[name] for name in ("gan", "reconstruction", "distill")}
    total = compression_loss(
        x["fake_s"], x["fake_t"], x["d_fake"], pairs, adversarial=o["mode"], **weights
    )
    return total, {}
