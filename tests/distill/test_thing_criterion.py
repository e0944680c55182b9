"""Methods about boxes with the detectors of hwkd: a student of the space, and its own teacher."""

from __future__ import annotations

import pytest
import torch

from hwkd.core.catalog import METHODS, SEARCH_SPACES
from hwkd.core.chooser import RandomChooser
from hwkd.core.signals import Batch
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.sources import LiveSource
from hwkd.distill.spec import parse_method
from hwkd.distill.taps import discover_places, student_places
from hwkd.io.discovery import discover
from hwkd.nn.build import build_module
from hwkd.tasks.boxes_head import boxes_head
from hwkd.train.teacher_net import MirrorAveraged, TeacherNetConfig, build_teacher_net

discover("hwkd.distill.losses")
discover("hwkd.search_spaces")
HEAD = boxes_head(("cat", "dog"), most=2)
SHAPE, COUNT = (1, 32, 32), 6
NAMES = [*(name for name in METHODS.names() if METHODS.get(name).of_things), "mgd", "cwd", "pkd"]


def _data() -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.full((COUNT, 2, 5), -1.0)
    boxes[:, 0] = torch.tensor([1.0, 3.0, 4.0, 25.0, 30.0])
    boxes[-2:, :, 0] = -2.0  # of two pictures nothing is known
    pictures = torch.randn(COUNT, *SHAPE, generator=generator)
    return TrainingSet(copies=[pictures], labels=boxes, head=HEAD, batch_size=COUNT)


@pytest.mark.parametrize("name", NAMES)
def test_every_method_about_boxes_pulls_at_a_detector(name):
    data, methods = _data(), [parse_method(name)]
    spec = SEARCH_SPACES.get("detector").suggest(
        RandomChooser(1), input_shape=SHAPE, num_outputs=HEAD.size
    )
    student = build_module(SEARCH_SPACES.get("detector").layers(spec), seed=0)
    torch.manual_seed(0)
    teacher = build_teacher_net(SHAPE, HEAD.size, TeacherNetConfig(width=4), kind=HEAD.kind)
    # Of an untrained network, the answer to a mirror image is another one.
    shown = teacher.eval() if name == "crosskd" else MirrorAveraged(teacher, HEAD.kind).eval()
    places = discover_places(shown, data.copies[0])
    criterion = DistillCriterion(
        methods,
        student=student,
        student_places=student_places(student.layers),
        source=LiveSource(shown, places, needed_signals(methods)),
        data=data,
    )
    student.train()
    ids = torch.arange(COUNT)
    terms = criterion(student, Batch(inputs=data.copies[0], labels=data.labels, sample_ids=ids))
    assert set(terms) > {"things"}
    assert all(torch.isfinite(value) for value in terms.values())
    assert all(norm > 0 for norm in criterion.take_gradient_norms().values())
