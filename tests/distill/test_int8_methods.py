"""What goes on of a float training when a student is trained with simulated rounding."""

from __future__ import annotations

import pytest
import torch

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Signal
from hwkd.distill.int8_methods import int8_recipe
from hwkd.distill.spec import parse_method, parse_methods
from hwkd.distill.taps import Taps, student_places
from hwkd.io.discovery import output_kind
from hwkd.nn.fake_quant import FakeQuantStudent


def test_methods_go_on_as_they_ended() -> None:
    texts = ["kd:temperature=4,temperature_end=2,weight=3", "at:stop=0.3", "rkd:warmup=0.5"]
    recipe = int8_recipe(parse_methods(texts), output_kind("classes"))
    assert recipe.methods == (parse_method("kd:temperature=2,weight=3"), parse_method("rkd"))
    assert not recipe.follows_itself


@pytest.mark.parametrize("texts", [[], ["kd:stop=0.5"], ["ab"], ["weights"], ["kd:decay=0.2"]])
def test_without_a_teacher_the_student_follows_itself(texts: list[str]) -> None:
    recipe = int8_recipe(parse_methods(texts), output_kind("classes"))
    assert recipe.follows_itself
    assert recipe.methods == (parse_method("kd:temperature=2,weight=1"),)


def test_a_control_keeps_its_own_term() -> None:
    recipe = int8_recipe(parse_methods(["label_smoothing"]), output_kind("classes"))
    assert [entry.method.name for entry in recipe.methods] == ["label_smoothing", "kd"]
    assert recipe.follows_itself


def test_the_taps_of_a_student_read_its_int8_form() -> None:
    builder = LayersBuilder((1, 4, 4))
    stem = builder.conv(builder.image, "stem", 4, kernel=3, activation="relu")
    builder.tap("stage1", stem)
    builder.classifier(stem, 3)
    layers = builder.build()
    generator = torch.Generator().manual_seed(0)
    weights = {
        "stem": (torch.randn(4, 1, 3, 3, generator=generator), torch.zeros(4)),
        "logits": (torch.randn(3, 4, generator=generator), torch.zeros(3)),
    }
    names = ("input", "stem", "pool", "logits")
    ranges = dict.fromkeys(names, (-3.0, 3.0)) | {"stem_act": (0.0, 3.0)}
    student = FakeQuantStudent(layers, weights, ranges)
    needs = frozenset({Signal.LOGITS, Signal.FEATURES, Signal.EMBEDDING})
    taps = Taps(student, student_places(layers), needs)
    views = taps.read(torch.randn(2, 1, 4, 4, generator=generator))
    (stage,) = views.features
    assert stage.shape == (2, 4, 4, 4)
    # Real values on the 256 steps of the layer's grid.
    steps = stage / (3.0 / 255)
    assert torch.allclose(steps, steps.round(), atol=1e-3)
    assert views.need(Signal.EMBEDDING).shape == (2, 4)
    stage.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in student.parameters())
    gradient = student.weighted["stem"].get_parameter("weight").grad
    assert gradient is not None
    assert gradient.abs().max() > 0


@pytest.mark.parametrize(
    ("kind", "method"), [("values", "logit_mse"), ("class maps", "pixel_wise"), ("classes", "kd")]
)
def test_outputs_before_rounding_are_followed_by_what_suits_their_kind(kind, method):
    recipe = int8_recipe((), output_kind(kind))
    assert recipe.follows_itself
    assert [entry.method.name for entry in recipe.methods] == [method]
