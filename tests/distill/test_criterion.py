"""Whole runs: methods combined, scheduled and logged, on real students in the one training loop."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError, TeacherError
from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Signal, Views
from hwkd.core.student import Layers
from hwkd.core.teaching import StillSource, TeacherSource, TrainingSet
from hwkd.distill.checks import logit_methods
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.gradient_norms import ZeroGradientError
from hwkd.distill.pair_sampler import PairSampler
from hwkd.distill.sources import CachedSource, FunctionSource, LiveSource
from hwkd.distill.spec import WeightedMethod, parse_method
from hwkd.distill.taps import Places, discover_places, student_places
from hwkd.io.discovery import discover, output_kind
from hwkd.nn.build import StudentModule, build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.maps_head import MapsHead
from hwkd.tasks.pictures_head import PicturesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.loop import Batch, TrainConfig, TrainResult, train_module

discover("hwkd.distill.losses")
SAMPLES, CLASSES, BATCH = 48, 4, 16


def _layers(input_shape: tuple[int, ...] = (1, 8, 6), classes: int = CLASSES) -> Layers:
    builder = LayersBuilder(input_shape)
    stem = builder.conv(builder.image, "stem", 4, kernel=3, activation="relu")
    builder.tap("stage1", stem)
    down = builder.conv(stem, "down", 6, kernel=3, stride=2, activation="relu")
    builder.tap("stage2", down)
    builder.classifier(down, classes)
    return builder.build()


def _teacher(input_shape: tuple[int, ...] = (1, 8, 6), classes: int = CLASSES) -> StudentModule:
    builder = LayersBuilder(input_shape)
    first = builder.conv(builder.image, "first", 8, kernel=3, activation="relu")
    builder.tap("stage1", first)
    second = builder.conv(first, "second", 12, kernel=3, stride=2, activation="relu")
    builder.tap("stage2", second)
    third = builder.conv(second, "third", 12, kernel=3, activation="relu")
    builder.tap("stage3", third)
    builder.classifier(third, classes)
    return build_module(builder.build(), seed=7)


def _data(
    input_shape: tuple[int, ...] = (1, 8, 6), views: int = 1, classes: int = CLASSES
) -> TrainingSet:
    generator = torch.Generator().manual_seed(3)
    inputs = [torch.randn(SAMPLES, *input_shape, generator=generator) for _ in range(views)]
    labels = torch.arange(SAMPLES) % classes
    return TrainingSet(
        copies=inputs, labels=labels, head=ClassesHead.numbered(classes), batch_size=BATCH
    )


def _live(teacher: StudentModule, methods: Sequence[WeightedMethod]) -> LiveSource:
    return LiveSource(teacher, student_places(teacher.layers), needed_signals(methods))


class _RoundedSource(StillSource):
    """A live teacher whose logits are rounded as the cache stores them."""

    cached = None

    def __init__(self, live: LiveSource) -> None:
        self._live = live

    def views(self, batch: Batch) -> Views:
        logits = self._live.views(batch).need(Signal.LOGITS)
        return Views(logits=(logits - logits.mean(-1, keepdim=True)).half().float())


def _criterion(
    texts: Sequence[str],
    student: StudentModule,
    source: TeacherSource | None,
    data: TrainingSet,
    **options: object,
) -> DistillCriterion:
    return DistillCriterion(
        [parse_method(text) for text in texts],
        student=student,
        student_places=student_places(student.layers),
        source=source,
        data=data,
        **options,
    )


def _train(
    criterion: DistillCriterion, student: nn.Module, data: TrainingSet, epochs: int = 2
) -> TrainResult:
    config = TrainConfig(epochs=epochs, batch_size=BATCH)
    return train_module(student, TensorBatches(data.copies, data.labels), criterion, config)


def _run(texts: Sequence[str], **options: object) -> tuple[StudentModule, TrainResult]:
    student, data = build_module(_layers(), seed=0), _data()
    source = _live(_teacher(), [parse_method(text) for text in texts])
    criterion = _criterion(texts, student, source, data, **options)
    return student, _train(criterion, student, data)


def _batch(data: TrainingSet, epoch_ratio: float = 0.0, count: int = BATCH) -> Batch:
    ids = torch.arange(count)
    return Batch(
        inputs=data.copies[0][ids],
        labels=data.labels[ids],
        sample_ids=ids,
        copy=0,
        epoch_ratio=epoch_ratio,
    )


# Students of hwkd have no softmax attention to tap, so these run in the contract suite only.
_WITHOUT_STUDENT_TAPS = {"attention_maps", "value_relations"}
_SMALL = {"crd": "crd:negatives=8,dim=8", "embedding": "embedding:neighbours=4"}


_OF_MAPS = {name for name in METHODS.names() if METHODS.get(name).of_kind}
# Trained in tests/distill/test_thing_methods.py.
_OF_THINGS = {name for name in METHODS.names() if METHODS.get(name).of_things}


@pytest.mark.parametrize(
    "name", sorted({*METHODS.names()} - _WITHOUT_STUDENT_TAPS - _OF_MAPS - _OF_THINGS)
)
def test_every_method_trains_a_student_in_the_loop(name: str) -> None:
    student, result = _run([_SMALL.get(name, name)])
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
    source = _live(build_module(_map_layers(8), seed=1), [parse_method(name)])
    result = _train(_criterion([name], student, source, data), student, data)
    for record in result.epochs:
        assert all(math.isfinite(value) for value in record.losses.values())
        assert record.grad_norms[next(n for n in record.grad_norms if n.startswith(name))] > 0
    assert all(torch.isfinite(p).all() for p in student.parameters())


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
    source = _live(build_module(_map_layers(8), seed=1), [parse_method(text)])
    criterion = _criterion([text], student, source, data)
    judged = [p.detach().clone() for p in criterion.parameters()]
    records = _train(criterion, student, data, epochs=4).epochs
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
        _criterion(["ifv"], build_module(_layers(), seed=0), None, _data())
    inputs, labels = torch.randn(4, 1, 8, 8), torch.zeros(4, 8, 8, dtype=torch.int16)
    head = MapsHead(names=("low", "middle", "high"), grid=(8, 8))
    data = TrainingSet(copies=[inputs], labels=labels, head=head, batch_size=4)
    student = build_module(_map_layers(4), seed=0)
    with pytest.raises(ConfigError, match=r"kd: compares or smooths .* use pixel_wise"):
        _criterion(["kd"], student, None, data)
    small = FunctionSource(lambda given: np.zeros((len(given), 3, 4, 4), np.float32))
    with pytest.raises(ConfigError, match=r"3 x 8 x 8 .* the teacher's 3 x 4 x 4; give a teacher"):
        _criterion(["pixel_wise"], student, small, data)


@pytest.mark.parametrize("name", ["kd", "at", "fitnet", "rkd", "jacobian", "reviewkd", "svd"])
def test_series_train_like_images(name: str) -> None:
    shape = (3, 20)
    student, data = build_module(_layers(shape), seed=0), _data(shape)
    source = _live(_teacher(shape), [parse_method(name)])
    result = _train(_criterion([name], student, source, data), student, data)
    assert all(math.isfinite(value) for value in result.epochs[-1].losses.values())


def test_methods_combine_and_every_term_is_logged() -> None:
    _, result = _run(["kd:weight=0.9", "at:weight=100", "rkd"])
    record = result.epochs[0]
    terms = {"kd", "at.1", "at.2", "rkd_distance", "rkd_angle"}
    assert set(record.losses) == {"cross_entropy"} | terms
    assert set(record.grad_norms) == terms


def test_weights_schedules_and_importance_multiply_terms() -> None:
    student, data = build_module(_layers(), seed=0).eval(), _data()
    source = _live(_teacher(), [parse_method("at")])
    plain = _criterion(["at:weight=1"], student, source, data)(student, _batch(data, 0.25))
    scaled = _criterion(["at:weight=2,warmup=0.5"], student, source, data, importance=(3.0, 0.5))(
        student, _batch(data, 0.25)
    )
    assert torch.isclose(scaled["at.1"], plain["at.1"] * 2 * 0.5 * 3.0)
    assert torch.isclose(scaled["at.2"], plain["at.2"] * 2 * 0.5 * 0.5)
    assert torch.equal(scaled["cross_entropy"], plain["cross_entropy"])


def test_two_stages_follow_each_other() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    texts = ["fitnet:stop=0.5", "kd:start=0.5"]
    source = _live(_teacher(), [parse_method(text) for text in texts])
    criterion = _criterion(texts, student, source, data)
    assert set(criterion(student, _batch(data, 0.2))) == {"cross_entropy", "fitnet.1", "fitnet.2"}
    assert set(criterion(student, _batch(data, 0.7))) == {"cross_entropy", "kd"}


def test_adapters_are_trained_and_never_part_of_the_student() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    before = {name: t.shape for name, t in student.state_dict().items()}
    source = _live(_teacher(), [parse_method("fitnet")])
    criterion = _criterion(["fitnet"], student, source, data)
    owned = {id(p) for p in criterion.parameters()}
    start = [p.detach().clone() for p in criterion.parameters()]
    _train(criterion, student, data)
    assert owned.isdisjoint({id(p) for p in student.parameters()})
    assert {name: t.shape for name, t in student.state_dict().items()} == before
    moved = [not torch.equal(a, b) for a, b in zip(start, criterion.parameters(), strict=True)]
    assert all(moved)


def test_layer_pairs_are_proposed_shown_and_overridden() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    source = _live(_teacher(), [parse_method("at")])
    proposed = _criterion(["at"], student, source, data).pairs["at"]
    assert [(p.student, p.teacher) for p in proposed] == [(1, 1), (2, 3)]
    own = _criterion(["at:pairs=2:2"], student, source, data)
    assert [(p.student, p.teacher) for p in own.pairs["at"]] == [(2, 2)]
    assert set(own(student, _batch(data))) == {"cross_entropy", "at.1"}


def test_cached_and_live_teachers_train_the_same_student_bit_for_bit() -> None:
    data, states = _data(views=2), []
    teacher = _teacher()
    live = _RoundedSource(_live(teacher, [parse_method("kd")]))
    with torch.no_grad():
        stored = [teacher(view) for view in data.copies]
    cached = CachedSource([(z - z.mean(1, keepdim=True)).half() for z in stored])
    for source in (live, cached):
        student = build_module(_layers(), seed=0)
        _train(_criterion(["kd"], student, source, data), student, data, epochs=3)
        states.append(student.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_teacher_is_left_as_it_was() -> None:
    teacher, data = _teacher(), _data()
    before = {name: t.clone() for name, t in teacher.state_dict().items()}
    student = build_module(_layers(), seed=0)
    source = _live(teacher, [parse_method("fitnet"), parse_method("jacobian")])
    _train(_criterion(["fitnet", "jacobian"], student, source, data), student, data)
    assert all(torch.equal(before[name], t) for name, t in teacher.state_dict().items())


def test_probing_leaves_the_student_as_it_was() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    before = {name: t.clone() for name, t in student.state_dict().items()}
    _criterion(["at"], student, _live(_teacher(), [parse_method("at")]), data)
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

    student, data = Constant(), _data()
    criterion = DistillCriterion(
        [parse_method("at")],
        student=student,
        student_places=Places(features=("catch",)),
        source=_live(_teacher(), [parse_method("at")]),
        data=data,
    )
    with pytest.raises(
        ZeroGradientError, match=r"term at\.1: its gradient .* was 0 in the first 3"
    ):
        _train(criterion, student, data)


def test_unlabelled_samples_learn_from_the_teacher_alone() -> None:
    data = _data()
    data.labels[BATCH // 2 :] = -1
    student = build_module(_layers(), seed=0).eval()
    source = _live(_teacher(), [parse_method("kd")])
    criterion = _criterion(["kd"], student, source, data)
    batch = _batch(data)
    terms = criterion(student, batch)
    labelled = student(batch.inputs)[: BATCH // 2]
    # Each sample weighs the same in both terms, so half a batch of labels is half a mean.
    expected = functional.cross_entropy(labelled, data.labels[: BATCH // 2]) / 2
    assert torch.isclose(terms["cross_entropy"], expected, rtol=1e-5)
    batch.labels = torch.full_like(batch.labels, -1)
    assert float(criterion(student, batch)["cross_entropy"].detach()) == 0.0
    _train(criterion, student, data)


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
    student, data = build_module(_layers(), seed=0), _data()
    terms = _criterion(["label_smoothing"], student, None, data)(student, _batch(data))
    assert set(terms) == {"label_smoothing"}


def test_labels_teach_while_a_method_with_its_own_cross_entropy_is_off() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    criterion = _criterion(["label_smoothing:start=0.5"], student, None, data)
    assert set(criterion(student, _batch(data))) == {"cross_entropy"}
    assert set(criterion(student, _batch(data, epoch_ratio=0.7))) == {"label_smoothing"}


def test_state_of_adapters_and_memories_round_trips() -> None:
    data, methods = _data(), ["fitnet", "crd:negatives=8,dim=8"]
    student = build_module(_layers(), seed=0).eval()
    source = _live(_teacher(), [parse_method(text) for text in methods])
    first = _criterion(methods, student, source, data)
    first(student, _batch(data))
    second = _criterion(methods, student, source, data)
    second.load_state_dict(first.state_dict())
    expected, found = first(student, _batch(data)), second(student, _batch(data))
    assert {n: float(v.detach()) for n, v in found.items()} == {
        n: float(v.detach()) for n, v in expected.items()
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attention_maps", "method attention_maps: the student shows no attention"),
        ("fitnet:pairs=1:9", "pairs=1:9: the teacher has no stage 9; it has 3"),
        ("crd:dim=4096,memory_mib=1,negatives=8", "48 samples needs 2 MiB, memory_mib allows 1"),
        ("embedding:neighbours=16", "neighbours=16 needs a batch of at least 17"),
    ],
)
def test_impossible_runs_are_refused_before_training(text: str, message: str) -> None:
    student, data = build_module(_layers(), seed=0), _data()
    source = _live(_teacher(), [parse_method(text)])
    with pytest.raises(ConfigError, match=message):
        _criterion([text], student, source, data)


def test_the_side_without_the_signal_is_named() -> None:
    data, student = _data(), build_module(_layers(), seed=0)
    source = LiveSource(
        _teacher(), Places(features=("steps.first",)), needed_signals([parse_method("ab")])
    )
    with pytest.raises(ConfigError, match="the teacher shows no preactivations; name its modules"):
        _criterion(["ab"], student, source, data)


def test_a_teacher_whose_shapes_follow_the_samples_is_refused_before_training() -> None:
    class Ragged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(1, 4, 3)
            self.head = nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            maps: Tensor = self.body(x if len(x) < BATCH else x[..., :4])
            logits: Tensor = self.head(maps.mean((2, 3)))
            return logits

    source = LiveSource(Ragged(), Places(features=("body",)), needed_signals([parse_method("at")]))
    shapes = r"features changed shape between batches: \(\(4, 6, 4\),\) and then \(\(4, 6, 2\),\)"
    with pytest.raises(TeacherError, match=shapes):
        _criterion(["at"], build_module(_layers(), seed=0), source, _data())


def test_a_tap_without_a_row_per_sample_is_refused() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rows = nn.Flatten(0, 1)
            self.head = nn.Linear(48, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            self.rows(x[:, 0])
            logits: Tensor = self.head(x.flatten(1))
            return logits

    source = LiveSource(Tokens(), Places(features=("rows",)), needed_signals([parse_method("sp")]))
    with pytest.raises(ConfigError, match=r"tap 'rows': gives shape \(32, 6\) for 4 samples"):
        _criterion(["sp"], build_module(_layers(), seed=0), source, _data())


def test_class_counts_must_agree() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    source = _live(_teacher(classes=7), [parse_method("kd")])
    with pytest.raises(ConfigError, match="the student has 4 classes and the teacher 7"):
        _criterion(["kd"], student, source, data)


def test_methods_that_need_a_teacher_say_so() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    with pytest.raises(ConfigError, match="method kd: it needs a teacher and none was given"):
        _criterion(["kd"], student, None, data)


def test_cached_teacher_without_the_signal_is_refused() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    source = CachedSource([torch.zeros(SAMPLES, CLASSES)])
    with pytest.raises(ConfigError, match="the cached teacher holds no features; use a live"):
        _criterion(["at"], student, source, data)
    with pytest.raises(ConfigError, match="teacher's side cannot be stored; use a live teacher"):
        _criterion(["jacobian"], student, source, data)


def test_label_methods_refuse_unlabelled_samples() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    data.labels[0] = -1
    with pytest.raises(ConfigError, match="method dkd: it needs the label of every sample"):
        _criterion(["dkd"], student, _live(_teacher(), [parse_method("dkd")]), data)
    with pytest.raises(ConfigError, match="method cskd: it needs the label of every sample"):
        _criterion(["cskd"], student, None, data)


def test_a_method_that_brings_its_teacher_goes_beside_one_that_asks_for_one() -> None:
    student, data = build_module(_layers(), seed=0), _data()
    source = _live(_teacher(), [parse_method("kd")])
    both = _criterion(["pskd", "kd"], student, source, data)(student, _batch(data, 0.5))
    for name, given in (("pskd", None), ("kd", source)):
        alone = _criterion([name], student, given, data)(student, _batch(data, 0.5))
        assert torch.equal(both[name], alone[name])


def test_any_torch_teacher_is_tapped_where_its_stages_are_found() -> None:
    teacher = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )
    student, data = build_module(_layers(), seed=0), _data()
    needs = frozenset({Signal.LOGITS, Signal.FEATURES, Signal.EMBEDDING})
    source = LiveSource(teacher, discover_places(teacher, data.copies[0][:2]), needs)
    result = _train(_criterion(["at", "pkt"], student, source, data), student, data)
    assert set(result.epochs[0].grad_norms) == {"at.1", "at.2", "pkt.1"}


def test_pairs_of_one_position_are_left_out_and_refused_when_asked_for() -> None:
    layers = _layers((1, 2, 2))
    student, data = build_module(layers, seed=0), _data((1, 2, 2))
    source = _live(_teacher((1, 2, 2)), [parse_method("at")])
    criterion = _criterion(["at"], student, source, data)
    assert [(p.student, p.teacher) for p in criterion.pairs["at"]] == [(1, 1)]
    with pytest.raises(ConfigError, match="layer pair 1 has one position, which leaves nothing"):
        _criterion(["at:pairs=2:2"], student, source, data)
    with pytest.raises(ConfigError, match="form=attention has no gradient"):
        _criterion(["ft:form=attention,pairs=2:2"], student, source, data)


def test_the_students_past_is_part_of_a_checkpoint() -> None:
    data = _data()
    student = build_module(_layers(), seed=0)
    criterion = _criterion(["pskd"], student, None, data)
    _train(criterion, student, data)
    state = {name: tensor.clone() for name, tensor in criterion.state_dict().items()}
    assert bool(state["source.pskd.is_seen"].any())
    other = _criterion(["pskd"], student, None, data)
    other.load_state_dict(state)
    batch = _batch(data)
    assert float(other(student, batch)["pskd"].detach()) == float(
        criterion(student, batch)["pskd"].detach()
    )
