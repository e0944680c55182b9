"""Schemes in which peers or branches learn together."""

from __future__ import annotations

import torch

from hwkd.distill.aggregators.attention import attended, attention_weights
from hwkd.distill.aggregators.gate import gate_weights, gated
from hwkd.distill.aggregators.general import error_matrix, general, general_weights
from hwkd.distill.aggregators.linear import linear
from hwkd.distill.aggregators.lowest_error import lowest_error
from hwkd.distill.aggregators.mean import mean_probability
from hwkd.distill.aggregators.min_logit import min_logit
from hwkd.distill.losses.of_classes import label_loss
from hwkd.distill.scheme import edge_terms
from hwkd.distill.timetables import copies, ramp
from support.golden_schemes.runners import logits, numbered, peers, runs, scheme, total


@runs("dml")
def _dml(x, o):
    z = numbered(x, "z")
    edges = scheme("dml", peers=len(z), temperature=o.get("temperature", 1.0)).phases()[0].edges
    terms = edge_terms(edges, peers(z), x["y"])
    each = [
        sum(value for name, value in terms.items() if name.endswith(f" {role.split('.')[0]}"))
        for role in peers(z)
    ]
    return torch.stack(list(terms.values())).sum(), {"loss_per_peer": torch.stack(each)}


@runs("codistill")
def _codistill(x, o):
    stale = numbered(x, "stale")
    temperature = o.get("temperature", 1.0)
    all_edges = (
        scheme(
            "codistill", peers=len(stale) + 1, temperature=temperature, weight=o.get("weight", 1.0)
        )
        .phases()[0]
        .edges
    )
    edges = tuple(edge for edge in all_edges if edge.name.endswith(" student"))
    signals = {"student.logits": x["zs"]}
    signals |= logits([f"stale_peer{n + 1}" for n in range(len(stale))], stale)
    target = mean_probability(torch.stack(stale), temperature) / temperature
    return total(edges, signals, x["y"]), {"target": torch.softmax(target, -1)}


@runs("codistill_schedule")
def _codistill_schedule(x, o):
    steps = range(o["steps"])
    burn_in, interval = o["burn_in"], o["interval"] if "interval" in o else o["k"]
    return None, {
        "weight": [copies.stale_weight(s, burn_in=burn_in) for s in steps],
        "*": [copies.stale_copy(s, interval=interval, burn_in=burn_in) for s in steps],
    }


@runs("one")
def _one(x, o):
    z = numbered(x, "z")
    edges = scheme(
        "one", branches=len(z), temperature=o["temperature"], weight=o.get("weight", 1.0),
        eps=o.get("eps", 0.0),
    ).phases()[0].edges  # fmt: skip
    signals = peers(z, "branch") | {"gate.weights": x["g"]}
    out = {"gate": gate_weights(x["g"]), "ensemble": gated(torch.stack(z), x["g"])}
    return total(edges, signals, x["y"]), out


@runs("cl_ilr")
def _cl_ilr(x, o):
    z = numbered(x, "z")
    edges = scheme(
        "cl_ilr", branches=len(z), temperature=o["temperature"], weight=o.get("weight", 1.0),
        eps=o.get("eps", 0.0),
    ).phases()[0].edges  # fmt: skip
    return total(edges, peers(z, "branch"), x["y"]), {}


@runs("rampup")
def _rampup(x, o):
    length = o["length"]
    return None, {"weight": [ramp.sigmoid_ramp(e, length) for e in range(length + 3)]}


@runs("kdcl")
def _kdcl(x, o):
    z, variant = numbered(x, "z"), o["variant"]
    stacked = torch.stack([value.detach() for value in z])
    signals, out = peers(z), {}
    if variant == "mean_logit":  # what a public baseline calls by this name, and none of the four
        o["alpha"], o["temperature"]
        return label_loss(z[0], x["y"]).mean(), {}
    if variant == "general":
        held = torch.stack(numbered(x, "v"))
        weights = general_weights(held, x["yv"])
        signals["held.weights"] = weights
        out = {"weights": weights, "error_matrix": error_matrix(held, x["yv"])}
        target = general(stacked, weights)
    else:
        by = {"naive": lowest_error, "minlogit": min_logit, "linear": linear}[variant]
        target = by(stacked, x["y"])
        if variant == "linear":
            from hwkd.distill.aggregators.simplex import cross_entropy_minimum

            out["weights"] = cross_entropy_minimum(stacked, x["y"])
    edges = scheme(
        "kdcl", peers=len(z), variant=variant, temperature=o["temperature"],
        weight=o.get("lam", 1.0),
    ).phases()[0].edges  # fmt: skip
    return total(edges, signals, x["y"]), out | {"target_logit": target}


@runs("okddip_scheme")
def _okddip(x, o):
    z = numbered(x, "z")
    edges = scheme(
        "okddip", peers=len(z), temperature=o["temperature"], weight=o.get("weight", 1.0),
        eps=o.get("eps", 0.0),
    ).phases()[0].edges  # fmt: skip
    signals = logits([f"peer{n}" for n in range(len(z))], z) | {
        "student.logits": x["z_leader"], "attention.queries": x["q"], "attention.keys": x["k"],
    }  # fmt: skip
    seen = [attended(torch.stack(z), x["q"], x["k"], row=row) for row in range(len(z))]
    out = {"attention": attention_weights(x["q"], x["k"]), "targets": torch.stack(seen, 2)}
    return total(edges, signals, x["y"]), out


@runs("ffl")
def _ffl(x, o):
    edges = (
        scheme(
            "ffl", temperature=o["temperature"], weight=o.get("weight", 1.0), eps=o.get("eps", 0.0)
        )
        .phases()[0]
        .edges
    )
    signals = peers(numbered(x, "z"), "branch") | {"fused.logits": x["z_fused"]}
    return total(edges, signals, x["y"]), {}


@runs("afd")
def _afd(x, o):
    z = numbered(x, "z")
    phase = scheme("afd", peers=len(z), temperature=o["temperature"]).phases()[0]
    signals = peers(z)
    for n, role in enumerate(list(signals)):
        name = role.split(".")[0]
        signals |= {f"judge_{name}.own": x[f"own{n}"], f"judge_{name}.next": x[f"next{n}"]}
    judged = [edge for turn in phase.turns for edge in turn.edges]
    out = {"discriminator_loss": total(tuple(judged), signals, x["y"])}
    return total(phase.edges, signals, x["y"]), out


@runs("pcl")
def _pcl(x, o):
    z = numbered(x, "z")
    weight = ramp.sigmoid_ramp(o["epoch"], 80) if "epoch" in o else o.get("weight", 1.0)
    edges = (
        scheme("pcl", branches=len(z), temperature=o["temperature"], weight=weight)
        .phases()[0]
        .edges
    )
    names = ["student", *(f"branch{n}" for n in range(1, len(z)))]
    signals = logits(names, z) | {"fused.logits": x["z_ens"]}
    signals |= logits([f"mean_{name}" for name in names], numbered(x, "mean"))
    return total(edges, signals, x["y"]), {}
