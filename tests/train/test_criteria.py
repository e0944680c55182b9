from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from hwkd.distill.losses.soft_targets import soft_target_loss
from hwkd.train.criteria import CachedDistillation, CrossEntropy
from hwkd.train.loop import Batch


def batch_of(ids, *, view=0, inputs=None):
    ids = torch.tensor(ids)
    return Batch(
        inputs=torch.eye(4)[ids] if inputs is None else inputs,
        labels=ids % 2,
        sample_ids=ids,
        view=view,
        epoch_ratio=0.0,
    )


@pytest.fixture
def module():
    layer = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 0.0, 2.0, 0.0], [0.0, 1.0, 0.0, 3.0]]))
    return layer


def test_cross_entropy_by_hand(module):
    # Logits (1, 0) for label 0 and (0, 1) for label 1: ln(1 + e^-1) each.
    terms = CrossEntropy()(module, batch_of([0, 1]))
    assert list(terms) == ["cross_entropy"]
    assert terms["cross_entropy"].item() == pytest.approx(math.log1p(math.exp(-1)))


def test_label_smoothing_moves_a_share_to_all_classes(module):
    smooth = CrossEntropy(label_smoothing=0.2)(module, batch_of([0, 1]))["cross_entropy"].item()
    right, wrong = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    assert smooth == pytest.approx(0.9 * right + 0.1 * wrong)


def test_distillation_weighs_both_terms_and_looks_rows_up_by_view(module):
    views = [torch.zeros(4, 2), torch.arange(8.0).reshape(4, 2)]

    def distance(student, teacher):
        return (student - teacher).square().sum()

    criterion = CachedDistillation(views, distance, name="kd", weight=0.25)
    terms = criterion(module, batch_of([3, 0], view=1))
    logits = torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    expected = (logits - torch.tensor([[6.0, 7.0], [0.0, 1.0]])).square().sum()
    assert terms["kd"].item() == pytest.approx(0.25 * expected.item())
    plain = functional.cross_entropy(logits, torch.tensor([1, 0]))
    assert terms["cross_entropy"].item() == pytest.approx(0.75 * plain.item())


def test_half_precision_logits_of_the_cache_are_used_in_single_precision(module):
    seen = []

    def loss(student, teacher):
        seen.append((student.dtype, teacher.dtype))
        return soft_target_loss(student, teacher, 2.0)

    half = torch.randn(4, 2).to(torch.float16)
    CachedDistillation([half], loss, name="kd", weight=0.5)(module, batch_of([0, 1, 2]))
    assert seen == [(torch.float32, torch.float32)]


def test_a_student_that_equals_its_teacher_has_no_distillation_term_and_a_gradient_else(module):
    criterion = CachedDistillation(
        [module.weight.detach().T.clone(), torch.zeros(4, 2)],
        lambda student, teacher: soft_target_loss(student, teacher, 2.0),
        name="kd",
        weight=1.0,
    )
    equal = criterion(module, batch_of([0, 1, 2, 3]))
    assert equal["kd"].item() == pytest.approx(0.0, abs=1e-6)
    criterion(module, batch_of([0, 1, 2, 3], view=1))["kd"].backward()
    assert module.weight.grad is not None
    assert module.weight.grad.abs().max() > 0


def test_logit_criteria_train_nothing_beside_the_student():
    assert tuple(CrossEntropy().parameters()) == ()
    criterion = CachedDistillation([], lambda s, t: s.sum(), name="kd", weight=0.5)
    assert tuple(criterion.parameters()) == ()
