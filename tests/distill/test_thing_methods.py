"""Methods about boxes against closed forms."""

from __future__ import annotations

import pytest
import torch

from hwkd.core.boxes import NO_BOX
from hwkd.core.signals import Views
from hwkd.distill.losses.bounded import bounded_regression_loss
from hwkd.distill.losses.cross_head import aligned
from hwkd.distill.losses.focal import focal_loss
from hwkd.distill.losses.localisation import localisation_loss
from hwkd.distill.losses.masked import MaskedGeneration
from hwkd.distill.losses.pseudo_boxes import pseudo_boxes
from hwkd.distill.method import RunShapes, ViewShapes
from hwkd.tasks.boxes_head import boxes_head


def test_a_student_that_is_better_than_its_teacher_is_left_alone() -> None:
    true = torch.zeros(2, 4)
    student = torch.tensor([[1.0, 0, 0, 0], [3.0, 0, 0, 0]])
    teacher = torch.full((2, 4), 1.0)  # squared error 4 of each
    value, active = bounded_regression_loss(student, teacher, true)
    assert active.tolist() == [0.0, 1.0]
    assert value.item() == pytest.approx(9 / 2)
    assert bounded_regression_loss(student, teacher, true, margin=3.5)[1].tolist() == [1.0, 1.0]


def test_bells_far_from_the_ends_diverge_by_their_squared_distance() -> None:
    # Two normal distributions of one deviation: KL is (difference / deviation)^2 / 2.
    places, spread, temperature = torch.arange(60.0), 1.5, 2.0
    bells = [-((places - at) ** 2) / (2 * spread**2) for at in (30.0, 31.0)]
    student, teacher = (bell.expand(1, 4, -1).double() for bell in bells)
    value = localisation_loss(student, teacher, torch.ones(1).double(), temperature=temperature)
    divergence = 1 / (2 * spread**2 * temperature)
    assert value.item() == pytest.approx(temperature**2 * divergence / 60, rel=1e-4)


def test_maps_that_a_box_covers_whole_have_no_ground() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 1, 3, 4, 4, generator=generator)
    parts = focal_loss(student, teacher, [torch.tensor([[0.0, 0, 32, 32]])], picture=(32, 32))
    assert parts.background == 0
    nothing = focal_loss(student, teacher, [torch.zeros(0, 4)], picture=(32, 32))
    assert nothing.foreground == 0
    assert nothing.background > 0


def test_each_step_hides_other_positions_and_a_checkpoint_goes_on_with_them() -> None:
    maps = torch.randn(4, 6, 5, 5, generator=torch.Generator().manual_seed(1))
    views = Views(features=(maps,))
    shapes = RunShapes(
        student=ViewShapes.of(views), teacher=ViewShapes.of(views), samples=4, classes=2, batch=4
    )
    torch.manual_seed(0)
    loss = MaskedGeneration().build(shapes)
    first, second = (loss(views, views, None)["mgd.1"].item() for _ in range(2))
    assert first != second
    other = MaskedGeneration().build(shapes)
    other.load_state_dict(loss.state_dict())
    assert other(views, views, None)["mgd.1"].item() == loss(views, views, None)["mgd.1"].item()


def test_a_map_that_differs_by_scale_and_offset_alone_is_aligned_with_the_teacher() -> None:
    teacher = torch.randn(3, 4, 5, 6, generator=torch.Generator().manual_seed(2)).double()
    student = teacher * torch.tensor([2.0, 0.5, 3.0, 1.0])[:, None, None] - 7.0
    torch.testing.assert_close(aligned(student, teacher), teacher, rtol=1e-4, atol=1e-4)


def test_what_a_teacher_sees_becomes_boxes_and_what_it_doubts_does_not() -> None:
    head = boxes_head(("cat", "dog"), most=2)
    outputs = torch.full((1, 6, 4, 4), -9.0)
    outputs[0, 2:] = 0.0
    outputs[0, 1, 1, 2] = 3.0
    outputs[0, 0, 3, 0] = -1.0  # a probability of .27
    outputs[0, 2:, 1, 2] = torch.tensor([1.0, 0.5, 1.0, 1.5])
    outputs[0, 2:, 3, 0] = 0.5
    boxes = pseudo_boxes(outputs, head, surest=0.5)
    # The cell at row 1, column 2 has its middle at (20, 12) and sides of 8 pixels.
    assert boxes[0, 0].tolist() == [1.0, 12.0, 8.0, 28.0, 24.0]
    assert (boxes[0, 1:, 0] == NO_BOX).all()
    assert pseudo_boxes(outputs, head, surest=0.2)[0, 1, 0] == 0.0
