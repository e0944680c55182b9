"""Maps a golden case to our functions by its `method` and `hyperparameters`, never by its name.

A runner takes the case's inputs as tensors and its hyperparameters and returns the loss and any
further outputs that the case may list. A hyperparameter that a case leaves out has the default of
the public code; `Options` remembers which ones were read, so that a failure can name the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.distill.kernels import pool_to_common_size
from hwkd.distill.losses.activation_boundary import (
    activation_boundary_loss,
    boundary_layer_weight,
    partial_l2_loss,
)
from hwkd.distill.losses.attention_transfer import attention_transfer_loss
from hwkd.distill.losses.contrastive import ContrastMemory
from hwkd.distill.losses.correlation import consecutive_correlation_loss
from hwkd.distill.losses.dense import channel_wise_loss, pearson_feature_loss
from hwkd.distill.losses.discrepancy import neuron_selectivity_loss
from hwkd.distill.losses.dist import dist_losses
from hwkd.distill.losses.dkd import decoupled_target_losses
from hwkd.distill.losses.factor import attention_factor, factor_loss
from hwkd.distill.losses.fitnet import hint_loss
from hwkd.distill.losses.gjs import jensen_shannon_loss
from hwkd.distill.losses.gram import flow_loss
from hwkd.distill.losses.input_gradient import gradient_by_input, jacobian_loss
from hwkd.distill.losses.irg import graph_loss, transform_loss
from hwkd.distill.losses.label_aware import (
    corrected_target_loss,
    one_for_all_loss,
    weighted_soft_label_loss,
)
from hwkd.distill.losses.lskd import standardised_target_loss
from hwkd.distill.losses.multi_level import class_correlation_loss, peer_target_loss
from hwkd.distill.losses.pkt import probabilistic_transfer_loss
from hwkd.distill.losses.review import pyramid_loss
from hwkd.distill.losses.rkd import angle_loss, distance_loss
from hwkd.distill.losses.semckd import cross_layer_loss
from hwkd.distill.losses.similarity import similarity_loss
from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.distill.losses.svd import singular_vector_loss
from hwkd.distill.losses.teacher_free import self_teacher_loss, virtual_teacher_loss
from hwkd.distill.losses.vid import variational_information_loss


class Options(Mapping[str, Any]):
    """The hyperparameters of a case, and which of them a runner has looked at."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        """Nothing is read yet."""
        self._given = given
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """Return one and remember it."""
        self._read.add(name)
        return self._given[name]

    def __iter__(self) -> Iterator[str]:
        """Go over the names."""
        return iter(self._given)

    def __len__(self) -> int:
        """Count them."""
        return len(self._given)

    def unread(self) -> dict[str, Any]:
        """Return those that no runner looked at."""
        return {name: value for name, value in self._given.items() if name not in self._read}


Inputs = Mapping[str, Tensor]
Outputs = Mapping[str, Any]
Runner = Callable[[Inputs, Options, Outputs], tuple[Tensor, dict[str, Tensor]]]


def _taps(inputs: Inputs, letter: str) -> list[Tensor]:
    numbers = sorted(int(n[1:]) for n in inputs if n[0] == letter and n[1:].isdigit())
    return [inputs[f"{letter}{number}"] for number in numbers]


def _kd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return soft_target_loss(i["zs"], i["zt"], h["T"]), {}


def _dkd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    target, others = decoupled_target_losses(i["zs"], i["zt"], i["y"], h["T"])
    return h.get("alpha", 1.0) * target + h.get("beta", 8.0) * others, {}


def _dist(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    over_classes, over_batch = dist_losses(i["zs"], i["zt"], h["tau"])
    return h.get("beta", 1.0) * over_classes + h.get("gamma", 1.0) * over_batch, {}


def _lskd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return standardised_target_loss(i["zs"], i["zt"], h["T"]), {}


def _fitnet(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    features = i["fs"]
    if "w" not in i:
        return hint_loss(features, i["ft"]), {}
    adapted = _regress(features, i["ft"], i["w"], i.get("b"))
    if "bn_weight" in i:
        adapted = functional.batch_norm(
            adapted, None, None, i["bn_weight"], i["bn_bias"], training=True, eps=1e-5
        )
    if h.get("use_relu", True):
        adapted = adapted.relu()
    return hint_loss(adapted, i["ft"]), {"adapted": adapted}


def _regress(features: Tensor, target: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve as RepDistiller's regressor does: by stride, transposed, or without padding."""
    if features.shape[2] == 2 * target.shape[2]:
        return functional.conv2d(features, weight, bias, stride=2, padding=1)
    if 2 * features.shape[2] == target.shape[2]:
        return functional.conv_transpose2d(features, weight, bias, stride=2, padding=1)
    return functional.conv2d(features, weight, bias)


