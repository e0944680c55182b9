"""Learning rates by depth: factors of layers, refusals, and that the optimizer follows them."""

from __future__ import annotations

import pytest
import torch
from support.tiny_student import small_layers

from hwkd.core.errors import ConfigError
from hwkd.core.layer_rates import LayerRates
from hwkd.nn.build import build_module
from hwkd.train.config import TrainConfig
from hwkd.train.optimizers import make_optimizer


def test_a_stage_has_the_decayed_rate_of_the_one_behind_it() -> None:
    layers = small_layers()
    factors = LayerRates.parse("decay=0.5").factors(layers)
    ends = layers.stage_ends
    assert [factors[name] for name in (layers.layers[0].name, *ends)] == [0.25, 0.25, 0.5]
    assert factors[layers.layers[-1].name] == 1.0
    named = LayerRates.parse("1=0,head=2").factors(layers)
    assert [named[ends[0]], named[ends[1]], named[layers.layers[-1].name]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("decy=0.8", "'decy' is no stage; did you mean decay"),
        ("decay=0", "decay stands alone and is above 0"),
        ("decay=0.8,1=1", "decay stands alone"),
        ("1=-1", "a factor from 0 to 10"),
        ("1=x", "a factor from 0 to 10"),
        ("1=1,1=2", "each stage once"),
        ("0=1", "'0' is no stage"),
        ("3=0.1", "stage 3 is named, and the student has 2 stages"),
    ],
)
def test_rates_that_cannot_be_are_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        LayerRates.parse(text).factors(small_layers())


def test_the_optimizer_follows_the_rates_and_keeps_a_stage_of_rate_0() -> None:
    layers = small_layers()
    module = build_module(layers, seed=0)
    rates = tuple(LayerRates.parse("1=0").factors(layers).items())
    config = TrainConfig(epochs=1, optimizer="sgd", learning_rate=0.1, layer_rates=rates)
    optimizer = make_optimizer(list(module.parameters()), config, module=module)
    for group in optimizer.param_groups:
        group["lr"] = config.learning_rate * group["factor"]
    before = {name: value.clone() for name, value in module.named_parameters()}
    module(torch.randn(4, *layers.input_shape)).square().sum().backward()
    optimizer.step()
    factors = dict(rates)
    for name, value in module.named_parameters():
        is_still = torch.equal(value, before[name])
        layer = next(layer for layer in factors if f"steps.{layer}." in name)
        if factors[layer] == 0:
            assert is_still, name
    assert not all(torch.equal(v, before[n]) for n, v in module.named_parameters())
