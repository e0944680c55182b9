"""What an edge of a scheme minimises: pure functions of a prediction and a target.

A value for each sample, or one for the batch. Nothing is detached in here: the edge decides.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from hwkd.core.likeliest import likeliest
from hwkd.distill.kernels import flat, length, unit
from hwkd.distill.losses.of_classes import divergence, label_loss, soft_cross_entropy


def agreement(ours: Tensor, theirs: Tensor) -> Tensor:
    """Return - KL of each sample, bounded: a generator lowers it where two networks differ.

    Args:
        ours: logits, shape [batch, classes].
        theirs: likewise; nothing is detached.
    """
    # The logarithm keeps it from making one sample very large and nothing of the others.
    return -torch.log1p(divergence(ours, theirs))


def old_head_loss(
    logits: Tensor, target: Tensor, *, temperature: float, eps: float = 0.0
) -> Tensor:
    """Return the soft cross-entropy of old heads, of each sample, without the factor T squared.

    Args:
        logits: of the old classes, shape [batch, classes].
        target: of the network before, likewise.
        temperature: of both, > 0.
        eps: shared evenly over our probabilities before the logarithm, as a public code does.

    Source:
        LwF, Li and Hoiem 2016, arXiv:1606.09282.
    """
    if not eps:
        return soft_cross_entropy(logits, target, temperature=temperature, scaled=False)
    ours = torch.softmax(logits / temperature, -1) + eps / logits.shape[-1]
    ours = ours / ours.sum(-1, keepdim=True)
    return -(torch.softmax(target / temperature, -1) * ours.log()).sum(-1)


def teacher_softened(logits: Tensor, target: Tensor, *, temperature: float) -> Tensor:
    """Return KL to a target that alone is softened, of each sample, nats."""
    return divergence(logits, target / temperature)


def probability_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of each sample with the probabilities of the target."""
    return -(target * functional.log_softmax(logits, -1)).sum(-1)


