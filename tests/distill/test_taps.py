"""Taps: what they read, by stage or by path, and that nothing of them stays behind."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.errors import ConfigError
from hwkd.core.signals import Batch, Signal
from hwkd.core.student import Layer, Layers
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.sources import LiveSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import Places, Taps, discover_places, student_places
from hwkd.io.discovery import discover, output_kind
from hwkd.nn.build import build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.teacher_net import MirrorAveraged, TeacherNetConfig, build_teacher_net

LAYERS = Layers(
    input_shape=(1, 6, 4),
    layers=(
        Layer(
            name="stem",
            kind="conv",
            inputs=("input",),
            shape=(3, 6, 4),
            kernel=(3, 3),
            pads=(1, 1, 1, 1),
            norm=True,
            activation="relu",
        ),
        Layer(
            name="down",
            kind="conv",
            inputs=("stem",),
            shape=(5, 3, 2),
            kernel=(3, 3),
            stride=(2, 2),
            pads=(1, 1, 1, 1),
            norm=True,
            activation="relu",
        ),
        Layer(name="pool", kind="global_avg_pool", inputs=("down",), shape=(5, 1, 1)),
        Layer(name="flat", kind="reshape", inputs=("pool",), shape=(5,)),
        Layer(name="head", kind="linear", inputs=("flat",), shape=(4,)),
    ),
    taps={"stage1": "stem", "stage2": "down", "embedding": "flat"},
)
ALL = frozenset(
    {
        Signal.LOGITS,
        Signal.EMBEDDING,
        Signal.FEATURES,
        Signal.PREACTIVATIONS,
        Signal.WEIGHTS,
        Signal.INPUTS,
    }
)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        mixed, _ = self.inner(x, x, x, need_weights=True, average_attn_weights=False)
        return self.head(mixed.mean(1))


def _hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


def test_student_shows_every_signal_with_gradients() -> None:
    student = build_module(LAYERS, seed=0)
    views = Taps(student, student_places(LAYERS), ALL).read(torch.randn(5, 1, 6, 4))
    assert [tuple(f.shape) for f in views.features] == [(5, 3, 6, 4), (5, 5, 3, 2)]
    assert [tuple(f.shape) for f in views.preactivations] == [(5, 3, 6, 4), (5, 5, 3, 2)]
    assert tuple(views.need(Signal.EMBEDDING).shape) == (5, 5)
    assert [tuple(w.shape) for w in views.weights] == [(3, 1, 3, 3), (5, 3, 3, 3), (4, 5)]
    views.features[0].sum().backward()
    assert student.steps["stem"].core.weight.grad is not None


def test_preactivations_keep_what_an_inplace_activation_overwrites() -> None:
    student = build_module(LAYERS, seed=0)
    views = Taps(student, student_places(LAYERS), ALL).read(torch.randn(5, 1, 6, 4))
    for before, after in zip(views.preactivations, views.features, strict=True):
        assert float(before.detach().min()) < 0
        assert torch.equal(before.relu(), after)


def test_what_nobody_needs_is_not_read() -> None:
    student = build_module(LAYERS, seed=0)
    taps = Taps(student, student_places(LAYERS), frozenset({Signal.LOGITS}))
    views = taps.read(torch.randn(5, 1, 6, 4))
    others = [getattr(views, signal.value) for signal in ALL - {Signal.LOGITS}]
    assert all(value in (None, ()) for value in others)


def test_hooks_are_gone_after_every_pass_also_a_failing_one() -> None:
    student = build_module(LAYERS, seed=0)
    taps = Taps(student, student_places(LAYERS), ALL)
    taps.read(torch.randn(5, 1, 6, 4))
    assert _hooks(student) == 0
    with pytest.raises(RuntimeError):
        taps.read(torch.randn(5, 9, 6, 4))
    assert _hooks(student) == 0


def test_views_of_one_pass_do_not_change_with_the_next() -> None:
    student = build_module(LAYERS, seed=0).eval()
    taps = Taps(student, student_places(LAYERS), ALL)
    first = taps.read(torch.randn(5, 1, 6, 4))
    kept = first.features[0].clone()
    taps.read(torch.randn(2, 1, 6, 4))
    assert torch.equal(first.features[0], kept)


def test_any_module_path_input_or_element_of_a_tuple_can_be_tapped() -> None:
    network = Attention()
    places = Places(attention=("inner[1]",), embedding="head:input")
    needs = frozenset({Signal.LOGITS, Signal.ATTENTION, Signal.EMBEDDING})
    views = Taps(network, places, needs).read(torch.randn(3, 6, 4))
    (attention,) = views.attention
    assert tuple(attention.shape) == (3, 2, 6, 6)
    assert torch.allclose(attention.sum(-1), torch.ones(3, 2, 6))
    assert tuple(views.need(Signal.EMBEDDING).shape) == (3, 4)


def test_whole_tuple_is_refused_with_the_way_to_choose() -> None:
    taps = Taps(Attention(), Places(attention=("inner",)), frozenset({Signal.ATTENTION}))
    with pytest.raises(ConfigError, match=r"gives tuple, expected a tensor; .* path\[1\]"):
        taps.read(torch.randn(3, 6, 4))


def test_unknown_path_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"tap .hed.: no module .* did you mean head"):
        Taps(Attention(), Places(embedding="hed"), frozenset({Signal.EMBEDDING}))
    with pytest.raises(ConfigError, match="no parameter of the network has this path"):
        Taps(Attention(), Places(weights=("head.wight",)), frozenset({Signal.WEIGHTS}))


def test_stages_of_a_foreign_network_are_found() -> None:
    network = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU(inplace=True)),
        nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )
    network.train()
    before = network[0][1].running_mean.clone()  # type: ignore[index]
    places = discover_places(network, torch.randn(2, 1, 8, 6))
    assert places.features == ("0", "2")
    assert places.embedding == "5:input"
    assert network.training
    assert torch.equal(network[0][1].running_mean, before)  # type: ignore[index]
    assert _hooks(network) == 0


def test_values_before_the_activation_are_found_in_a_teacher() -> None:
    teacher = build_teacher_net((1, 28, 28), 10, TeacherNetConfig()).eval()
    inputs = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    places = discover_places(teacher, inputs)
    assert len(places.preactivations) == len(places.features) > 1
    needs = frozenset({Signal.FEATURES, Signal.PREACTIVATIONS})
    views = Taps(teacher, places, needs).read(inputs)
    for feature, before in zip(views.features, views.preactivations, strict=True):
        assert feature.shape == before.shape
        assert bool((before < 0).any())


def test_features_of_a_teacher_that_averages_mirror_images_are_of_the_picture_as_it_is() -> None:
    torch.manual_seed(0)
    for kind, stage in ((None, "body"), (output_kind("class maps"), "down.1")):
        net = build_teacher_net((1, 8, 8), 3, TeacherNetConfig(width=4), kind=kind).eval()
        inputs, needs = torch.randn(2, 1, 8, 8), frozenset({Signal.FEATURES})
        averaged = Taps(MirrorAveraged(net, kind), Places(features=(f"net.{stage}",)), needs)
        plain = Taps(net, Places(features=(stage,)), needs)
        (found,), (expected,) = (taps.read(inputs).features for taps in (averaged, plain))
        assert torch.equal(found, expected)
        assert not torch.equal(found, plain.read(inputs.flip(-1)).features[0])


class Attending(nn.Module):
    """One layer of softmax attention over rows of a picture."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.values, self.named = nn.Softmax(-1), nn.Identity(), nn.Linear(4, 4)

    def forward(self, pictures: Tensor) -> Tensor:
        values = self.values(pictures)
        mixed = self.weights(pictures @ pictures.transpose(-1, -2)) @ values
        return self.named(mixed.mean((1, 2)))


