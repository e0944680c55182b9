"""Every registered method, held to the same promises; a new file is tested before it has a test."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from support.fake_networks import (
    SERIES,
    TALL,
    TEACHER_SERIES,
    TEACHER_SQUARE,
    TEACHER_WIDE,
    Fake,
    copy_of,
    fake_batch,
    fake_network,
    run_shapes,
    small,
    total,
)
from torch import nn

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError
from hwkd.core.head import PICTURES
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill import losses
from hwkd.distill.checks import refuse_impossible
from hwkd.distill.method import Method, OptionRange
from hwkd.distill.spec import parse_method
from hwkd.io.discovery import discover

discover("hwkd.distill.losses")
# Those about boxes are held to the same in test_thing_losses.py.
NAMES = [name for name in METHODS.names() if not METHODS.get(name).of_things]
_SOURCES = ("arXiv", "CVPR", "ECCV", "ICCV", "own definition")

every_method = pytest.mark.parametrize("name", NAMES)


def _teacher(seed: int = 2, **options: Any) -> Fake:
    options.setdefault("maps", TEACHER_SQUARE)
    return fake_network(seed, dim=9, weights=((8, 5), (6, 3, 3, 3)), **options)


def _evaluate(
    method: Method, student: Fake, teacher: Fake, *, classes: int = 5
) -> dict[str, torch.Tensor]:
    count = len(student.views.need(Signal.LOGITS))
    batch = fake_batch(count, classes)
    torch.manual_seed(0)
    loss = method.build(run_shapes(student, teacher, batch))
    return loss(*_shown(method, student, teacher, batch))


def _shown(
    method: Method, student: Fake, teacher: Fake, batch: Batch
) -> tuple[Views, Views, Batch]:
    """Return what a loss is called with: maps, or pictures to draw, where it is for them."""
    ours, theirs = student.views, teacher.views
    if method.of_kind:
        ours = dataclasses.replace(ours, logits=_maps(ours))
        theirs = dataclasses.replace(theirs, logits=_maps(theirs))
    if method.of_kind == PICTURES:
        drawn = ours.need(Signal.LOGITS).detach().float()
        batch = dataclasses.replace(batch, labels=drawn.flip(0) + 0.5)
    return ours, theirs, batch


def _maps(views: Views) -> torch.Tensor:
    """Return logits that differ from position to position of a map."""
    logits = views.need(Signal.LOGITS)
    shares = torch.linspace(-1.0, 1.0, 12, dtype=logits.dtype).reshape(3, 4)
    return logits[:, :, None, None] * shares


def _assert_sound(terms: dict[str, torch.Tensor], student: Fake, teacher: Fake) -> None:
    assert terms
    for name, value in terms.items():
        assert value.dim() == 0, name
        assert value.dtype in (torch.float32, torch.float64), name
        assert torch.isfinite(value), name
    total(terms).backward()
    for gradient in student.gradients():
        assert torch.isfinite(gradient).all()
    assert not teacher.gradients()


def _numbers(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(value.detach()) for name, value in terms.items()}


def _gradient_size(student: Fake) -> float:
    return sum(float(gradient.abs().sum()) for gradient in student.gradients())


@every_method
def test_terms_are_finite_and_gradient_reaches_student_only(name: str) -> None:
    student, teacher = fake_network(1), _teacher()
    terms = _evaluate(small(METHODS.get(name)), student, teacher)
    _assert_sound(terms, student, teacher)
    assert _gradient_size(student) > 0


@every_method
def test_every_student_term_has_a_gradient(name: str) -> None:
    method, student = small(METHODS.get(name)), fake_network(1)
    terms = _evaluate(method, student, _teacher())
    assert terms
    for term, value in terms.items():
        found = torch.autograd.grad(value, student.leaves, retain_graph=True, allow_unused=True)
        size = sum(float(g.abs().sum()) for g in found if g is not None)
        is_auxiliary = term.startswith(method.auxiliary_terms) if method.auxiliary_terms else False
        assert (size == 0) == is_auxiliary, term


@every_method
@pytest.mark.parametrize(
    ("maps", "teacher_maps"),
    [(TALL, TEACHER_WIDE), (SERIES, TEACHER_SERIES), (SERIES, TEACHER_SQUARE)],
    ids=["non-square", "1-D", "1-D student of a 2-D teacher"],
)
def test_maps_of_any_shape(name: str, maps: Any, teacher_maps: Any) -> None:
    student, teacher = fake_network(1, maps=maps), _teacher(maps=teacher_maps)
    terms = _evaluate(small(METHODS.get(name)), student, teacher)
    _assert_sound(terms, student, teacher)
    assert _gradient_size(student) > 0


@every_method
def test_maps_of_one_position_work_or_are_refused(name: str) -> None:
    method, student = small(METHODS.get(name)), fake_network(1, maps=((4,), (6, 1), (8, 1, 1)))
    teacher = _teacher(maps=((8, 1, 1), (6, 1), (12,)))
    if method.needs_positions:
        with pytest.raises(ConfigError, match=f"method {name}: layer pair 1 has one position"):
            refuse_impossible(method, run_shapes(student, teacher, fake_batch()))
        return
    _assert_sound(_evaluate(method, student, teacher), student, teacher)
    assert _gradient_size(student) > 1e-6


@every_method
def test_batch_of_one_works_or_is_refused(name: str) -> None:
    method = small(METHODS.get(name))
    student, teacher = fake_network(1, batch=1), _teacher(batch=1)
    if method.min_batch > 1:
        shapes = run_shapes(student, teacher, fake_batch(1))
        with pytest.raises(ConfigError, match=f"method {name}: batches of 1 .* at least"):
            refuse_impossible(method, shapes)
        return
    _assert_sound(_evaluate(method, student, teacher), student, teacher)
    assert _gradient_size(student) > 0


@every_method
def test_smallest_batch_has_a_gradient(name: str) -> None:
    method = small(METHODS.get(name))
    student, teacher = (
        fake_network(1, batch=method.min_batch),
        _teacher(batch=method.min_batch),
    )
    _assert_sound(_evaluate(method, student, teacher), student, teacher)
    assert _gradient_size(student) > 0


@every_method
def test_two_classes_work_or_are_refused(name: str) -> None:
    method = small(METHODS.get(name))
    student, teacher = fake_network(1, classes=2), _teacher(classes=2)
    if method.min_classes > 2:
        shapes = run_shapes(student, teacher, fake_batch(8, 2))
        with pytest.raises(ConfigError, match=f"method {name}: 2 classes were given: .*use kd"):
            refuse_impossible(method, shapes)
        return
    terms = _evaluate(method, student, teacher, classes=2)
    _assert_sound(terms, student, teacher)
    assert _gradient_size(student) > 1e-6


@pytest.mark.parametrize(
    "name",
    [n for n in NAMES if METHODS.get(n).is_zero_at_teacher and METHODS.get(n).uses_teacher],
)
def test_identical_student_and_teacher_give_zero(name: str) -> None:
    method = small(METHODS.get(name))
    student = fake_network(1)
    teacher = copy_of(student)
    if Signal.INPUTS in method.needs:
        teacher = fake_network(1)
    terms = _evaluate(method, student, teacher)
    assert abs(float(total(terms).detach())) < 1e-6 * max(1.0, method_scale(method))
    total(terms).backward()
    for gradient in student.gradients():
        assert torch.isfinite(gradient).all()
        assert float(gradient.abs().max()) < 1e-4 * max(1.0, method_scale(method))


def method_scale(method: Method) -> float:
    """Return the largest weight inside a method: rkd's terms count 25 and 50 times."""
    numbers = [getattr(method, f.name) for f in dataclasses.fields(method)]
    return float(max((n for n in numbers if isinstance(n, float)), default=1.0))