def _at(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    form = "norm" if h.get("mode") == "paper" else "squared"
    return _over_pairs(
        i, lambda s, t: attention_transfer_loss(s, t, p=h.get("p", 2), form=form)
    ), {}


def _over_pairs(i: Inputs, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    student = [i["fs"]] if "fs" in i else _taps(i, "s")
    teacher = [i["ft"]] if "ft" in i else _taps(i, "t")
    return torch.stack([loss(s, t) for s, t in zip(student, teacher, strict=True)]).sum()


def _sp(i: Inputs, _: Options, __: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return _over_pairs(i, similarity_loss), {}


def _cc(i: Inputs, _: Options, __: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return consecutive_correlation_loss(i["fs"], i["ft"]), {}


def _pkt(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return probabilistic_transfer_loss(i["fs"], i["ft"], eps=h.get("eps", 1e-7)), {}


def _nst(i: Inputs, _: Options, __: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return _over_pairs(i, neuron_selectivity_loss), {}


def _consecutive(
    i: Inputs, loss: Callable[[tuple[Tensor, Tensor], tuple[Tensor, Tensor]], Tensor]
) -> Tensor:
    s, t = _taps(i, "s"), _taps(i, "t")
    return torch.stack([loss((s[n], s[n + 1]), (t[n], t[n + 1])) for n in range(len(s) - 1)]).sum()


def _fsp(i: Inputs, _: Options, __: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return _consecutive(i, flow_loss), {}


def _svd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return _consecutive(i, lambda s, t: singular_vector_loss(s, t, vectors=h.get("k", 1))), {}


def _rkd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    distance, angle = distance_loss(i["fs"], i["ft"]), angle_loss(i["fs"], i["ft"])
    return h.get("w_d", 25) * distance + h.get("w_a", 50) * angle, {}


def _vid(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    features, target = pool_to_common_size(i["fs"], i["ft"])
    layers = _taps(i, "w")
    for index, weight in enumerate(layers):
        features = functional.conv2d(features, weight)
        features = features if index == len(layers) - 1 else features.relu()
    return variational_information_loss(
        features, i["log_scale"], target, eps=h.get("eps", 1e-5)
    ), {}


def _crd(i: Inputs, h: Options, outputs: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    samples, dim = i["memory_v1"].shape
    memory = ContrastMemory(
        samples, dim, temperature=h.get("nce_t", 0.07), momentum=h.get("nce_m", 0.5), seed=0
    ).double()
    memory.student.copy_(i["memory_v1"].detach())
    memory.teacher.copy_(i["memory_v2"].detach())
    embedded = [
        functional.normalize(functional.linear(i[f], i[w], i[b]), dim=1)
        for f, w, b in (("fs", "w_s", "b_s"), ("ft", "w_t", "b_t"))
    ]
    # A case may be a later call on the same batch; the memory that it leaves behind tells which.
    wanted = torch.from_numpy(outputs["memory_v1_after"])
    for _ in range(10):
        loss = memory(*embedded, i["idx"], i["contrast_idx"])
        if torch.allclose(memory.student, wanted, rtol=1e-9, atol=1e-12):
            break
    return loss, {
        "Z": memory.normalisers,
        "memory_v1_after": memory.student,
        "memory_v2_after": memory.teacher,
    }


def _ab(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    student, teacher = _taps(i, "s"), _taps(i, "t")
    layers = h.get("feat_num", len(student))
    losses = [
        activation_boundary_loss(s, t, margin=h.get("margin", 1.0))
        * boundary_layer_weight(n, layers)
        for n, (s, t) in enumerate(zip(student, teacher, strict=True))
    ]
    return torch.stack(losses).sum(), {}


def _ft(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    if "p1" not in h:
        return factor_loss(i["fs"], i["ft"]), {}
    student, teacher = pool_to_common_size(i["fs"], i["ft"])
    ours, theirs = (attention_factor(maps, p=h["p1"]) for maps in (student, teacher))
    return factor_loss(ours, theirs, p=h.get("p2", 1)), {}


def _cskd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    pull = soft_target_loss(i["z1"], i["z2"], h["temp"])
    return functional.cross_entropy(i["z1"], i["y"]) + h.get("lamda", 1.0) * pull, {"cls": pull}


def _tfkd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    if "zt" in i:
        targets = self_teacher_loss(i["zs"], i["zt"], h["T"])
    else:
        targets = virtual_teacher_loss(
            i["zs"], i["y"], temperature=h["T"], correct_probability=h.get("correct_prob", 0.99)
        )
    hard = functional.cross_entropy(i["zs"], i["y"])
    return (1 - h["alpha"]) * hard + h["alpha"] * h.get("multiplier", 1.0) * targets, {}


def _ofd(i: Inputs, _: Options, __: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return partial_l2_loss(i["fs"], i["ft"], i["margin"]), {}


def _reviewkd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    levels = tuple(h.get("levels", (4, 2, 1)))
    return _over_pairs(i, lambda s, t: pyramid_loss(s, t, levels=levels)), {}


def _irg(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    graph = graph_loss(i["fs"], i["ft"])
    change = transform_loss((i["a"], i["b"]), (i["c"], i["d"])) if "a" in i else graph * 0
    return h.get("w_graph", 1) * graph + h.get("w_transform", 1) * change, {}


def _semckd(i: Inputs, _: Options, __: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    layers = range(i["w"].shape[1]), range(i["w"].shape[2])
    student, teacher = (
        [[i[f"{letter}{a}{b}"] for b in layers[1]] for a in layers[0]] for letter in "st"
    )
    return cross_layer_loss(i["w"], student, teacher), {}


def _jacobian(i: Inputs, _: Options, __: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    x = i["x"].detach().requires_grad_()
    gradients = [
        gradient_by_input(
            (x @ weights.T).tanh().gather(1, i["y"][:, None])[:, 0], x, keeps_graph=True
        )
        for weights in (i["ws"], i["wt"])
    ]
    return jacobian_loss(*gradients), {}


def _okddip(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return peer_target_loss(i["zs"], i["zt"], h["T"]), {}


def _mlkd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return class_correlation_loss(i["zs"], i["zt"], h["T"]), {}


def _cwd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return channel_wise_loss(i["fs"], i["ft"], temperature=h["tau"]), {}


def _pkd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    student, teacher = i["fs"], i["ft"]
    # The public code resizes maps before it compares them; the formula is for equal sizes.
    if student.shape[2:] != teacher.shape[2:] and h.get("resize_stu", True):
        student = functional.interpolate(student, teacher.shape[2:], mode="bilinear")
    elif student.shape[2:] != teacher.shape[2:]:
        teacher = functional.interpolate(teacher, student.shape[2:], mode="bilinear")
    return h.get("loss_weight", 1.0) * pearson_feature_loss(student, teacher), {}


def _wsld(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return weighted_soft_label_loss(i["zs"], i["zt"], i["y"], h["tau"]), {}


def _ofa(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return one_for_all_loss(
        i["zs"], i["zt"], i["y"], eps=h.get("eps", 1.0), temperature=h.get("T", 1.0)
    ), {}


def _gkd(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    labels = i.get("labels")
    mean = jensen_shannon_loss(
        i["s"],
        i["t"],
        beta=h.get("beta", 0.5),
        temperature=h.get("temperature", 1.0),
        labels=labels,
    )
    positions = i["s"].shape[:-1].numel() if labels is None else int((labels != -100).sum())
    # Ours is the mean over positions; the reference also knows the sum, the mean over every element
    # and, without labels, the sum over positions divided by the batch alone.
    factors = {
        "sum": float(positions),
        "mean": 1 / i["s"].shape[-1],
        "batchmean": positions / len(i["s"]) if labels is None else 1.0,
    }
    return mean * factors[h.get("reduction", "batchmean")], {}


def _mft(i: Inputs, h: Options, _: Outputs) -> tuple[Tensor, dict[str, Tensor]]:
    return corrected_target_loss(
        i["zs"], i["zt"], i["y"], threshold=h.get("threshold", 0.2), temperature=h["T"]
    ), {}


RUNNERS: Mapping[str, Runner] = MappingProxyType(
    {
        "ab": _ab, "at": _at, "cc": _cc, "crd": _crd, "cskd": _cskd, "cwd": _cwd, "dist": _dist,
        "dkd": _dkd, "dml": _kd, "fitnet": _fitnet, "fsp": _fsp, "ft": _ft, "gkd": _gkd,
        "irg": _irg, "jacobian": _jacobian, "kd": _kd, "lskd": _lskd, "mft": _mft, "mlkd": _mlkd,
        "nst": _nst, "ofa": _ofa, "ofd": _ofd, "okddip": _okddip, "pkd": _pkd, "pkt": _pkt,
        "reviewkd": _reviewkd, "rkd": _rkd, "semckd": _semckd, "sp": _sp, "svd": _svd,
        "tfkd": _tfkd, "vid": _vid, "wsld": _wsld,
    }
)  # fmt: skip


def runner_of(method: str) -> Runner:
    """Return what computes a method's cases.

    Raises:
        AssertionError: if there is none; a case is never left out.
    """
    assert method in RUNNERS, f"no function of ours is mapped to method {method!r}"
    return RUNNERS[method]
