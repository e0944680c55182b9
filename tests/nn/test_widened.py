"""A student widened: the same network with more channels, of which the first are its own."""

from __future__ import annotations

import torch
from support.staged import CLASSES, student

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT
from hwkd.core.widened import widened
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.nn.cohort import Cohort

discover("hwkd.distill.schemes")


def test_widened_network_keeps_inputs_and_outputs() -> None:
    wide = widened(student(), 2.0)
    assert [layer.shape[0] for layer in wide.layers] == [8, 8, 16, 16, 16, CLASSES]
    assert build_module(wide, seed=0)(torch.randn(2, 1, 6, 6)).shape == (2, CLASSES)


def test_the_student_of_an_augmented_network_is_its_first_channels() -> None:
    (phase,) = SCHEMES.get("netaug")().phases()
    cohort = Cohort(list(phase.roles), student(), seed=0)
    wide = cohort.parts["wide"]
    base = dict(cohort.parts[STUDENT].named_parameters())
    logits = wide(cohort.parts[STUDENT], torch.randn(4, 1, 6, 6))
    pulled = torch.autograd.grad(logits.square().sum(), list(base.values()), allow_unused=True)
    assert all(gradient is not None for gradient in pulled)
