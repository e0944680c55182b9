"""Distillation of maps of classes counts positions as the loss of their labels does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Batch, Views
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.losses.pixel_wise import PixelWise
from hwkd.distill.method import RunShapes, ViewShapes
from hwkd.distill.sources import CachedSource
from hwkd.distill.spec import parse_method
from hwkd.distill.taps import Places
from hwkd.nn.build import build_module
from hwkd.tasks.maps_head import MapsHead

WEIGHTS = (0.5, 1.0, 4.0)


def _lost(method, weights, ours, theirs):
    return _loss(method, weights, ours, theirs).item()


def _loss(method, weights, ours, theirs):
    head = MapsHead(names=("ground", "a", "b"), grid=(4, 4), weights=weights)
    shapes = ViewShapes(logits=(3, 4, 4))
    run = RunShapes(student=shapes, teacher=shapes, samples=2, classes=3, batch=2, head=head)
    batch = Batch(
        inputs=torch.zeros(2, 1, 4, 4), labels=torch.zeros(2, 4, 4).short(),
        sample_ids=torch.arange(2), copy=0,
    )  # fmt: skip
    (lost,) = method.build(run)(Views(logits=ours), Views(logits=theirs), batch).values()
    return lost


def _by_hand(ours, theirs, weights):
    def shares(logits):
        odds = np.exp(logits.numpy().astype(np.float64))
        return odds / odds.sum(axis=1, keepdims=True)

    p, q = shares(theirs), shares(ours)
    counts = (p * np.array(weights)[:, None, None]).sum(axis=1)
    return (counts * (p * np.log(p / q)).sum(axis=1)).mean()


def test_positions_count_as_the_classes_that_the_teacher_takes_them_for():
    random = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(2, 3, 4, 4, generator=random) for _ in range(2))
    even = _by_hand(ours, theirs, (1.0, 1.0, 1.0))
    assert _lost(PixelWise(), WEIGHTS, ours, theirs) == pytest.approx(
        _by_hand(ours, theirs, WEIGHTS), rel=1e-5
    )
    assert _lost(PixelWise(), (), ours, theirs) == pytest.approx(even, rel=1e-5)
    assert _lost(PixelWise(positions="alike"), WEIGHTS, ours, theirs) == pytest.approx(
        even, rel=1e-5
    )


@pytest.mark.parametrize("weights", [(), WEIGHTS])
@pytest.mark.parametrize("text", ["pixel_wise", "pixel_wise:temperature=2,form=cross_entropy"])
def test_a_coarse_map_loses_what_it_would_repeated(text, weights):
    random = torch.Generator().manual_seed(0)
    theirs = 3 * torch.randn(2, 3, 4, 4, generator=random)
    coarse = torch.randn(2, 3, 2, 1, generator=random)
    repeated = coarse.repeat_interleave(2, dim=2).repeat_interleave(4, dim=3)
    found = []
    for maps in (coarse, repeated):
        maps.requires_grad_()
        lost = _loss(parse_method(text).method, weights, maps, theirs)
        (slope,) = torch.autograd.grad(lost, maps)
        found.append((lost.item(), slope))
    (alone, slope), (whole, slopes) = found
    assert alone == pytest.approx(whole, rel=1e-5)
    summed = slopes.reshape(2, 3, 2, 2, 1, 4).sum(dim=(3, 5))
    torch.testing.assert_close(slope, summed, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["nearest", "half_pixel"])
def test_a_student_that_repeats_its_maps_takes_the_same_step_as_one_that_hides_it(mode):
    builder = LayersBuilder((1, 8, 8))
    small = builder.conv(builder.image, "logits", 3, kernel=3, stride=2, norm=False)
    builder.upsample(small, "classes", factor=2, mode=mode)
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, 1, 8, 8, generator=random)
    head = MapsHead(names=("ground", "a", "b"), grid=(8, 8), weights=WEIGHTS)
    labels = torch.randint(-1, 3, (8, 8, 8), generator=random).short()
    data = TrainingSet(copies=[inputs], labels=labels, head=head, batch_size=8)
    source = CachedSource([torch.randn(8, 3, 8, 8, generator=random)])
    batch = Batch(inputs=inputs, labels=labels, sample_ids=torch.arange(8), copy=0)
    found = []
    for hides in (False, True):
        student = build_module(builder.build(), seed=0)
        seen = _Hidden(student) if hides else student
        criterion = DistillCriterion(
            [parse_method("pixel_wise"), parse_method("cwd_maps")], student=seen,
            student_places=Places(), source=source, data=data,
        )  # fmt: skip
        terms = criterion(seen, batch)
        slopes = torch.autograd.grad(sum(terms.values()), list(student.parameters()))
        found.append(({name: term.item() for name, term in terms.items()}, slopes))
    (lost, slopes), (wanted, wanted_slopes) = found
    assert lost == pytest.approx(wanted, rel=1e-5)
    for ours, theirs in zip(slopes, wanted_slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


class _Hidden(nn.Module):
    """Does not say that it repeats."""

    def __init__(self, student):
        super().__init__()
        self.student = student

    def forward(self, x):
        return self.student(x)
