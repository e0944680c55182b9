"""The distillation that is used when the user names none."""

from __future__ import annotations

import pytest
import torch

from hwkd.distill.defaults import default_method, mean_entropy_ratio, temperature_for_entropy
from hwkd.distill.losses.logit_mse import LogitMse
from hwkd.distill.losses.lskd import StandardisedTargets
from hwkd.distill.losses.pixel_wise import PixelWise
from hwkd.distill.losses.soft_targets import SoftTargets
from hwkd.io.discovery import output_kind

CLASSES = output_kind("classes")


def test_a_soft_teacher_gives_soft_targets() -> None:
    generator = torch.Generator().manual_seed(0)
    assert default_method(torch.randn(50, 3, generator=generator), CLASSES) == SoftTargets(
        temperature=2.0
    )


def test_a_saturated_teacher_gives_the_scale_free_term() -> None:
    generator = torch.Generator().manual_seed(0)
    sharp = 30 * torch.randn(50, 3, generator=generator)
    assert default_method(sharp, CLASSES) == StandardisedTargets(temperature=2.0)


def test_maps_of_classes_are_softened_at_each_position_and_values_compared() -> None:
    maps, values = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3)
    assert default_method(maps, output_kind("class maps")) == PixelWise()
    assert default_method(values, output_kind("values")) == LogitMse()
    assert default_method(maps, output_kind("boxes")) == LogitMse()


def test_two_classes_get_soft_targets_at_the_teachers_temperature() -> None:
    generator = torch.Generator().manual_seed(0)
    sharp = 100 * torch.randn(200, 2, generator=generator)
    method = default_method(sharp, CLASSES)
    assert isinstance(method, SoftTargets)
    assert method.temperature > 2


@pytest.mark.parametrize("scale", [5.0, 10.0])
def test_temperature_gives_the_teacher_the_entropy_asked_for(scale: float) -> None:
    logits = scale * torch.randn(200, 10, generator=torch.Generator().manual_seed(0))
    temperature = temperature_for_entropy(logits, ratio=0.4)
    assert mean_entropy_ratio(logits, temperature) == pytest.approx(0.4, abs=0.01)


def test_soft_teacher_is_not_sharpened_and_temperature_is_bounded() -> None:
    assert temperature_for_entropy(torch.zeros(10, 4)) == 1.0
    assert temperature_for_entropy(1e6 * torch.eye(4)) == 20.0


def test_equal_logits_have_the_largest_entropy() -> None:
    assert mean_entropy_ratio(torch.zeros(10, 4), 1.0) == pytest.approx(1.0)