def test_softmax_attention_of_any_network_is_found() -> None:
    network, inputs = Attending(), torch.randn(2, 3, 6, 4)
    places = discover_places(network, inputs)
    assert places.attention == ("weights",)
    assert "weights" not in places.features
    views = Taps(network, places, frozenset({Signal.ATTENTION})).read(inputs)
    torch.testing.assert_close(views.attention[0].sum(-1), torch.ones(2, 3, 6))


def test_a_network_may_say_itself_where_its_signals_are() -> None:
    network = Tokens(tokens=3)
    assert discover_places(network, torch.randn(2, 1, 6, 4)) is network.places


def attention_layers(*, window: int) -> Layers:
    discover("hwkd.search_spaces")
    space = SEARCH_SPACES.get("local_attention")
    spec = space.suggest(RandomChooser(0), input_shape=(1, 16, 16), num_outputs=4)
    return space.layers(replace(spec, params={**spec.params, "window": window}))


@pytest.mark.parametrize("window", [2, 8])
def test_students_with_softmax_attention_show_it_and_the_values_that_it_mixes(window: int) -> None:
    layers = attention_layers(window=window)
    module, places = build_module(layers, seed=0), student_places(layers)
    needs = frozenset({Signal.ATTENTION, Signal.VALUES})
    views = Taps(module, places, needs).read(torch.randn(2, 1, 16, 16))
    blocks = sum(layer.kind == "softmax" for layer in layers.layers)
    assert len(views.attention) == len(views.values) == blocks > 0
    (tokens,) = {tuple(values.shape[2:3]) for values in views.values}
    for weights, values, number in zip(
        views.attention, views.values, range(1, blocks + 1), strict=True
    ):
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:3]))
        assert weights.shape[1:] == (values.shape[1], *tokens, *tokens)
        mixed = getattr(module.steps, f"block{number}_mixed")
        seen: list[Tensor] = []
        handle = mixed.register_forward_hook(lambda *passed, seen=seen: seen.append(passed[-1]))
        again = Taps(module, places, needs).read(torch.ones(2, 1, 16, 16))
        handle.remove()
        expected = again.attention[number - 1] @ again.values[number - 1]
        torch.testing.assert_close(seen[0], expected.transpose(-1, -2))


