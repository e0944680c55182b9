"""Networks in groups compute, and learn, what they do one after another."""

from __future__ import annotations

import pytest
import torch
from support.tiny_student import small_layers

from hwkd.core import catalog
from hwkd.core.chooser import RandomChooser
from hwkd.io import discovery
from hwkd.nn.build import build_module
from hwkd.nn.side_by_side import SideBySide, can_stand_side_by_side


def _learn(logits: list[torch.Tensor]) -> None:
    torch.autograd.backward(torch.stack([(each - 0.3).square().sum() for each in logits]).sum())


def test_networks_in_groups_are_those_apart() -> None:
    layers = small_layers()
    assert can_stand_side_by_side(layers)
    apart = [build_module(layers, seed=seed).train() for seed in range(3)]
    beside = SideBySide(layers, apart).train()
    inputs = torch.randn(7, *layers.input_shape, generator=torch.Generator().manual_seed(1))
    alone = [module.forward_taps(inputs, set(layers.taps.values())) for module in apart]
    together = beside.forward_taps(inputs)
    for (theirs, values), (ours, mine) in zip(alone, together, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
        for name, value in values.items():
            torch.testing.assert_close(mine[name].reshape(value.shape), value, atol=1e-5, rtol=1e-4)
    _learn([logits for logits, _ in alone])
    _learn([logits for logits, _ in together])
    for module in (beside, *apart):
        torch.optim.SGD(module.parameters(), lr=0.1).step()
    for index, module in enumerate(apart):
        state = beside.alone(index).state_dict()
        for name, value in module.state_dict().items():  # batch statistics are among them
            torch.testing.assert_close(state[name], value, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("space", ["depthwise", "narrow_deep", "plain"])
def test_networks_of_convolution_spaces_stand_side_by_side(space: str) -> None:
    discovery.discover("hwkd.search_spaces")
    made = catalog.SEARCH_SPACES.get(space)
    spec = made.suggest(RandomChooser(1), input_shape=(1, 16, 16), num_outputs=4)
    layers = made.layers(spec)
    assert can_stand_side_by_side(layers)
    module = build_module(layers, seed=0).eval()
    inputs = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        (ours, _), _ = SideBySide(layers, [module, module]).eval().forward_taps(inputs)
        torch.testing.assert_close(ours, module(inputs), atol=1e-5, rtol=1e-4)


def test_attention_stays_apart() -> None:
    discovery.discover("hwkd.search_spaces")
    made = catalog.SEARCH_SPACES.get("linear_attention")
    spec = made.suggest(RandomChooser(1), input_shape=(1, 16, 16), num_outputs=4)
    assert not can_stand_side_by_side(made.layers(spec))