@every_method
def test_half_precision_inputs_are_computed_in_float32(name: str) -> None:
    student = fake_network(1, dtype=torch.float16)
    teacher = _teacher(dtype=torch.float16)
    terms = _evaluate(small(METHODS.get(name)), student, teacher)
    _assert_sound(terms, student, teacher)


@every_method
def test_all_zero_features_have_finite_gradients(name: str) -> None:
    method = small(METHODS.get(name))
    for dead_student, dead_teacher in ((0.0, 1.0), (1.0, 0.0), (0.0, 0.0)):
        student = fake_network(1, feature_scale=dead_student)
        teacher = _teacher(feature_scale=dead_teacher)
        _assert_sound(_evaluate(method, student, teacher), student, teacher)


@every_method
def test_logits_of_ten_thousand_stay_finite(name: str) -> None:
    student, teacher = fake_network(1, logit_scale=1e4), _teacher(logit_scale=1e4)
    _assert_sound(_evaluate(small(METHODS.get(name)), student, teacher), student, teacher)


@every_method
def test_equal_logits_have_finite_gradients(name: str) -> None:
    student, teacher = fake_network(1, logit_scale=0.0), _teacher(logit_scale=0.0)
    flat = torch.zeros(8, 5, requires_grad=True)
    if Signal.INPUTS not in METHODS.get(name).needs:
        student.views = dataclasses.replace(student.views, logits=flat * 1.0)
        student.leaves.append(flat)
    _assert_sound(_evaluate(small(METHODS.get(name)), student, teacher), student, teacher)


@every_method
def test_float64_stays_float64(name: str) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        student, teacher = fake_network(1, dtype=torch.float64), _teacher(dtype=torch.float64)
        terms = _evaluate(small(METHODS.get(name)), student, teacher)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {value.dtype for value in terms.values()} == {torch.float64}


@every_method
def test_same_inputs_give_the_same_numbers(name: str) -> None:
    first, second = (
        _evaluate(small(METHODS.get(name)), fake_network(1), _teacher()) for _ in range(2)
    )
    assert _numbers(first) == _numbers(second)


