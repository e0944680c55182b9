"""What each loss must not see: shifts, scales, rotations, permutations; and closed-form limits."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hwkd.distill.losses.attention_transfer import attention_transfer_loss
from hwkd.distill.losses.correlation import kernel_correlation_loss
from hwkd.distill.losses.discrepancy import gaussian_discrepancy_loss, neuron_selectivity_loss
from hwkd.distill.losses.dist import dist_losses
from hwkd.distill.losses.dkd import decoupled_target_losses
from hwkd.distill.losses.gjs import jensen_shannon_loss
from hwkd.distill.losses.gram import channel_correlation_loss
from hwkd.distill.losses.label_aware import corrected_probabilities
from hwkd.distill.losses.local_embedding import local_embedding_loss, mixing_weights
from hwkd.distill.losses.logit_mse import logit_mse_loss
from hwkd.distill.losses.lskd import standardise_logits, standardised_target_loss
from hwkd.distill.losses.pkt import probabilistic_transfer_loss
from hwkd.distill.losses.rkd import angle_loss, distance_loss
from hwkd.distill.losses.similarity import similarity_loss
from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.distill.losses.svd import channel_vectors, singular_vector_loss
from hwkd.distill.losses.weight_matching import truncate_rank, weight_matching_loss

Loss = Callable[[Tensor, Tensor], Tensor]
quick = settings(max_examples=20, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31 - 1)


def _normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _close(first: Tensor, second: Tensor) -> bool:
    return bool(torch.isclose(first, second, rtol=1e-8, atol=1e-10))


def _rotation(seed: int, size: int) -> Tensor:
    return torch.linalg.qr(_normal(seed, size, size))[0]


@given(seeds, st.floats(-50, 50), st.floats(0.5, 10))
@quick
def test_soft_targets_ignore_a_constant_added_to_logits(
    seed: int, shift: float, temperature: float
) -> None:
    zs, zt = _normal(seed, 6, 7), _normal(seed + 1, 6, 7)
    assert _close(
        soft_target_loss(zs, zt, temperature),
        soft_target_loss(zs + shift, zt - shift, temperature),
    )
    centred = logit_mse_loss(zs + shift, zt, centred=True)
    assert _close(centred, logit_mse_loss(zs, zt, centred=True))


@given(seeds)
@quick
def test_soft_targets_tend_to_centred_regression_at_high_temperature(seed: int) -> None:
    zs, zt = _normal(seed, 6, 7), _normal(seed + 1, 6, 7)
    difference = (zs - zs.mean(1, keepdim=True)) - (zt - zt.mean(1, keepdim=True))
    limit = difference.square().sum(1).mean() / (2 * 7)
    assert torch.isclose(soft_target_loss(zs, zt, 1e4), limit, rtol=1e-3)


@given(seeds, st.floats(0.01, 100), st.floats(-50, 50))
@quick
def test_standardised_targets_ignore_affine_maps_of_rows(
    seed: int, scale: float, shift: float
) -> None:
    zs, zt = _normal(seed, 6, 7), _normal(seed + 1, 6, 7)
    # The 1e-7 in the published formula breaks the invariance by that much.
    assert torch.isclose(
        standardised_target_loss(zs, zt),
        standardised_target_loss(scale * zs + shift, zt / scale - shift),
        rtol=1e-4,
    )


@given(seeds)
@quick
def test_standardised_logits_have_unbiased_deviation_one(seed: int) -> None:
    rows = standardise_logits(_normal(seed, 6, 7))
    assert torch.allclose(rows.std(1), torch.ones(6, dtype=torch.float64), atol=1e-6)


@given(seeds, st.floats(0.1, 10))
@quick
def test_dist_ignores_scale_and_shift_of_probabilities(seed: int, scale: float) -> None:
    from hwkd.distill.kernels import pearson

    ps, pt = _normal(seed, 6, 7).softmax(1), _normal(seed + 1, 6, 7).softmax(1)
    plain = pearson(ps, pt, eps=0.0)
    assert torch.allclose(plain, pearson(scale * ps + 3.0, pt, eps=0.0), rtol=1e-8)
    assert plain.abs().max() <= 1 + 1e-9


def test_dist_penalises_opposite_predictions() -> None:
    zt = _normal(0, 6, 7)
    near = [float(v) for v in dist_losses(zt, zt)]
    far = [float(v) for v in dist_losses(-zt, zt)]
    assert near[0] < 1e-5 < far[0]
    assert near[1] < 1e-5 < far[1]


@given(seeds, st.floats(1, 8))
@quick
def test_decoupled_terms_recombine_into_soft_targets(seed: int, temperature: float) -> None:
    """KD = TCKD + (1 - p_t[y]) * NCKD, sample by sample (Zhao et al. 2022, equation 5)."""
    zs, zt = _normal(seed, 1, 7), _normal(seed + 1, 1, 7)
    y = torch.tensor([seed % 7])
    target, others = decoupled_target_losses(zs, zt, y, temperature)
    p_true = (zt / temperature).softmax(1)[0, y[0]]
    assert _close(target + (1 - p_true) * others, soft_target_loss(zs, zt, temperature))


def test_decoupled_others_are_zero_for_two_classes() -> None:
    y = torch.tensor([0, 1, 1])
    target, others = decoupled_target_losses(_normal(0, 3, 2), _normal(1, 3, 2), y)
    assert float(others) == 0.0
    assert _close(target, soft_target_loss(_normal(0, 3, 2), _normal(1, 3, 2), 4.0))


@given(seeds, st.floats(0.05, 0.95))
@quick
def test_jensen_shannon_is_bounded_and_symmetric_under_exchange(seed: int, beta: float) -> None:
    zs, zt = 5 * _normal(seed, 6, 7), 5 * _normal(seed + 1, 6, 7)
    value = jensen_shannon_loss(zs, zt, beta=beta)
    assert 0 <= float(value) <= math.log(2) + 1e-9
    assert _close(value, jensen_shannon_loss(zt, zs, beta=1 - beta))


def test_jensen_shannon_ends_are_forward_and_reverse_divergence() -> None:
    zs, zt = _normal(0, 6, 7), _normal(1, 6, 7)
    assert _close(jensen_shannon_loss(zs, zt, beta=0.0), soft_target_loss(zs, zt, 1.0))
    assert _close(jensen_shannon_loss(zs, zt, beta=1.0), soft_target_loss(zt, zs, 1.0))


def test_jensen_shannon_of_masked_positions_only_is_zero() -> None:
    labels = torch.full((2, 3), -100)
    value = jensen_shannon_loss(_normal(0, 2, 3, 5), _normal(1, 2, 3, 5), labels=labels)
    assert float(value) == 0.0


ROTATABLE: dict[str, Loss] = {
    "sp": similarity_loss,
    "pkt": probabilistic_transfer_loss,
    "rkd distance": distance_loss,
    "rkd angle": angle_loss,
    "cc gaussian": kernel_correlation_loss,
}


@pytest.mark.parametrize("name", ROTATABLE)
@given(seed=seeds)
@quick
def test_relations_ignore_rotations_of_embeddings(name: str, seed: int) -> None:
    fs, ft = _normal(seed, 6, 5), _normal(seed + 1, 6, 8)
    loss = ROTATABLE[name]
    turned = loss(fs @ _rotation(seed + 2, 5), ft @ _rotation(seed + 3, 8))
    assert _close(loss(fs, ft), turned)


@pytest.mark.parametrize("name", ["sp", "pkt", "rkd distance", "rkd angle", "cc gaussian"])
@given(seed=seeds)
@quick
def test_relations_ignore_the_order_of_samples(name: str, seed: int) -> None:
    fs, ft = _normal(seed, 6, 5), _normal(seed + 1, 6, 8)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    assert _close(ROTATABLE[name](fs, ft), ROTATABLE[name](fs[order], ft[order]))


MAP_LOSSES: dict[str, Loss] = {
    "at": attention_transfer_loss,
    "nst": neuron_selectivity_loss,
    "mmd": gaussian_discrepancy_loss,
}


@pytest.mark.parametrize("name", MAP_LOSSES)
@given(seed=seeds)
@quick
def test_map_losses_ignore_the_order_of_channels(name: str, seed: int) -> None:
    fs, ft = _normal(seed, 3, 5, 4, 3), _normal(seed + 1, 3, 7, 4, 3)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
    assert _close(MAP_LOSSES[name](fs, ft), MAP_LOSSES[name](fs[:, order], ft))


@pytest.mark.parametrize("name", ["nst", "mmd"])
@given(seed=seeds)
@quick
def test_discrepancies_ignore_the_order_of_positions(name: str, seed: int) -> None:
    fs, ft = _normal(seed, 3, 5, 4, 3), _normal(seed + 1, 3, 7, 4, 3)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    moved = [f.flatten(2)[:, :, order].reshape(f.shape) for f in (fs, ft)]
    assert _close(MAP_LOSSES[name](fs, ft), MAP_LOSSES[name](*moved))


@pytest.mark.parametrize("name", MAP_LOSSES)
def test_wide_and_tall_maps_of_equal_height_are_compared(name: str) -> None:
    """Public code looks at the height only: 8 and 4 wide maps of equal height crash there."""
    value = MAP_LOSSES[name](_normal(0, 2, 3, 4, 8), _normal(1, 2, 3, 4, 4))
    assert torch.isfinite(value)
    assert float(value) > 0


@given(seeds)
@quick
def test_channel_cosines_ignore_the_scale_of_a_channel(seed: int) -> None:
    fs, ft = _normal(seed, 3, 5, 4, 3), _normal(seed + 1, 3, 5, 4, 3)
    scale = _normal(seed + 2, 5).exp()[None, :, None, None]
    assert _close(channel_correlation_loss(fs, ft), channel_correlation_loss(fs * scale, ft))


@given(seeds)
@quick
def test_selectivity_equals_the_sum_over_channel_pairs(seed: int) -> None:
    fs, ft = _normal(seed, 2, 3, 2, 2), _normal(seed + 1, 2, 4, 2, 2)
    s, t = (torch.nn.functional.normalize(f.flatten(2), dim=2) for f in (fs, ft))

    def mean_kernel(a: Tensor, b: Tensor) -> Tensor:
        values = [(x @ y) ** 2 for n in range(2) for x in a[n] for y in b[n]]
        return torch.stack(values).mean()

    slow = mean_kernel(s, s) + mean_kernel(t, t) - 2 * mean_kernel(s, t)
    assert _close(neuron_selectivity_loss(fs, ft), slow)


@given(seeds)
@quick
def test_singular_vectors_do_not_depend_on_a_flip_of_the_factorisation(seed: int) -> None:
    """Turning positions leaves the channel Gram matrix, so also the vectors, as they are."""
    maps = _normal(seed, 2, 5, 3, 4)
    turned = (maps.flatten(2) @ _rotation(seed + 1, 12)).reshape(maps.shape)
    for first, second in zip(channel_vectors(maps, 2), channel_vectors(turned, 2), strict=True):
        assert torch.allclose(first, second, atol=1e-8)


def test_singular_vectors_match_a_full_decomposition() -> None:
    maps = _normal(3, 2, 5, 3, 4)
    values, vectors = channel_vectors(maps, 3)
    _, expected, right = torch.linalg.svd(maps.flatten(2).transpose(1, 2))
    assert torch.allclose(values, expected[:, :3])
    overlap = (vectors * right.transpose(1, 2)[:, :, :3]).sum(1).abs()
    assert torch.allclose(overlap, torch.ones_like(overlap))


def test_singular_vector_gradient_matches_finite_differences() -> None:
    layers = [_normal(seed, 1, 4, 3, 2) for seed in range(4)]
    layers[0].requires_grad_()

    def loss(first: Tensor) -> Tensor:
        return singular_vector_loss((first, layers[1]), (layers[2], layers[3]))

    assert torch.autograd.gradcheck(loss, (layers[0],), eps=1e-6, atol=1e-6)


@given(seeds, st.floats(0.1, 10))
@quick
def test_local_embedding_ignores_scale_shift_and_rotation(seed: int, scale: float) -> None:
    fs, ft = _normal(seed, 8, 5), _normal(seed + 1, 8, 6)
    moved = scale * fs @ _rotation(seed + 2, 5) + 1.5
    assert _close(
        local_embedding_loss(fs, ft, neighbours=3), local_embedding_loss(moved, ft, neighbours=3)
    )


def test_mixing_weights_rebuild_points_on_a_line() -> None:
    line = torch.arange(6, dtype=torch.float64)[:, None] * torch.tensor([[1.0, 2.0]])
    weights, indices = mixing_weights(line.double(), 2)
    assert torch.allclose(weights.sum(1), torch.ones(6, dtype=torch.float64))
    inner = (weights[:, :, None] * line.double()[indices]).sum(1)[1:-1]
    assert torch.allclose(inner, line.double()[1:-1], atol=1e-2)


@given(seeds, st.integers(1, 5))
@quick
def test_truncation_is_the_nearest_matrix_of_its_rank(seed: int, rank: int) -> None:
    weights = _normal(seed, 6, 5)
    truncated = truncate_rank(weights, rank)
    assert int(torch.linalg.matrix_rank(truncated)) == rank
    dropped = torch.linalg.svdvals(weights)[rank:].square().sum()
    assert _close((weights - truncated).square().sum(), dropped)
    assert float(weight_matching_loss(truncated, truncated)) == 0.0
    assert _close(weight_matching_loss(truncated * 0, truncated), torch.tensor(1.0).double())


@given(seeds, st.floats(0.05, 0.5))
@quick
def test_corrected_teacher_is_right_by_the_threshold(seed: int, threshold: float) -> None:
    probabilities = _normal(seed, 6, 5).softmax(1)
    labels = torch.randint(5, (6,), generator=torch.Generator().manual_seed(seed))
    corrected = corrected_probabilities(probabilities, labels, threshold)
    assert torch.allclose(corrected.sum(1), torch.ones(6, dtype=torch.float64))
    assert bool((corrected.argmax(1) == labels).all())
    wrong = probabilities.argmax(1) != labels
    rest = corrected.scatter(1, labels[:, None], 0.0).amax(1)
    lead = corrected.gather(1, labels[:, None])[:, 0] - rest
    assert bool((lead[wrong] >= threshold - 1e-6).all())
