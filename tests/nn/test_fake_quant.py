"""Simulated rounding: gradients pass, ranges learn, nothing appears where nothing was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layer, Layers
from hwkd.nn.fake_quant import FakeQuantStudent, round_straight_through


def small_layers(activation: str = "relu") -> Layers:
    builder = LayersBuilder((1, 4, 4))
    x = builder.conv("input", "stem", 4, kernel=3, activation=activation)
    builder.classifier(x, 3)
    return builder.build()


def small_student(activation: str = "relu", *, dead: int | None = None) -> FakeQuantStudent:
    generator = torch.Generator().manual_seed(0)
    stem = torch.randn(4, 1, 3, 3, generator=generator)
    if dead is not None:
        stem[dead] = 0.0
    weights = {
        "stem": (stem, torch.full((4,), 0.1)),
        "logits": (torch.randn(3, 4, generator=generator), torch.zeros(3)),
    }
    names = ("input", "stem", "pool", "logits")
    ranges = dict.fromkeys(names, (-3.0, 3.0)) | {"stem_act": (0.0, 3.0)}
    return FakeQuantStudent(small_layers(activation), weights, ranges)


def inputs(samples: int = 16) -> Tensor:
    return torch.randn(samples, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def test_rounding_is_half_to_even_and_its_gradient_is_one() -> None:
    x = torch.tensor([0.5, 1.5, -0.5, 2.3], requires_grad=True)
    rounded = round_straight_through(x)
    rounded.sum().backward()
    assert rounded.tolist() == [0.0, 2.0, 0.0, 2.0]
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 1.0, 1.0]


def test_inputs_inside_the_range_get_the_gradient_and_those_outside_none() -> None:
    student = small_student()
    x = torch.full((1, 1, 4, 4), 10.0, requires_grad=True)
    y = torch.full((1, 1, 4, 4), 0.5, requires_grad=True)
    for value in (x, y):
        student(value).sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    assert not x.grad.any()
    assert y.grad.any()


def test_an_end_of_a_range_learns_from_what_it_cut_off() -> None:
    """Clipped at the upper end h, the output is h itself, whose derivative by log h is h."""
    student = small_student()
    quantiser: Any = student.quantisers["input"]
    value = student.grids()["input"].rounded(torch.full((1,), 100.0)).real
    value.sum().backward()
    high = 3.0
    assert float(value.detach()) == pytest.approx(high, abs=6.0 / 255)
    low_gradient, high_gradient = quantiser.log_gains.grad.tolist()
    assert high_gradient == pytest.approx(high, rel=0.02)
    assert low_gradient == pytest.approx(0.0, abs=0.02)


def test_every_parameter_is_trained() -> None:
    student = small_student()
    student(inputs()).square().sum().backward()
    missing = [name for name, p in student.named_parameters() if p.grad is None or not p.grad.any()]
    assert missing == []


def test_outputs_are_whole_steps_of_the_last_scale() -> None:
    student = small_student()
    scale, zero_point = student.encodings()["logits"]
    steps = student(inputs()) / scale + zero_point
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert steps.min() >= -128.001
    assert steps.max() <= 127.001


def test_a_range_that_ends_at_zero_keeps_doing_so() -> None:
    student = small_student()
    with torch.no_grad():
        student.quantisers["stem_act"].get_parameter("log_gains").fill_(0.7)
    assert student.encodings()["stem_act"][1] == -128


def test_relu6_never_reaches_beyond_six() -> None:
    student = small_student("relu6")
    with torch.no_grad():
        student.quantisers["stem_act"].get_parameter("log_gains").fill_(3.0)
    assert student.encodings()["stem_act"][0] == pytest.approx(6.0 / 255)


def test_a_channel_without_weights_keeps_none() -> None:
    student = small_student(dead=2)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    student(inputs()).square().sum().backward()
    optimizer.step()
    weight, _ = student.folded_weights()["stem"]
    assert not weight[2].any()
    assert weight[0].any()


def test_a_rectifier_behind_a_layer_that_moves_values_keeps_what_is_positive() -> None:
    moved = Layer(name="flat", kind="reshape", inputs=("input",), shape=(16,), activation="relu")
    layers = Layers(input_shape=(1, 4, 4), layers=(moved,))
    student = FakeQuantStudent(layers, {}, {"input": (-4.0, 4.0), "flat_act": (0.0, 4.0)})
    x = inputs()
    torch.testing.assert_close(student(x), x.reshape(16, 16).relu(), atol=0.025, rtol=0)