@every_method
def test_state_round_trips(name: str) -> None:
    student, teacher, batch = fake_network(1), _teacher(), fake_batch()
    shapes = run_shapes(student, teacher, batch)
    method = small(METHODS.get(name))
    torch.manual_seed(0)
    loss = method.build(shapes)
    if not isinstance(loss, nn.Module):
        same: object = loss
        assert same is method
        return
    for _ in range(2):
        total(loss(*_shown(method, student, teacher, batch))).backward(retain_graph=True)
        with torch.no_grad():
            for parameter in loss.parameters():
                if parameter.grad is not None:
                    parameter.sub_(0.01 * parameter.grad)
                    parameter.grad = None
    torch.manual_seed(99)
    restored = method.build(shapes)
    assert isinstance(restored, nn.Module)
    restored.load_state_dict(loss.state_dict())
    expected = loss(*_shown(method, student, teacher, batch))
    found = restored(*_shown(method, student, teacher, batch))
    assert _numbers(found) == _numbers(expected)


def _wrong(allowed: OptionRange) -> list[Any]:
    """Return values outside a range."""
    wrong: list[Any] = ["nonsense"] if allowed.choices else []
    if allowed.above is not None or allowed.low is not None:
        wrong += [-1.0, float("nan")]
    if allowed.high is not None:
        wrong.append(allowed.high + 1)
    return wrong


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        (name, entry.name, value)
        for name in NAMES
        for entry in dataclasses.fields(METHODS.get(name))
        for value in _wrong(entry.metadata["range"])
    ],
)
def test_options_outside_their_range_are_refused(name: str, option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"method {name}: {option}="):
        METHODS.get(name)(**{option: value})


@every_method
def test_missing_taps_are_refused(name: str) -> None:
    method = small(METHODS.get(name))
    student, teacher, batch = fake_network(1), _teacher(), fake_batch()
    bare = Fake(Views(logits=student.views.logits))
    if not method.needs - {Signal.LOGITS, Signal.INPUTS}:
        refuse_impossible(method, run_shapes(student, teacher, batch))
        return
    with pytest.raises(ConfigError, match=f"method {name}: the student shows no"):
        refuse_impossible(method, run_shapes(bare, teacher, batch))


@every_method
def test_method_documents_itself(name: str) -> None:
    method_class = METHODS.get(name)
    assert method_class.name == name
    assert method_class.formula
    assert any(mark in method_class.paper for mark in _SOURCES)
    assert method_class.__doc__
    assert method_class.needs
    for entry in dataclasses.fields(method_class):
        assert entry.metadata["range"].meaning


def test_logit_methods_have_a_control_without_teacher() -> None:
    without_control = {
        name
        for name in NAMES
        if METHODS.get(name).family == "response"
        and METHODS.get(name)().no_teacher_control() is None
    }
    # These use the label themselves, and with labels for a teacher they are plain cross-entropy.
    assert without_control == {"mft", "ofa", "wsld"}


@pytest.mark.parametrize(
    "name", [n for n in NAMES if METHODS.get(n)().no_teacher_control() is not None]
)
def test_control_needs_no_teacher_and_reaches_the_student(name: str) -> None:
    control = METHODS.get(name)().no_teacher_control()
    assert control is not None
    assert not control.uses_teacher
    student = fake_network(1)
    terms = control.build(run_shapes(student, _teacher(), fake_batch()))(
        student.views, Views(), fake_batch()
    )
    total(terms).backward()
    assert _gradient_size(student) > 0


_NEW_METHOD = '''
"""A method that somebody added."""

from dataclasses import dataclass

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Signal
from hwkd.distill.method import LossMethod, both_logits, option


@METHODS.register("absolute_logits")
@dataclass(frozen=True, kw_only=True)
class AbsoluteLogits(LossMethod):
    """Mean absolute difference of logits."""

    scale: float = option(1.0, "factor", above=0)

    name = "absolute_logits"
    family = "response"
    formula = "mean |z_s - z_t|"
    paper = "own definition"
    needs = frozenset({Signal.LOGITS})

    def __call__(self, student, teacher, batch):
        ours, theirs = both_logits(student, teacher)
        return {"absolute_logits": self.scale * (ours - theirs.detach()).abs().mean()}
'''


def test_adding_a_method_is_one_file(tmp_path: Any, monkeypatch: Any, request: Any) -> None:
    (tmp_path / "absolute_logits.py").write_text(_NEW_METHOD)
    monkeypatch.setattr(losses, "__path__", [*losses.__path__, str(tmp_path)])
    monkeypatch.setattr(METHODS, "_items", dict(METHODS._items))
    discover.cache_clear()
    request.addfinalizer(discover.cache_clear)
    discover("hwkd.distill.losses")
    assert "absolute_logits" in METHODS.names()
    test_terms_are_finite_and_gradient_reaches_student_only("absolute_logits")
    test_identical_student_and_teacher_give_zero("absolute_logits")
    assert parse_method("absolute_logits:scale=2,weight=0.5").weight == 0.5
