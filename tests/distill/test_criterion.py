"""Whole runs: methods combined, scheduled and logged, on real students in the one training loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.small_criterion import (
    BATCH,
    CLASSES,
    SAMPLES,
    RoundedSource,
    criterion_of,
    first_batch,
    live_source,
    small_layers,
    small_teacher,
    train_small,
    trained,
    training_set,
)
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Signal
from hwkd.core.student import Layers
from hwkd.core.teaching import TrainingSet
from hwkd.distill.checks import logit_methods
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.gradient_norms import ZeroGradientError
from hwkd.distill.pair_sampler import PairSampler
from hwkd.distill.sources import CachedSource, FunctionSource, LiveSource
from hwkd.distill.spec import parse_method
from hwkd.distill.taps import Places, discover_places
from hwkd.io.discovery import output_kind
from hwkd.nn.build import build_module
from hwkd.tasks.maps_head import MapsHead
from hwkd.tasks.pictures_head import PicturesHead

# Students of hwkd have no softmax attention to tap, so these run in the contract suite only.
_WITHOUT_STUDENT_TAPS = {"attention_maps", "value_relations"}
_SMALL = {"crd": "crd:negatives=8,dim=8", "embedding": "embedding:neighbours=4"}


_OF_MAPS = {name for name in METHODS.names() if METHODS.get(name).of_kind}
# Trained in tests/distill/test_thing_methods.py.
_OF_THINGS = {name for name in METHODS.names() if METHODS.get(name).of_things}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted({*METHODS.names()} - _WITHOUT_STUDENT_TAPS - _OF_MAPS - _OF_THINGS)
)
def test_every_method_trains_a_student_in_the_loop(name: str) -> None:
    student, result = train_small([_SMALL.get(name, name)])
    for record in result.epochs:
        assert all(math.isfinite(value) for value in record.losses.values())
        assert any(value > 0 for value in record.grad_norms.values())
    assert all(torch.isfinite(p).all() for p in student.parameters())


def _map_layers(channels: int) -> Layers:
    builder = LayersBuilder((1, 8, 8))
    fine = builder.conv(builder.image, "fine", channels, kernel=3)
    builder.tap("stage1", fine)
    builder.tap("stage2", builder.conv(fine, "coarse", 2 * channels, kernel=3, stride=2))
    builder.conv(fine, "logits", 3, norm=False)
    return builder.build()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", sorted({"pair_wise", "cwd", "logit_mse"} | _OF_MAPS - _OF_THINGS - {"gan_compression"})
)
def test_methods_of_maps_train_a_student_in_the_loop(name: str) -> None:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(SAMPLES, 1, 8, 8, generator=generator)
    labels = (inputs[:, 0] > 0).to(torch.int16) + (inputs[:, 0] > 1).to(torch.int16)
    labels[:, 0] = -1
    head = MapsHead(names=("low", "middle", "high"), grid=(8, 8))
    data = TrainingSet(copies=[inputs], labels=labels, head=head, batch_size=BATCH)
    student = build_module(_map_layers(4), seed=0)
    source = live_source(build_module(_map_layers(8), seed=1), [parse_method(name)])
    result = trained(criterion_of([name], student, source, data), student, data)
    for record in result.epochs:
        assert all(math.isfinite(value) for value in record.losses.values())
        assert record.grad_norms[next(n for n in record.grad_norms if n.startswith(name))] > 0
    assert all(torch.isfinite(p).all() for p in student.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("adversarial", ["hinge", "lsgan", "wgan-gp"])
def test_a_small_generator_learns_from_a_large_one_in_the_loop(adversarial: str) -> None:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(SAMPLES, 1, 8, 8, generator=generator)
    labels = torch.cat([inputs.abs(), inputs, -inputs], dim=1)
    head = PicturesHead(
        names=("red", "green", "blue"), answer_mean=(0.0,) * 3, answer_std=(1.0,) * 3, grid=(8, 8)
    )
    data = TrainingSet(copies=[inputs], labels=labels, head=head, batch_size=BATCH)
    text = f"gan_compression:adversarial={adversarial},ahead=0.5"
    student = build_module(_map_layers(4), seed=0)
    source = live_source(build_module(_map_layers(8), seed=1), [parse_method(text)])
    criterion = criterion_of([text], student, source, data)
    judged = [p.detach().clone() for p in criterion.parameters()]
    records = trained(criterion, student, data, epochs=4).epochs
    assert records[-1].losses["absolute_difference"] < records[0].losses["absolute_difference"]
    for record in records:
        assert all(math.isfinite(value) for value in record.losses.values())
        assert record.grad_norms["gan_compression"] > 0
        assert record.grad_norms["gan_compression_discriminator"] == 0
    # A constant that is added to all that a discriminator says is the same of both sides.
    pairs = zip(criterion.parameters(), judged, strict=True)
    assert all(not torch.equal(p, q) for p, q in pairs if p.dim() > 1)


def test_methods_on_logits_alone_are_named_for_the_kind_of_outputs() -> None:
    assert "kd" in logit_methods(output_kind("classes")).replace(" or ", ", ").split(", ")
    assert logit_methods(output_kind("class maps")) == "cwd_maps, holistic, logit_mse or pixel_wise"
    assert logit_methods(output_kind("pictures")) == "logit_mse"
    assert logit_methods(output_kind("values")) == "logit_mse"


def test_methods_of_maps_are_refused_for_other_outputs_and_other_sizes() -> None:
    with pytest.raises(
        ConfigError, match=r"ifv: is for class maps, and the task learns classes; use kd"
    ):
        criterion_of(["ifv"], build_module(small_layers(), seed=0), None, training_set())
    inputs, labels = torch.randn(4, 1, 8, 8), torch.zeros(4, 8, 8, dtype=torch.int16)
    head = MapsHead(names=("low", "middle", "high"), grid=(8, 8))
    data = TrainingSet(copies=[inputs], labels=labels, head=head, batch_size=4)
    student = build_module(_map_layers(4), seed=0)
    with pytest.raises(ConfigError, match=r"kd: compares or smooths .* use pixel_wise"):
        criterion_of(["kd"], student, None, data)
    small = FunctionSource(lambda given: np.zeros((len(given), 3, 4, 4), np.float32))
    with pytest.raises(ConfigError, match=r"3 x 8 x 8 .* the teacher's 3 x 4 x 4; give a teacher"):
        criterion_of(["pixel_wise"], student, small, data)


@pytest.mark.parametrize("name", ["kd", "at", "fitnet", "rkd", "jacobian", "reviewkd", "svd"])
def test_series_train_like_images(name: str) -> None:
    shape = (3, 20)
    student, data = build_module(small_layers(shape), seed=0), training_set(shape)
    source = live_source(small_teacher(shape), [parse_method(name)])
    result = trained(criterion_of([name], student, source, data), student, data)
    assert all(math.isfinite(value) for value in result.epochs[-1].losses.values())


def test_methods_combine_and_every_term_is_logged() -> None:
    _, result = train_small(["kd:weight=0.9", "at:weight=100", "rkd"])
    record = result.epochs[0]
    terms = {"kd", "at.1", "at.2", "rkd_distance", "rkd_angle"}
    assert set(record.losses) == {"cross_entropy"} | terms
    assert set(record.grad_norms) == terms


def test_weights_schedules_and_importance_multiply_terms() -> None:
    student, data = build_module(small_layers(), seed=0).eval(), training_set()
    source = live_source(small_teacher(), [parse_method("at")])
    plain = criterion_of(["at:weight=1"], student, source, data)(student, first_batch(data, 0.25))
    scaled = criterion_of(["at:weight=2,warmup=0.5"], student, source, data, importance=(3.0, 0.5))(
        student, first_batch(data, 0.25)
    )
    assert torch.isclose(scaled["at.1"], plain["at.1"] * 2 * 0.5 * 3.0)
    assert torch.isclose(scaled["at.2"], plain["at.2"] * 2 * 0.5 * 0.5)
    assert torch.equal(scaled["cross_entropy"], plain["cross_entropy"])


def test_two_stages_follow_each_other() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    texts = ["fitnet:stop=0.5", "kd:start=0.5"]
    source = live_source(small_teacher(), [parse_method(text) for text in texts])
    criterion = criterion_of(texts, student, source, data)
    assert set(criterion(student, first_batch(data, 0.2))) == {
        "cross_entropy",
        "fitnet.1",
        "fitnet.2",
    }
    assert set(criterion(student, first_batch(data, 0.7))) == {"cross_entropy", "kd"}


def test_adapters_are_trained_and_never_part_of_the_student() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    before = {name: t.shape for name, t in student.state_dict().items()}
    source = live_source(small_teacher(), [parse_method("fitnet")])
    criterion = criterion_of(["fitnet"], student, source, data)
    owned = {id(p) for p in criterion.parameters()}
    start = [p.detach().clone() for p in criterion.parameters()]
    trained(criterion, student, data)
    assert owned.isdisjoint({id(p) for p in student.parameters()})
    assert {name: t.shape for name, t in student.state_dict().items()} == before
    moved = [not torch.equal(a, b) for a, b in zip(start, criterion.parameters(), strict=True)]
    assert all(moved)


def test_layer_pairs_are_proposed_shown_and_overridden() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    source = live_source(small_teacher(), [parse_method("at")])
    proposed = criterion_of(["at"], student, source, data).pairs["at"]
    assert [(p.student, p.teacher) for p in proposed] == [(1, 1), (2, 3)]
    own = criterion_of(["at:pairs=2:2"], student, source, data)
    assert [(p.student, p.teacher) for p in own.pairs["at"]] == [(2, 2)]
    assert set(own(student, first_batch(data))) == {"cross_entropy", "at.1"}


def test_cached_and_live_teachers_train_the_same_student_bit_for_bit() -> None:
    data, states = training_set(views=2), []
    teacher = small_teacher()
    live = RoundedSource(live_source(teacher, [parse_method("kd")]))
    with torch.no_grad():
        stored = [teacher(view) for view in data.copies]
    cached = CachedSource([(z - z.mean(1, keepdim=True)).half() for z in stored])
    for source in (live, cached):
        student = build_module(small_layers(), seed=0)
        trained(criterion_of(["kd"], student, source, data), student, data, epochs=3)
        states.append(student.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("texts", "runs"),
    [
        (["fitnet:pairs=1:1"], [True, False, False, False]),
        (["fitnet:pairs=1:1", "at:pairs=2:2"], [True, True, False, False]),
        (["rkd"], [True, True, True, True]),
        (["fitnet:pairs=1:1", "kd"], [True, True, True, True]),
    ],
)
def test_a_teacher_is_run_as_far_as_methods_look(texts: list[str], runs: list[bool]) -> None:
    teacher, data = small_teacher(), training_set()
    student = build_module(small_layers(), seed=0)
    source = live_source(teacher, [parse_method(text) for text in texts])
    criterion = criterion_of(texts, student, source, data)
    names = ("first", "second", "third", "pool")
    counts = dict.fromkeys(names, 0)
    for name in names:
        teacher.steps[name].register_forward_hook(
            lambda *_, name=name: counts.__setitem__(name, counts[name] + 1)
        )
    narrowed = criterion(student, first_batch(data))
    assert [count > 0 for count in counts.values()] == runs
    source.start(student, data)
    whole = criterion(student, first_batch(data))
    assert all(torch.equal(narrowed[name], whole[name]) for name in whole)


def test_a_teacher_rests_while_no_term_looks_at_it() -> None:
    teacher, data = small_teacher(), training_set()
    student = build_module(small_layers(), seed=0)
    texts = ["fitnet:pairs=1:1,stop=0.3", "kd:start=0.6"]
    source = live_source(teacher, [parse_method(text) for text in texts])
    criterion = criterion_of(texts, student, source, data)
    runs: list[str] = []
    for name in ("first", "second", "pool"):
        teacher.steps[name].register_forward_hook(lambda *_, name=name: runs.append(name))
    found = {}
    for ratio, expected in (
        (0.0, ["first"]), (0.4, []), (0.7, ["first", "second", "pool"]), (0.1, ["first"]),
    ):  # fmt: skip
        runs.clear()
        found[ratio] = criterion(student, first_batch(data, ratio))
        assert runs == expected
    assert set(found[0.4]) == {"cross_entropy"}
    assert set(found[0.1]) == set(found[0.0]) == {"cross_entropy", "fitnet.1"}


def test_teacher_is_left_as_it_was() -> None:
    teacher, data = small_teacher(), training_set()
    before = {name: t.clone() for name, t in teacher.state_dict().items()}
    student = build_module(small_layers(), seed=0)
    source = live_source(teacher, [parse_method("fitnet"), parse_method("jacobian")])
    trained(criterion_of(["fitnet", "jacobian"], student, source, data), student, data)
    assert all(torch.equal(before[name], t) for name, t in teacher.state_dict().items())


def test_probing_leaves_the_student_as_it_was() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    before = {name: t.clone() for name, t in student.state_dict().items()}
    criterion_of(["at"], student, live_source(small_teacher(), [parse_method("at")]), data)
    assert student.training
    assert all(torch.equal(before[name], t) for name, t in student.state_dict().items())


def test_a_term_without_gradient_stops_the_run() -> None:
    class Constant(nn.Module):
        """A student whose features are caught without gradient, as the usual defect has it."""

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(1, 4, 3, padding=1)
            self.catch = nn.Identity()
            self.head = nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            maps = self.body(x)
            self.catch(maps.detach())
            logits: Tensor = self.head(maps.mean((2, 3)))
            return logits

    student, data = Constant(), training_set()
    criterion = DistillCriterion(
        [parse_method("at")],
        student=student,
        student_places=Places(features=("catch",)),
        source=live_source(small_teacher(), [parse_method("at")]),
        data=data,
    )
    with pytest.raises(
        ZeroGradientError, match=r"term at\.1: its gradient .* was 0 in the first 3"
    ):
        trained(criterion, student, data)


def test_unlabelled_samples_learn_from_the_teacher_alone() -> None:
    data = training_set()
    data.labels[BATCH // 2 :] = -1
    student = build_module(small_layers(), seed=0).eval()
    source = live_source(small_teacher(), [parse_method("kd")])
    criterion = criterion_of(["kd"], student, source, data)
    batch = first_batch(data)
    terms = criterion(student, batch)
    labelled = student(batch.inputs)[: BATCH // 2]
    # Each sample weighs the same in both terms, so half a batch of labels is half a mean.
    expected = functional.cross_entropy(labelled, data.labels[: BATCH // 2]) / 2
    assert torch.isclose(terms["cross_entropy"], expected, rtol=1e-5)
    batch.labels = torch.full_like(batch.labels, -1)
    assert float(criterion(student, batch)["cross_entropy"].detach()) == 0.0
    trained(criterion, student, data)


def test_partners_have_the_same_class_and_are_others() -> None:
    labels = torch.tensor([0, 1, 1, 2, 1, 0, 0])
    ids = torch.arange(7).repeat(200)
    partners = PairSampler(labels, seed=0).partners(ids)
    assert torch.equal(labels[partners], labels[ids])
    assert bool((partners[labels[ids] != 2] != ids[labels[ids] != 2]).all())
    drawn = partners[ids == 0].bincount(minlength=7)
    assert drawn[5] > 60
    assert drawn[6] > 60


def test_methods_with_their_own_cross_entropy_get_no_second_one() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    terms = criterion_of(["label_smoothing"], student, None, data)(student, first_batch(data))
    assert set(terms) == {"label_smoothing"}


def test_labels_teach_while_a_method_with_its_own_cross_entropy_is_off() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    criterion = criterion_of(["label_smoothing:start=0.5"], student, None, data)
    assert set(criterion(student, first_batch(data))) == {"cross_entropy"}
    assert set(criterion(student, first_batch(data, epoch_ratio=0.7))) == {"label_smoothing"}


def test_state_of_adapters_and_memories_round_trips() -> None:
    data, methods = training_set(), ["fitnet", "crd:negatives=8,dim=8"]
    student = build_module(small_layers(), seed=0).eval()
    source = live_source(small_teacher(), [parse_method(text) for text in methods])
    first = criterion_of(methods, student, source, data)
    first(student, first_batch(data))
    second = criterion_of(methods, student, source, data)
    second.load_state_dict(first.state_dict())
    expected, found = first(student, first_batch(data)), second(student, first_batch(data))
    assert {n: float(v.detach()) for n, v in found.items()} == {
        n: float(v.detach()) for n, v in expected.items()
    }


def test_a_method_that_brings_its_teacher_goes_beside_one_that_asks_for_one() -> None:
    student, data = build_module(small_layers(), seed=0), training_set()
    source = live_source(small_teacher(), [parse_method("kd")])
    both = criterion_of(["pskd", "kd"], student, source, data)(student, first_batch(data, 0.5))
    for name, given in (("pskd", None), ("kd", source)):
        alone = criterion_of([name], student, given, data)(student, first_batch(data, 0.5))
        assert torch.equal(both[name], alone[name])


def test_any_torch_teacher_is_tapped_where_its_stages_are_found() -> None:
    teacher = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )
    student, data = build_module(small_layers(), seed=0), training_set()
    needs = frozenset({Signal.LOGITS, Signal.FEATURES, Signal.EMBEDDING})
    source = LiveSource(teacher, discover_places(teacher, data.copies[0][:2]), needs)
    result = trained(criterion_of(["at", "pkt"], student, source, data), student, data)
    assert set(result.epochs[0].grad_norms) == {"at.1", "at.2", "pkt.1"}


def test_pairs_of_one_position_are_left_out_and_refused_when_asked_for() -> None:
    layers = small_layers((1, 2, 2))
    student, data = build_module(layers, seed=0), training_set((1, 2, 2))
    source = live_source(small_teacher((1, 2, 2)), [parse_method("at")])
    criterion = criterion_of(["at"], student, source, data)
    assert [(p.student, p.teacher) for p in criterion.pairs["at"]] == [(1, 1)]
    with pytest.raises(ConfigError, match="layer pair 1 has one position, which leaves nothing"):
        criterion_of(["at:pairs=2:2"], student, source, data)
    with pytest.raises(ConfigError, match="form=attention has no gradient"):
        criterion_of(["ft:form=attention,pairs=2:2"], student, source, data)


def test_the_students_past_is_part_of_a_checkpoint() -> None:
    data = training_set()
    student = build_module(small_layers(), seed=0)
    criterion = criterion_of(["pskd"], student, None, data)
    trained(criterion, student, data)
    state = {name: tensor.clone() for name, tensor in criterion.state_dict().items()}
    assert bool(state["source.pskd.is_seen"].any())
    other = criterion_of(["pskd"], student, None, data)
    other.load_state_dict(state)
    batch = first_batch(data)
    assert float(other(student, batch)["pskd"].detach()) == float(
        criterion(student, batch)["pskd"].detach()
    )
