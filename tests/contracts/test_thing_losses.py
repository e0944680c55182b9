"""Every registered method about boxes, held to what all methods promise."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.errors import ConfigError
from hwkd.core.signals import Batch, Views
from hwkd.distill.checks import refuse_impossible, refuse_of_classes
from hwkd.distill.method import Method, RunShapes, ViewShapes
from hwkd.io.discovery import discover
from hwkd.tasks.boxes_head import boxes_head
from hwkd.tasks.classes_head import ClassesHead
from hwkd.tasks.points_head import points_head

discover("hwkd.distill.losses")
NAMES = [name for name in METHODS.names() if METHODS.get(name).of_things]
HEADS = {"boxes": boxes_head(("cat", "dog"), most=2), "points": points_head(("cat", "dog"), most=2)}
every_method = pytest.mark.parametrize("name", NAMES)


def _views(seed: int, outputs: int, channels: int, dtype: torch.dtype = torch.float32) -> Views:
    """Return views of 3 pictures of 32x48 pixels, whose outputs a convolution makes of the map."""
    generator = torch.Generator().manual_seed(seed)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype).requires_grad_()

    weight, bias, last = leaf(outputs, channels, 1, 1), leaf(outputs, 1, 1), leaf(3, channels, 4, 6)
    logits = nn.functional.conv2d(last, weight) + bias
    return Views(logits=logits, features=(leaf(3, 5, 8, 12), last), weights=(weight,))


def _batch(*, some_unknown: bool) -> Batch:
    boxes = torch.full((3, 2, 5), -1.0)
    boxes[0, 0] = torch.tensor([1.0, 3.0, 4.0, 27.0, 30.0])
    boxes[0, 1] = torch.tensor([0.0, 20.0, 2.0, 47.0, 20.0])
    boxes[1, 0] = torch.tensor([0.0, 0.0, 0.0, 48.0, 32.0])
    boxes[2, :, 0] = -2.0 if some_unknown else -1.0
    return Batch(
        labels=boxes, inputs=torch.zeros(3, 1, 32, 48), sample_ids=torch.arange(3), epoch_ratio=0.5
    )


def _shapes(student: Views, teacher: Views, head: Any) -> RunShapes:
    return RunShapes(
        student=ViewShapes.of(student), teacher=ViewShapes.of(teacher), samples=3,
        classes=head.size, of_classes=False, batch=3, head=head, has_unlabelled=True,
    )  # fmt: skip


def _terms(
    method: Method, kind: str, dtype: torch.dtype = torch.float32
) -> tuple[dict[str, Tensor], Views, Views]:
    head = HEADS[kind]
    student, teacher = _views(1, head.size, 5, dtype), _views(2, head.size, 7, dtype)
    loss = method.build(_shapes(student, teacher, head))
    terms = loss(student, teacher, _batch(some_unknown=True))
    return terms, student, teacher


def _leaves(views: Views) -> list[Tensor]:
    return [leaf for leaf in (*views.features, *views.weights) if leaf.is_leaf]


def _kinds(name: str) -> list[str]:
    return ["boxes"] if METHODS.get(name).needs_edges else ["boxes", "points"]


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n in NAMES for k in _kinds(n)])
def test_every_term_is_finite_and_has_a_gradient_at_the_student_alone(name: str, kind: str) -> None:
    terms, student, teacher = _terms(METHODS.get(name)(), kind)
    assert terms
    for term, value in terms.items():
        assert value.dim() == 0
        found = torch.autograd.grad(value, _leaves(student), retain_graph=True, allow_unused=True)
        assert sum(float(g.abs().sum()) for g in found if g is not None) > 0, term
        assert all(torch.isfinite(g).all() for g in found if g is not None)
        of_teacher = torch.autograd.grad(
            value, _leaves(teacher), retain_graph=True, allow_unused=True
        )
        assert not any(g is not None and g.any() for g in of_teacher)


@every_method
def test_half_precision_becomes_float32(name: str) -> None:
    terms, _, _ = _terms(METHODS.get(name)(), "boxes", torch.float16)
    assert all(torch.isfinite(value) and value.dtype == torch.float32 for value in terms.values())


@every_method
def test_pictures_without_a_thing_add_nothing_wrong(name: str) -> None:
    head = HEADS["boxes"]
    student, teacher = _views(1, head.size, 5), _views(2, head.size, 7)
    batch = _batch(some_unknown=False)
    batch.labels[..., 0] = -1.0
    loss = METHODS.get(name)().build(_shapes(student, teacher, head))
    terms = loss(student, teacher, batch)
    torch.stack(list(terms.values())).sum().backward()
    assert all(
        torch.isfinite(leaf.grad).all() for leaf in _leaves(student) if leaf.grad is not None
    )


# The others keep the teacher's entropy, or train a part that starts at random.
@pytest.mark.parametrize("name", [n for n in NAMES if METHODS.get(n).is_zero_at_teacher])
def test_the_teacher_itself_is_not_wrong(name: str) -> None:
    method, head = METHODS.get(name)(), HEADS["boxes"]
    student, teacher = _views(1, head.size, 5), _views(1, head.size, 5)
    terms = method.build(_shapes(student, teacher, head))(
        student, teacher, _batch(some_unknown=True)
    )
    assert abs(sum(float(value.detach()) for value in terms.values())) < 1e-6


@every_method
def test_classes_are_refused_in_one_line(name: str) -> None:
    kind = ClassesHead.numbered(3).kind
    with pytest.raises(ConfigError, match=f"method {name}: is about boxes.* use kd"):
        refuse_of_classes(METHODS.get(name)(), kind)


def test_points_have_no_edges_to_compare() -> None:
    with pytest.raises(
        ConfigError, match="method ld: is about boxes, and the task learns points; use"
    ):
        refuse_of_classes(METHODS.get("ld")(), HEADS["points"].kind)


def test_pseudo_boxes_need_pictures_without_boxes() -> None:
    head = HEADS["boxes"]
    views = _views(1, head.size, 5)
    shapes = replace(_shapes(views, views, head), has_unlabelled=False)
    with pytest.raises(ConfigError, match="method pseudo_boxes: every picture has boxes; give"):
        refuse_impossible(METHODS.get("pseudo_boxes")(), shapes)


def test_a_teacher_that_ends_otherwise_is_refused_before_training() -> None:
    head = HEADS["boxes"]
    views = _views(1, head.size, 5)
    other = replace(views, weights=(torch.zeros(head.size, 9),))
    with pytest.raises(ConfigError, match=r"method crosskd: .* does not become its outputs"):
        refuse_impossible(METHODS.get("crosskd")(), _shapes(views, other, head))


@every_method
def test_methods_document_themselves(name: str) -> None:
    method_class = METHODS.get(name)
    assert method_class.name == name
    assert any(mark in method_class.paper for mark in ("arXiv", "NeurIPS"))
    assert method_class.__doc__
    assert all(entry.metadata["range"].meaning for entry in fields(method_class))
