"""Losses and targets of teachers that know some classes, of several looks, and of near classes."""

import numpy as np
import pytest
import torch

from hwkd.distill.aggregators.class_rows import near_classes
from hwkd.distill.aggregators.graph import agreement_weights, graph_mixture
from hwkd.distill.aggregators.joint_views import joint_label_loss, of_all_views
from hwkd.distill.class_sets import ClassSet, mass_in_set, on_set, set_label_loss
from hwkd.distill.edge_losses import agreement, looks_made, looks_real
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.timetables.ramp import critical_period, grows_from
from hwkd.nn.cohort_heads import InputMaker, statistics_kept, turned

GENERATOR = torch.Generator().manual_seed(0)


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def test_sets_divide_all_classes() -> None:
    sets = [ClassSet(index=k, of=3).bounds(10) for k in range(3)]
    assert sets == [(0, 4), (4, 7), (7, 10)]


def test_a_specialist_learns_nothing_of_other_classes() -> None:
    z = logits(6, 10).requires_grad_()
    known, labels = ClassSet(index=1, of=3), torch.tensor([4, 5, 6, 0, 9, 4])
    found = set_label_loss(z, labels, known=known)
    inner = torch.log_softmax(z.detach()[:, 4:7], 1)
    wanted = [-inner[0, 0], -inner[1, 1], -inner[2, 2], 0.0, 0.0, -inner[5, 0]]
    np.testing.assert_allclose(found.detach(), [float(w) for w in wanted])
    (slope,) = torch.autograd.grad(found.sum(), z)
    assert not slope[:, :4].any()
    assert not slope[:, 7:].any()


def test_what_a_specialist_says_of_other_classes_is_not_read() -> None:
    zs, zt, known = logits(4, 6), logits(4, 6), ClassSet(index=0, of=2)
    changed = torch.cat([zt[:, :3], logits(4, 3)], 1)
    first, second = (on_set(zs, t, loss=divergence, known=known) for t in (zt, changed))
    assert torch.equal(first, second)
    assert mass_in_set(zt[None], known=known) == pytest.approx(
        torch.softmax(zt, 1)[:, :3].sum(1).numpy()
    )


def test_all_views_speak_for_their_own_classes() -> None:
    views, classes = 4, 3
    members = logits(views, 2, classes * views)
    found = of_all_views(members)
    for row in range(2):
        for c in range(classes):
            own = [float(members[v, row, c * views + v]) for v in range(views)]
            assert float(found[row, c]) == pytest.approx(np.mean(own))
    loss = joint_label_loss(members[2], torch.tensor([1, 2]), view=2, views=views)
    picked = torch.log_softmax(members[2], 1)
    assert loss.tolist() == pytest.approx([-float(picked[0, 6]), -float(picked[1, 10])])


def test_quarter_turns_of_squares_and_mirrors_of_others() -> None:
    square = torch.arange(8.0).reshape(1, 2, 2, 2)
    assert torch.equal(turned(turned(square, 1), 3), square)
    assert turned(square, 1)[0, 0].tolist() == [[1.0, 3.0], [0.0, 2.0]]
    signal = torch.arange(3.0).reshape(1, 1, 3)
    assert turned(signal, 1).flatten().tolist() == [2.0, 1.0, 0.0]
    assert torch.equal(turned(signal, 0), signal)


def test_near_classes_get_more_and_the_label_most() -> None:
    rows = torch.tensor([[0.0, 0.0], [1.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    target = torch.softmax(near_classes(rows[None], torch.tensor([0, 2]), spread=1.0, share=0.3), 1)
    mean = 2 * (1 + 4 + 3) / 6
    near = np.exp(-np.array([0, 1, 4]) / mean)
    wanted = 0.7 * np.array([1, 0, 0]) + 0.3 * near / near.sum()
    np.testing.assert_allclose(target[0], wanted, rtol=1e-9)
    assert target.argmax(1).tolist() == [0, 2]
    sure = near_classes(rows[None], torch.tensor([1]), spread=1.0, share=0.0)
    assert torch.softmax(sure, 1)[0, 1] == pytest.approx(1.0)


def test_teachers_that_agree_weigh_more() -> None:
    same = logits(5, 3)
    found = agreement_weights(torch.stack([same, same, -3 * same]), temperature=1.0)
    assert found.sum(0).tolist() == pytest.approx([1.0] * 5)
    assert bool((found[2] < found[0]).all())
    equal = agreement_weights(torch.stack([same] * 4), temperature=2.0)
    assert equal.flatten().tolist() == pytest.approx([0.25] * 20)


def test_edges_of_a_graph_of_teachers_learn_for_each_sample() -> None:
    members = logits(3, 5, 4)
    edges = torch.zeros(9, dtype=torch.float64, requires_grad=True)
    shares = torch.softmax(members / 2.0, 2)
    found = graph_mixture(members, edges, temperature=2.0)
    torch.testing.assert_close(torch.softmax(found / 2.0, 1), shares.mean(0))  # all alike
    found.square().sum().backward()
    assert edges.grad is not None and bool((edges.grad != 0).any())
    strong = torch.zeros(3, 3, dtype=torch.float64)
    strong[1] = 50.0  # teacher 1 is heard wherever it agrees with anybody
    found = graph_mixture(members, strong.flatten(), temperature=2.0)
    torch.testing.assert_close(torch.softmax(found / 2.0, 1), shares[1])


def test_the_generator_gains_where_peers_differ() -> None:
    same, other = logits(3, 4), logits(3, 4)
    assert agreement(same, same).abs().max() < 1e-12
    assert bool((agreement(same, other) < 0).all())
    score = torch.tensor([[0.0], [2.0]])
    assert looks_real(score).tolist() == pytest.approx([np.log(2), np.log1p(np.exp(-2))])
    assert looks_made(score).tolist() == pytest.approx([np.log(2), np.log1p(np.exp(2))])


def test_layers_teach_most_at_the_start() -> None:
    assert critical_period(0.0, 5.0) == 1.0
    assert critical_period(1.0, 5.0) == pytest.approx(np.exp(-5))
    assert [grows_from(t, 0.2) for t in (0.0, 0.1999, 0.2, 1.0)] == [0.0, 0.0, 1.0, 1.0]


def test_made_inputs_stay_near_and_repeat() -> None:
    maker, again = (InputMaker(2, 2, strength=0.3, seed=1) for _ in range(2))
    again.load_state_dict(maker.state_dict())
    inputs = torch.randn(3, 2, 5, 5, generator=GENERATOR)
    made = maker(inputs).detach()
    assert 0 < float((made - inputs).abs().max()) <= 0.3
    assert torch.equal(made, again(inputs))
    assert not torch.equal(made, maker(inputs))


def test_statistics_of_what_is_not_data_are_not_remembered() -> None:
    norm = torch.nn.BatchNorm1d(2)
    with statistics_kept(norm):
        norm(torch.randn(8, 2, generator=GENERATOR) + 5)
    assert norm.get_buffer("running_mean").tolist() == [0.0, 0.0]
    norm(torch.randn(8, 2, generator=GENERATOR) + 5)
    assert float(norm.get_buffer("running_mean").min()) > 0.4
