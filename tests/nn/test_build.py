"""The torch module against torch's own layers, and what training relies on."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.student import Layer, Layers
from hwkd.nn.build import build_module
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.points_head import points_head
from hwkd.tasks.things_head import ThingsHead


def every_kind() -> Layers:
    """One layer of every kind and activation."""
    b = LayersBuilder((2, 8, 8))
    x = b.conv("input", "stem", 4, kernel=3, stride=2, activation="relu")
    x = b.squeeze_excite(x, "se")
    x = b.add(x, b.depthwise(x, "spatial", kernel=3, activation="hard_swish"), "sum")
    x = b.max_pool(x, "max", kernel=2)
    x = b.avg_pool(b.conv(x, "mix", 6, activation="relu6"), "mean", kernel=2, stride=1)
    heads = b.reshape(x, "heads", (2, 3, 1))
    x = b.matmul(heads, b.transpose(heads, "turned", (0, 2, 1)), "product")
    x = b.linear(b.reshape(x, "flat", (18,)), "hidden", 5, norm=True, activation="relu")
    b.linear(x, "logits", 3)
    return b.build()


def test_output_equals_the_same_network_in_plain_torch() -> None:
    module = build_module(every_kind(), seed=0).eval()
    x = torch.randn(3, 2, 8, 8)
    s = module.state_dict()

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return x / (1 + 1e-5) ** 0.5  # fresh statistics: mean 0, variance 1

    stem = F.relu(norm("stem", F.conv2d(x, s["steps.stem.core.weight"], stride=2, padding=1)))
    hidden = F.relu(
        F.conv2d(
            stem.mean((2, 3), keepdim=True),
            s["steps.se_reduce.core.weight"],
            s["steps.se_reduce.core.bias"],
        )
    )
    gate = F.hardsigmoid(
        F.conv2d(hidden, s["steps.se_gate.core.weight"], s["steps.se_gate.core.bias"])
    )
    scaled = stem * gate
    spatial = F.conv2d(scaled, s["steps.spatial.core.weight"], padding=1, groups=4)
    total = scaled + F.hardswish(norm("spatial", spatial))
    mixed = F.relu6(norm("mix", F.conv2d(F.max_pool2d(total, 2), s["steps.mix.core.weight"])))
    heads = F.avg_pool2d(mixed, 2, 1).reshape(3, 2, 3, 1)
    flat = (heads @ heads.transpose(2, 3)).reshape(3, 18)
    vector = F.relu(norm("hidden", flat @ s["steps.hidden.core.weight"].T))
    expected = F.linear(vector, s["steps.logits.core.weight"], s["steps.logits.core.bias"])
    torch.testing.assert_close(module(x), expected)


def test_uneven_padding_is_where_the_description_says() -> None:
    layer = Layer(
        name="conv", kind="conv", inputs=("input",), shape=(1, 4, 4),
        kernel=(2, 2), pads=(0, 0, 1, 1),
    )  # fmt: skip
    module = build_module(Layers(input_shape=(1, 4, 4), layers=(layer,)), seed=0)
    x = torch.randn(1, 1, 4, 4)
    expected = F.conv2d(F.pad(x, (0, 1, 0, 1)), module.state_dict()["steps.conv.core.weight"])
    torch.testing.assert_close(module(x), expected)


@pytest.mark.parametrize("channels", [6, 16])
def test_strided_pointwise_convolution_equals_torch_in_value_and_gradient(channels: int) -> None:
    builder = LayersBuilder((channels, 7, 9))
    builder.conv("input", "conv", 5, stride=2, norm=False)
    module = build_module(builder.build(), seed=0)
    x = torch.randn(2, channels, 7, 9).to(memory_format=torch.channels_last)
    weight = module.get_parameter("steps.conv.core.weight")
    twin = weight.detach().contiguous().requires_grad_()
    expected = F.conv2d(x.contiguous(), twin, stride=2)
    outputs = module(x)
    torch.testing.assert_close(outputs, expected)
    outputs.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(weight.grad, twin.grad)


def test_building_neither_reads_nor_moves_the_global_generator() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build_module(every_kind(), seed=7).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = build_module(every_kind(), seed=7).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_taps_return_named_outputs_with_gradients_and_change_nothing() -> None:
    module = build_module(every_kind(), seed=0).eval()
    x = torch.randn(3, 2, 8, 8)
    logits, taps = module.forward_taps(x, ["hidden", "stem"])
    assert list(taps) == ["hidden", "stem"]
    assert taps["stem"].shape == (3, 4, 4, 4)
    torch.testing.assert_close(logits, module(x))
    taps["stem"].sum().backward()
    gradient = module.get_parameter("steps.stem.core.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_an_unknown_tap_is_an_error() -> None:
    module = build_module(every_kind(), seed=0).eval()
    with pytest.raises(KeyError, match="nowhere"):
        module.forward_taps(torch.zeros(1, 2, 8, 8), ["nowhere"])


def test_activation_after_a_view_leaves_the_viewed_layer_alone() -> None:
    layers = (
        Layer(name="conv", kind="conv", inputs=("input",), shape=(2, 2, 2)),
        Layer(name="flat", kind="reshape", inputs=("conv",), shape=(8,), activation="relu"),
    )
    module = build_module(Layers(input_shape=(2, 2, 2), layers=layers), seed=0)
    _, taps = module.forward_taps(torch.randn(4, 2, 2, 2), ["conv", "flat"])
    assert taps["conv"].min() < 0
    assert taps["flat"].min() == 0


def test_initial_activations_neither_vanish_nor_explode() -> None:
    builder = LayersBuilder((3, 16, 16))
    x = "input"
    for number in range(20):
        x = builder.conv(x, f"conv{number}", 16, kernel=3, norm=False, activation="relu")
    builder.classifier(x, 10)
    module = build_module(builder.build(), seed=0)
    _, taps = module.forward_taps(torch.randn(16, 3, 16, 16), [x])
    assert 0.05 < taps[x].std() < 20


def test_a_copy_trains_on_its_own() -> None:
    module = build_module(every_kind(), seed=0)
    twin = copy.deepcopy(module)
    x = torch.randn(4, 2, 8, 8)
    twin(x).sum().backward()
    assert all(parameter.grad is None for parameter in module.parameters())
    torch.testing.assert_close(module.eval()(x), build_module(every_kind(), seed=0).eval()(x))


@pytest.mark.parametrize("head", [boxes_head(("a", "b")), points_head(("a", "b"))])
def test_things_begin_as_seldom_as_one_in_ten_and_edges_at_nothing(head: ThingsHead) -> None:
    builder = LayersBuilder((1, 16, 16))
    x = builder.conv(builder.image, "stem", 8, kernel=3, stride=8, activation="relu")
    builder.conv(x, "logits", head.size, norm=False)
    began = build_module(builder.build(), seed=0, kind=head.kind).eval()
    outputs = began(torch.zeros(1, 1, 16, 16))[0]
    assert torch.sigmoid(outputs[:2]).mean().item() == pytest.approx(0.1, abs=0.001)
    assert not outputs[2:].any()
    assert not build_module(builder.build(), seed=0).eval()(torch.zeros(1, 1, 16, 16)).any()