class Tokens(nn.Module):
    """Softmax attention of two heads over the first values of a picture; says where it is."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens, self.wide, self.named = tokens, nn.Linear(1, 8), nn.Linear(8, 4)
        self.heeded, self.split = nn.Softmax(-1), nn.Identity()
        self.places = Places(attention=("heeded",), values=("split",))

    def forward(self, pictures: Tensor) -> Tensor:
        wide = self.wide(pictures.flatten(1)[:, : self.tokens, None])
        heads = self.split(wide.unflatten(-1, (2, 4)).transpose(1, 2))
        mixed = self.heeded(heads @ heads.transpose(-1, -2)) @ heads
        return self.named(mixed.transpose(1, 2).flatten(2).mean(1))


def test_attention_methods_teach_a_student_that_has_attention() -> None:
    layers = attention_layers(window=8)
    student, places = build_module(layers, seed=0), student_places(layers)
    inputs = torch.randn(6, 1, 16, 16)
    needs = frozenset({Signal.ATTENTION})
    tokens = Taps(student, places, needs).read(inputs).attention[0].shape[-1]
    teacher = Tokens(tokens)
    methods = parse_methods(["kd", "attention_maps", "value_relations"])
    labels = torch.arange(6) % 4
    data = TrainingSet(
        copies=[inputs], labels=labels, head=ClassesHead.numbered(4), batch_size=6, seed=0
    )
    source = LiveSource(teacher, discover_places(teacher, inputs), needed_signals(methods))
    criterion = DistillCriterion(
        methods, student=student, student_places=places, source=source, data=data
    )
    terms = criterion(student, Batch(inputs=inputs, labels=labels, sample_ids=torch.arange(6)))
    ours = {name: term for name, term in terms.items() if name.startswith(("attention", "value"))}
    assert len(ours) == 2 * len(places.attention)
    sum(ours.values()).backward()
    query = next(n for n, _ in student.named_parameters() if "block1_query" in n)
    assert dict(student.named_parameters())[query].grad.abs().sum() > 0