def absolute_difference(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of each sample."""
    return flat((values - target).abs()).mean(1)


def squared_difference(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of each sample."""
    return flat((values - target).square()).mean(1)


def squared_distance(values: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of each sample: a sum over its elements."""
    return flat((values - target).square()).sum(1)


def half_squared_distance(values: Tensor, target: Tensor) -> Tensor:
    """Return half of `squared_distance`."""
    return squared_distance(values, target) / 2


def where_active(values: Tensor, target: Tensor) -> Tensor:
    """Return `squared_distance` over the elements where either is above 0."""
    is_active = ((values > 0) | (target > 0)).to(values.dtype)
    return flat((values - target).square() * is_active).sum(1)


def mean_distance(values: Tensor, target: Tensor) -> Tensor:
    """Return the squared distance of the batch means, one number."""
    return (values.mean(0) - target.mean(0)).square().sum()


def shallow_attention(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of attention, softmax over positions, of each sample.

    Args:
        values: shallower map, shape [batch, channels, height, width].
        target: deeper map, which is resized to the shallower.
    """
    theirs = target.square().sum(1, keepdim=True)
    if theirs.shape[2:] != values.shape[2:]:
        theirs = functional.interpolate(
            theirs, size=values.shape[2:], mode="bilinear", align_corners=False
        )
    ours = torch.softmax(flat(values.square().sum(1)), 1)
    return (ours - torch.softmax(flat(theirs), 1)).square().mean(1)


def binary_divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Return the sum over classes of the binary cross-entropy of sigmoids, of each sample."""
    found = functional.binary_cross_entropy_with_logits(
        logits, torch.sigmoid(target), reduction="none"
    )
    return found.sum(-1)


def pooled_difference(values: Tensor, target: Tensor, *, collapse: str = "spatial") -> Tensor:
    """Return the distance of normalised sums of squares of each sample.

    Args:
        values: shape [batch, channels, height, width].
        target: likewise.
        collapse: `spatial` sums over width and over height, `channels` over channels, `gap` is the
            mean over positions.

    Raises:
        ValueError: for another `collapse`.

    Source:
        PODNet, Douillard et al. 2020, arXiv:2004.13513.
    """
    return length(
        unit(_pooled(values, collapse), dim=1) - unit(_pooled(target, collapse), dim=1), dim=1
    )


def _pooled(maps: Tensor, collapse: str) -> Tensor:
    squares = maps.square()
    if collapse == "spatial":
        return torch.cat([flat(squares.sum(3)), flat(squares.sum(2))], 1)
    if collapse == "channels":
        return flat(squares.sum(1))
    if collapse == "gap":
        return squares.mean((2, 3))
    raise ValueError(f"collapse={collapse!r} must be spatial, channels or gap")


def cosine_distance(values: Tensor, target: Tensor) -> Tensor:
    """Return 1 - cosine of each sample."""
    return 1.0 - functional.cosine_similarity(values, target, dim=1)


def attention_mismatch(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared difference of normalised channel means of squares, of each sample."""
    ours, theirs = (unit(flat(maps.square().mean(1)), dim=1) for maps in (values, target))
    return (ours - theirs).square().mean(1)


def fooled(score: Tensor) -> Tensor:
    """Return the least-squares loss of whoever is to look real to a discriminator."""
    return flat((1.0 - score).square()).mean(1)


def unmasked(score: Tensor) -> Tensor:
    """Return the least-squares loss of a discriminator at what is not real."""
    return flat(score.square()).mean(1)


def looks_real(score: Tensor) -> Tensor:
    """Return the logistic loss of whoever is to look real, of each sample, nats."""
    return flat(functional.softplus(-score)).mean(1)


def looks_made(score: Tensor) -> Tensor:
    """Return the logistic loss of a discriminator at what is not real, of each sample, nats."""
    return flat(functional.softplus(score)).mean(1)


def sampled_label_loss(logits: Tensor, sampled: Tensor, reward: Tensor) -> Tensor:
    """Return - log p of a sampled label times sigmoid(reward), which is a constant.

    Source:
        The policy gradient of KDGAN, Wang et al., NeurIPS 2018.
    """
    return label_loss(logits, sampled) * torch.sigmoid(reward).detach()


def expected_label_loss(logits: Tensor, scores: Tensor) -> Tensor:
    """Return the mean of `sampled_label_loss` over the labels that are sampled.

    Args:
        logits: whoever samples, shape [batch, classes].
        scores: a discriminator's, of every label, likewise.
    """
    shares = torch.softmax(logits, -1).detach()
    rewards = torch.sigmoid(scores).detach()
    return -(shares * rewards * functional.log_softmax(logits, -1)).sum(-1)


def called_true(scores: Tensor, labels: Tensor) -> Tensor:
    """Return the loss of a discriminator at true labels, of each sample, nats."""
    return functional.softplus(-scores.gather(1, labels[:, None])[:, 0])


def called_made(scores: Tensor, logits: Tensor) -> Tensor:
    """Return its mean loss at labels that are sampled from logits, of each sample, nats."""
    return (torch.softmax(logits, -1) * functional.softplus(scores)).sum(-1)


def telling_apart(real: Tensor, student: Tensor, teacher: Tensor, *, share: float) -> Tensor:
    """Return the loss of a discriminator of labels by who gave them, of each sample, nats.

    Args:
        real: scores of true labels.
        student: scores of the student's.
        teacher: scores of the teacher's.
        share: of the student among what is not real, 0 to 1.
    """
    made = share * functional.softplus(student) + (1 - share) * functional.softplus(teacher)
    return functional.softplus(-real) + made


def permuted_rest(logits: Tensor, permutation: Tensor) -> Tensor:
    """Return the probabilities of a target whose classes but the likeliest are permuted.

    Args:
        logits: shape [batch, classes].
        permutation: of the other classes in order, shape [classes - 1] or [batch, classes - 1].

    Source:
        DKPP, a control of Furlanello et al. 2018, arXiv:1805.04770.
    """
    shares = torch.softmax(logits, -1)
    top = likeliest(shares)[:, None]
    batch, classes = shares.shape
    places = torch.arange(classes, device=logits.device).expand(batch, -1)
    others = places[places != top].reshape(batch, classes - 1)
    order = permutation.expand(batch, -1)
    return shares.scatter(1, others, shares.gather(1, others.gather(1, order)))


def relative_difference(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference in standard deviations of the target, one number."""
    return (values - target).abs().mean() / target.std(unbiased=False)
