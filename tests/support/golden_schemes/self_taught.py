"""Schemes in which a student learns from itself."""

from __future__ import annotations

import numpy as np
import torch
from scipy.stats import entropy
from torch.nn import functional

from hwkd.deploy.exit_rule import exits_taken
from hwkd.distill import edge_losses as losses
from hwkd.distill.aggregators.confidence import top_confidence
from hwkd.distill.aggregators.mean import mean_logit, mean_probability
from hwkd.distill.losses.of_classes import label_loss
from hwkd.distill.scheme import Edge
from hwkd.distill.schemes.born_again import generation_edges
from hwkd.distill.timetables import cycles, ramp
from support.golden_schemes.runners import logits, numbered, runs, scheme, total


@runs("byot")
def _byot(x, o):
    exits = numbered(x, "z")
    edges = scheme(
        "byot", exits=len(exits), temperature=o["temperature"], alpha=o["alpha"], beta=o["beta"],
        soft_form=o.get("soft_form", "cross_entropy"),
    ).phases()[0].edges  # fmt: skip
    signals = {"student.logits": x["z_final"], "student.features": x["f_final"]}
    for n, exit_logits in enumerate(exits):
        signals |= {f"exit{n + 1}.logits": exit_logits, f"exit{n + 1}.features": x[f"f{n}"]}
    return total(edges, signals, x["y"]), {}


@runs("ban")
def _ban(x, o):
    variant = o.get("variant", "ban+l")
    if variant == "ensemble":
        z = torch.stack(numbered(x, "z"))
        out = {
            "probability": torch.softmax(mean_probability(z), -1),
            "logit_average": mean_logit(z),
        }
        return None, out
    temperature = 1.0 if variant == "cwtm" else o.get("temperature", 1.0)
    if variant == "dkpp":
        perm = x["perm"] if "perm" in x else torch.tensor(o["perm"])
        target = losses.permuted_rest(x["zt"] / temperature, perm)
        return (losses.probability_loss(x["zs"] / temperature, target) * temperature**2).mean(), {}
    signals = {"student.logits": x["zs"], "before.logits": x["zt"]}
    value = total(generation_edges(variant, temperature), signals, x["y"])
    if "alpha" in o:  # of a public variant: it has a label share, and divides by the classes too
        value = value * o["alpha"]
    return value, {"weights": top_confidence(x["zt"][None])[0]} if variant == "cwtm" else {}


@runs("snapshot_schedule")
def _snapshot_schedule(x, o):
    epochs, count = o["epochs"], o["cycles"]
    return None, {
        "lr": cycles.cycle_rates(epochs, count, o["lr"]),
        "teacher_cycle": cycles.teaching_cycles(epochs, count),
    }


@runs("snapshot")
def _snapshot(x, o):
    edges = scheme(
        "snapshot", temperature=o["temperature"], label_weight=o.get("label_weight", 1.0),
        teacher_weight=o.get("teacher_weight", 1.0), asymmetric=o.get("asymmetric", True),
    ).phases()[1].edges  # fmt: skip
    return total(edges, {"student.logits": x["zs"], "before.logits": x["zt"]}, x["y"]), {}


@runs("early_exit")
def _early_exit(x, o):
    exits = numbered(x, "z")
    out = {}
    if "entropy_threshold" in o:
        chances = [torch.softmax(z.detach(), -1).numpy() for z in exits[:-1]]
        found = [entropy(each, axis=1).astype(np.float32) for each in chances]
        out["exit"] = torch.from_numpy(exits_taken(found, o["entropy_threshold"]))
    if "weights" in o:
        terms = [w * label_loss(z, x["y"]).mean() for w, z in zip(o["weights"], exits, strict=True)]
        return torch.stack(terms).sum(), out
    edges = (
        scheme("early_exit", exits=len(exits) - 1, temperature=o["temperature"], gamma=o["gamma"])
        .phases()[0]
        .edges
    )
    names = [f"exit{n + 1}" for n in range(len(exits) - 1)]
    return total(edges, logits([*names, "student"], exits), x["y"]), out


@runs("ddgsd")
def _ddgsd(x, o):
    edges = (
        scheme(
            "ddgsd", temperature=o["temperature"], weight=o.get("lam", 1.0), mu=o.get("mu", 0.0005)
        )
        .phases()[0]
        .edges
    )
    signals = {
        "student.logits": x["za"], "view.logits": x["zb"], "student.features": x["ha"],
        "view.features": x["hb"],
    }  # fmt: skip
    return total(edges, signals, x["y"]), {}


@runs("sad")
def _sad(x, o):
    maps = numbered(x, "f")
    edges = tuple(
        Edge(
            name="attention", loss=losses.shallow_attention, prediction=f"stage{n}",
            target=f"stage{n + 1}", attached=not o.get("detach", True),
        )
        for n in range(len(maps) - 1)
    )  # fmt: skip
    return total(edges, {f"stage{n}": m for n, m in enumerate(maps)}, torch.zeros(0)), {}


@runs("pskd")
def _pskd(x, o):
    alpha = o["alpha"]
    edges = scheme("pskd", alpha=alpha, grows=False).phases()[0].edges
    signals = {"student.logits": x["zs"], "memory.probabilities": x["p_prev"]}
    one_hot = functional.one_hot(x["y"], x["zs"].shape[1]).to(x["zs"].dtype)
    return total(edges, signals, x["y"]), {"target": (1 - alpha) * one_hot + alpha * x["p_prev"]}


@runs("pskd_schedule")
def _pskd_schedule(x, o):
    epochs, last = o["epochs"], o["alpha_T"]
    return None, {"alpha": [ramp.past_share(e, epochs, last) for e in range(epochs)]}


@runs("mean_teacher")
def _mean_teacher(x, o):
    decay, averages = o["decay"], []
    average = torch.full_like(x["params"][0], 7.0)
    for step, present in enumerate(x["params"]):
        now = ramp.averaging_decay(step, decay)
        average = now * average + (1 - now) * present
        averages.append(average)
    return None, {"ema": torch.stack(averages)}
