from __future__ import annotations

import math

import pytest
import torch
from support.heads import LabelsAlone
from torch import nn
from torch.nn import functional

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Batch
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.sources import CachedSource
from hwkd.distill.spec import parse_method
from hwkd.distill.taps import Places
from hwkd.nn.build import build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.maps_head import MapsHead
from hwkd.train.criteria import TaskLoss


def batch_of(ids, *, copy=0, inputs=None):
    ids = torch.tensor(ids)
    return Batch(
        inputs=torch.eye(4)[ids] if inputs is None else inputs,
        labels=ids % 2,
        sample_ids=ids,
        copy=copy,
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
    terms = LabelsAlone()(module, batch_of([0, 1]))
    assert list(terms) == ["cross_entropy"]
    assert terms["cross_entropy"].item() == pytest.approx(math.log1p(math.exp(-1)))


def _grads(module, loss):
    module.zero_grad()
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters()])


@pytest.mark.parametrize("repeats", [True, False])
def test_maps_are_judged_before_they_are_repeated(repeats):
    builder = LayersBuilder((2, 8, 8))
    logits = builder.conv("input", "logits", 3, kernel=3, stride=2 if repeats else 1, norm=False)
    if repeats:
        builder.upsample(logits, "classes", factor=2)
    module = build_module(builder.build(), 0)
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(5, 2, 8, 8, generator=random)
    masks = torch.randint(-1, 3, (5, 8, 8), generator=random).short()
    head = MapsHead(names=("a", "b", "c"), grid=(8, 8), weights=(0.5, 1.0, 2.0))
    batch = Batch(inputs=inputs, labels=masks, sample_ids=torch.arange(5), copy=0)
    (found,) = TaskLoss(head)(module, batch).values()
    wanted = head.loss(module(inputs), masks)
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(_grads(module, found), _grads(module, wanted))
    assert (module.before_repeats(inputs) is not None) == repeats


def test_label_smoothing_moves_a_share_to_all_classes(module):
    smooth = LabelsAlone(label_smoothing=0.2)(module, batch_of([0, 1]))["cross_entropy"].item()
    right, wrong = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    assert smooth == pytest.approx(0.9 * right + 0.1 * wrong)


def cached(method, module, views, **options):
    """A criterion over what was stored of a teacher."""
    labels = torch.arange(4) % 2
    return DistillCriterion(
        [parse_method(method)],
        student=module,
        student_places=Places(),
        source=CachedSource(views),
        data=TrainingSet(
            copies=[torch.eye(4)] * len(views),
            labels=labels,
            head=ClassesHead.numbered(2),
            batch_size=4,
        ),
        **options,
    )


def test_distillation_weighs_its_term_and_looks_rows_up_by_view(module):
    views = [torch.zeros(4, 2), torch.arange(8.0).reshape(4, 2)]
    criterion = cached("logit_mse:weight=0.25", module, views)
    terms = criterion(module, batch_of([3, 0], copy=1))
    logits = torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    expected = (logits - torch.tensor([[6.0, 7.0], [0.0, 1.0]])).square().mean()
    assert terms["logit_mse"].item() == pytest.approx(0.25 * expected.item())
    plain = functional.cross_entropy(logits, torch.tensor([1, 0]))
    assert terms["cross_entropy"].item() == pytest.approx(plain.item())


def test_half_precision_logits_of_the_cache_are_used_in_single_precision(module):
    half = torch.randn(4, 2).to(torch.float16)
    found = [
        cached("kd:temperature=2", module, [stored])(module, batch_of([0, 1, 2]))["kd"]
        for stored in (half, half.float())
    ]
    assert found[0].dtype == torch.float32
    assert found[0].item() == found[1].item()


def test_a_student_that_equals_its_teacher_has_no_distillation_term_and_a_gradient_else(module):
    views = [module.weight.detach().T.clone(), torch.zeros(4, 2)]
    criterion = cached("kd:temperature=2", module, views)
    equal = criterion(module, batch_of([0, 1, 2, 3]))
    assert equal["kd"].item() == pytest.approx(0.0, abs=1e-6)
    criterion(module, batch_of([0, 1, 2, 3], copy=1))["kd"].backward()
    assert module.weight.grad is not None
    assert module.weight.grad.abs().max() > 0


def test_logit_criteria_train_nothing_beside_the_student(module):
    assert tuple(LabelsAlone().parameters()) == ()
    assert tuple(cached("kd", module, [torch.zeros(4, 2)]).parameters()) == ()
