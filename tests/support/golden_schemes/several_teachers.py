"""Schemes of several finished teachers, and chains of teachers."""

from __future__ import annotations

import torch

from hwkd.distill import edge_losses as losses
from hwkd.distill.aggregators.confidence import confidence_weights
from hwkd.distill.aggregators.entropy import entropy_weights
from hwkd.distill.aggregators.instance_weights import instance_weights
from hwkd.distill.aggregators.lowest_error import selected
from hwkd.distill.aggregators.mean import mean_probability
from hwkd.distill.aggregators.min_norm import min_norm_weights
from hwkd.distill.scheme import Edge
from hwkd.distill.schemes.multi_teacher import teachers_edge
from hwkd.distill.schemes.takd import link_edges
from hwkd.distill.timetables import copies, sizes
from support.golden_schemes.runners import logits, numbered, runs, scheme, total


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
