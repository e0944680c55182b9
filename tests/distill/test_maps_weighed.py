"""Distillation of maps of classes counts positions as the loss of their labels does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwkd.core.signals import Batch, Views
from hwkd.distill.losses.pixel_wise import PixelWise
from hwkd.distill.method import RunShapes, ViewShapes
from hwkd.tasks.maps_head import MapsHead

WEIGHTS = (0.5, 1.0, 4.0)


def _lost(method, weights, ours, theirs):
    head = MapsHead(names=("ground", "a", "b"), grid=(4, 4), weights=weights)
    shapes = ViewShapes(logits=(3, 4, 4))
    run = RunShapes(student=shapes, teacher=shapes, samples=2, classes=3, batch=2, head=head)
    batch = Batch(
        inputs=torch.zeros(2, 1, 4, 4), labels=torch.zeros(2, 4, 4).short(),
        sample_ids=torch.arange(2), copy=0,
    )  # fmt: skip
    (lost,) = method.build(run)(Views(logits=ours), Views(logits=theirs), batch).values()
    return lost.item()


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
