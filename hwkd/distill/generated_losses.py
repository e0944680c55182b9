"""What makes inputs that a frozen teacher learned from: losses of generators and of pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.likeliest import likeliest
from hwkd.distill.losses.of_classes import label_loss

# Probabilities are kept in this range where their logarithm is taken, as the public code does.
_RANGE = (0.01, 0.99)


def one_hot_loss(logits: Tensor) -> Tensor:
    """Return the teacher's cross-entropy with its own answer: samples should look like a class."""
    return label_loss(logits, likeliest(logits)).mean()


def class_balance(logits: Tensor, *, log_base: float = math.e) -> Tensor:
    """Return sum p log p of the batch's mean probability p: least where all classes are made.

    Source:
        DAFL, Chen et al. 2019, arXiv:1904.01186; public code has base 10.
    """
    mean = torch.softmax(logits, 1).mean(0)
    return (mean * mean.log()).sum() / math.log(log_base)


def activation_size(features: Tensor) -> Tensor:
    """Return - mean |feature|: the teacher should have much to say of what was made."""
    return -features.abs().mean()


def statistics_distance(
    inputs: Sequence[Tensor],
    means: Sequence[Tensor],
    variances: Sequence[Tensor],
    *,
    first_multiplier: float = 1.0,
) -> Tensor:
    """Return how far batch statistics are from those that normalisations remember.

    Args:
        inputs: of each normalisation, shape [batch, channels, ...].
        means: remembered, shape [channels].
        variances: remembered.
        first_multiplier: weight of the first layer; 10 for large images.

    Source:
        DeepInversion, Yin et al. 2020, arXiv:1912.08795.
    """
    total = []
    for index, (x, mean, variance) in enumerate(zip(inputs, means, variances, strict=True)):
        axes = [axis for axis in range(x.dim()) if axis != 1]
        distance = torch.linalg.vector_norm(
            x.var(axes, unbiased=False) - variance
        ) + torch.linalg.vector_norm(x.mean(axes) - mean)
        total.append(distance * (first_multiplier if index == 0 else 1.0))
    return torch.stack(total).sum()


def smoothness(
    images: Tensor, *, tv_l1: float = 0.0, tv_l2: float = 0.0, l2: float = 0.0
) -> Tensor:
    """Return what keeps made images smooth and small: see the arguments.

    Args:
        images: shape [batch, channels, height, width].
        tv_l1: weight of the mean absolute differences right, down and along both diagonals.
        tv_l2: weight of the norms of these differences, over the whole batch.
        l2: weight of the mean norm of an image.
    """
    differences = (
        images[:, :, :, :-1] - images[:, :, :, 1:],
        images[:, :, :-1, :] - images[:, :, 1:, :],
        images[:, :, 1:, :-1] - images[:, :, :-1, 1:],
        images[:, :, :-1, :-1] - images[:, :, 1:, 1:],
    )
    absolute = torch.stack([d.abs().mean() for d in differences]).sum()
    norms = torch.stack([torch.linalg.vector_norm(d) for d in differences]).sum()
    size = torch.linalg.vector_norm(images.flatten(1), dim=1).mean()
    total: Tensor = tv_l1 * absolute + tv_l2 * norms + l2 * size
    return total


def competition(student: Tensor, teacher: Tensor, *, temperature: float, weight: float) -> Tensor:
    """Return weight (1 - Jensen-Shannon divergence): images on which student and teacher differ.

    Source:
        Adaptive DeepInversion, Yin et al. 2020, arXiv:1912.08795.
    """
    ours, theirs = (torch.softmax(z / temperature, 1) for z in (student, teacher))
    middle = ((ours + theirs) / 2).clamp(*_RANGE)
    ours, theirs = ours.clamp(*_RANGE), theirs.clamp(*_RANGE)
    both = [(middle * (middle.log() - each.log())).sum() for each in (ours, theirs)]
    divergence = torch.stack(both).sum() / 2 / len(student)
    return weight * (1.0 - divergence.clamp(0.0, 1.0))


def boundary_step(
    inputs: Tensor,
    logits: Tensor,
    gradient: Tensor,
    *,
    base: Tensor,
    target: Tensor,
    step: float,
    limits: tuple[float, float],
) -> Tensor:
    """Move samples towards the boundary between their class and a target class.

    Args:
        inputs: shape [batch, ...].
        logits: of the teacher, shape [batch, classes].
        gradient: of the target's score less the base's by the inputs.
        base: class of each sample before the first step.
        target: class to go to.
        step: share of the way, by the difference of scores.
        limits: range of the data.

    Returns:
        The moved samples; those that already left their class stay.

    Source:
        BSS, Heo et al. 2019, arXiv:1805.05532.
    """
    rows = torch.arange(len(inputs), device=inputs.device)
    shape = (-1, *[1] * (inputs.dim() - 1))
    gap = (logits[rows, base] - logits[rows, target]).reshape(shape)
    norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1).reshape(shape)
    moved = (inputs + step * (gap + 1e-4) * gradient / norm).clamp(*limits)
    return torch.where((likeliest(logits) == base).reshape(shape), moved, inputs)


def mean_softened_distance(logits: Tensor, target: Tensor) -> Tensor:
    """Return KL at temperature 1 divided by the number of classes too, as ZSKT ran it."""
    log_ours, log_theirs = (functional.log_softmax(z, 1) for z in (logits, target))
    return (log_theirs.exp() * (log_theirs - log_ours)).mean()
