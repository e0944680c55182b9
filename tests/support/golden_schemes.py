"""Maps a golden case of a scheme to ours by its `method` and every hyperparameter.

A runner takes the case's inputs and hyperparameters and returns the loss (None for a schedule or an
aggregate) and further outputs. Where a scheme is in the catalogue, its own edges are evaluated:
what the numbers are compared with is what trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import SCHEMES
from hwkd.distill import edge_losses as losses
from hwkd.distill import generated_losses as made
from hwkd.distill.aggregators.attention import attended, attention_weights
from hwkd.distill.aggregators.confidence import confidence_weights, top_confidence
from hwkd.distill.aggregators.entropy import entropies, entropy_weights
from hwkd.distill.aggregators.gate import gate_weights, gated
from hwkd.distill.aggregators.general import error_matrix, general, general_weights
from hwkd.distill.aggregators.instance_weights import instance_weights
from hwkd.distill.aggregators.linear import linear
from hwkd.distill.aggregators.lowest_error import lowest_error, selected
from hwkd.distill.aggregators.mean import mean_logit, mean_probability
from hwkd.distill.aggregators.min_logit import min_logit
from hwkd.distill.aggregators.min_norm import min_norm_weights
from hwkd.distill.edge_losses import divergence, label_loss, soft_cross_entropy
from hwkd.distill.scheme import Edge, edge_terms, label_edge
from hwkd.distill.schemes.born_again import generation_edges
from hwkd.distill.schemes.multi_teacher import teachers_edge
from hwkd.distill.schemes.takd import link_edges
from hwkd.distill.timetables import boundary, copies, cycles, ramp, sizes
from hwkd.io.discovery import discover
from support.golden_losses import Options

Found: TypeAlias = tuple[Tensor | None, dict[str, Any]]
Runner: TypeAlias = Callable[[Mapping[str, Tensor], Options], Found]
RUNNERS: dict[str, Runner] = {}


def runs(method: str) -> Callable[[Runner], Runner]:
    """File a runner under the name of a golden method."""

    def file(runner: Runner) -> Runner:
        RUNNERS[method] = runner
        return runner

    return file


def runner_of(method: str) -> Runner:
    """Return the runner of a method; one without fails."""
    assert method in RUNNERS, f"no function of ours is mapped to method {method!r}"
    return RUNNERS[method]


def scheme(name: str, **options: Any) -> Any:
    discover("hwkd.distill.schemes")
    return SCHEMES.get(name)(**options)


def total(edges: tuple[Edge, ...], signals: Mapping[str, Tensor], y: Tensor) -> Tensor:
    return torch.stack(list(edge_terms(edges, signals, y).values())).sum()


def numbered(inputs: Mapping[str, Tensor], beginning: str) -> list[Tensor]:
    """Return `beginning0`, `beginning1`, ... in order."""
    found: list[Tensor] = []
    while f"{beginning}{len(found)}" in inputs:
        found.append(inputs[f"{beginning}{len(found)}"])
    return found


def logits(names: list[str], values: list[Tensor]) -> dict[str, Tensor]:
    return {f"{name}.logits": value for name, value in zip(names, values, strict=True)}


def peers(values: list[Tensor], word: str = "peer") -> dict[str, Tensor]:
    return logits(["student", *(f"{word}{n}" for n in range(1, len(values)))], values)


# --- self


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
        out["exit"] = losses.first_sure_exit(torch.stack(exits), o["entropy_threshold"])
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


# --- online


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


# --- several teachers


def _teachers(x, o, way, **options):
    zt = numbered(x, "zt")
    names = [f"teacher{n}" for n in range(len(zt))]
    temperature = o.get("temperature", 1.0)
    edge = teachers_edge(
        tuple(f"{name}.logits" for name in names), way, temperature=temperature, **options
    )
    signals = {"student.logits": x["zs"]} | logits(names, zt)
    if "w" in x:
        signals["free.values"] = x["w"]
    if "h" in x:
        signals |= {"student.features": x["h"], "instance.latent": x["v"]}
        signals |= {f"instance.factor{n}": t for n, t in enumerate(numbered(x, "theta"))}
    value = total((edge,), signals, x.get("y", torch.zeros(0)))
    return value, torch.stack(zt), temperature


@runs("aver")
def _aver(x, o):
    way = o["average"]
    value, zt, temperature = _teachers(x, o, way)
    target = torch.softmax(mean_probability(zt, temperature) / temperature, -1)
    return value, {"target": target}


@runs("ebkd")
def _ebkd(x, o):
    value, zt, _ = _teachers(x, o, "entropy", divides=o.get("divide_by_teachers", True))
    return value, {"weights": entropy_weights(zt)}


@runs("camkd")
def _camkd(x, o):
    value, zt, _ = _teachers(x, o, "confidence", divides=o.get("divide_by_teachers", True))
    return value, {"weights": confidence_weights(zt, x["y"])}


@runs("select")
def _select(x, o):
    value, zt, _ = _teachers(x, o, "select")
    return value, {"selected": selected(zt, x["y"])}


@runs("learned_weights")
def _learned_weights(x, o):
    value, _, _ = _teachers(x, o, "learned")
    return value, {"weights": torch.softmax(x["w"], 0)}


@runs("amtml")
def _amtml(x, o):
    value, zt, temperature = _teachers(x, o, "instance")
    weights = instance_weights(x["h"], x["v"], numbered(x, "theta"))
    target = torch.einsum("bk,kbc->bc", weights, torch.softmax(zt / temperature, -1))
    return value, {"weights": weights, "target": target}


@runs("aekd")
def _aekd(x, o):
    way = "min_norm_directions" if o.get("norm", False) else "min_norm"
    value, zt, temperature = _teachers(x, o, way, nu=o.get("nu", -1))
    alpha = min_norm_weights(
        zt, x["zs"], temperature=temperature, nu=o.get("nu", -1), normalises=o.get("norm", False)
    )
    return value, {"alpha": alpha[:, 0]}


@runs("camkd_inter")
def _camkd_inter(x, o):
    ours, theirs = numbered(x, "fs"), numbered(x, "ft")
    heads = numbered(x, "zs_head")
    count = len(ours)
    signals = {f"adapted{n}": f for n, f in enumerate(ours)}
    signals |= {f"teacher{n}": f for n, f in enumerate(theirs)}
    signals |= {f"head{n}": z for n, z in enumerate(heads)}
    edge = losses_edge_of_features(count)
    weights = confidence_weights(torch.stack(heads), x["y"])
    return total((edge,), signals, x["y"]), {"weights": weights}


def losses_edge_of_features(count: int) -> Edge:
    from hwkd.distill.scheme import Aggregate

    return Edge(
        name="features", loss=losses.squared_difference,
        prediction=tuple(f"adapted{n}" for n in range(count)),
        target=tuple(f"teacher{n}" for n in range(count)),
        weigh=Aggregate(
            by=confidence_weights, members=tuple(f"head{n}" for n in range(count)), of_labels=True
        ),
        weight=1.0 / count, attached=True,
    )  # fmt: skip


# --- staged


@runs("takd")
def _takd(x, o):
    edges = link_edges(o["lam"], o["temperature"])
    return total(edges, {"student.logits": x["zs"], "before.logits": x["zt"]}, x["y"]), {}


@runs("chain_sizes")
def _chain_sizes(x, o):
    return None, {"sizes": sizes.chain_sizes(o["teacher"], o["student"], o["assistants"])}


@runs("rco_schedule")
def _rco_schedule(x, o):
    interval = o["interval"]
    anchors = copies.anchor_epochs(o["teacher_epochs"], interval)
    in_use = [copies.anchor_in_use(e, interval, len(anchors)) for e in range(o["student_epochs"])]
    return None, {"anchor_epochs": anchors, "anchor_of_student_epoch": in_use}


@runs("rocket")
def _rocket(x, o):
    edges = (
        scheme("rocket", gamma=o["gamma"], gradient_block=o.get("gradient_block", True))
        .phases()[0]
        .edges
    )
    signals = {"student.logits": x["zs"], "booster.logits": x["z_boost"]}
    return total(edges, signals, x["y"]), {}


# --- without data, adversarial


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


# --- quantised, cross-modal, lifelong, federated


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


# --- augmentation and search


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


__all__ = ["RUNNERS", "entropies", "runner_of"]
