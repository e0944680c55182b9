"""A discriminator that was trained beside a teacher of pictures goes on beside its student."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.drawn import write_drawn
from support.small_criterion import BATCH, criterion_of
from torch import Tensor

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Batch
from hwkd.core.student import Layers
from hwkd.core.teaching import TrainingSet
from hwkd.distill.adversary import Discriminator
from hwkd.distill.criterion import needed_signals
from hwkd.distill.sources import AnsweredSource, CachedSource, LiveSource
from hwkd.distill.spec import parse_method
from hwkd.distill.taps import discover_places, student_places
from hwkd.nn.build import build_module
from hwkd.tasks.base import TaskData
from hwkd.tasks.draw import DrawTask
from hwkd.tasks.pictures_head import PicturesHead
from hwkd.train.teacher_module import ModuleTeacher
from hwkd.train.teacher_net import TeacherNetConfig
from hwkd.train.teacher_trained import TeacherTraining, train_or_load_teacher

METHOD = parse_method("gan_compression:width=4")


@pytest.fixture
def data(tmp_path: Path) -> TaskData:
    return DrawTask().data(write_drawn(tmp_path / "drawn", examples=24))


def teacher_of(data: TaskData, cache: Path, *, judged: bool = True) -> ModuleTeacher:
    return train_or_load_teacher(
        data, TeacherTraining(net=TeacherNetConfig(width=4), epochs=2), device=torch.device("cpu"),
        lesson=METHOD.method.teacher_lesson() if judged else None, cache_dir=cache,
    )  # fmt: skip


def first_judge(teacher: ModuleTeacher, data: TaskData, beside: dict[str, Tensor]) -> list[Tensor]:
    """Return the weights with which a discriminator begins beside a student."""
    inputs, labels = (torch.tensor(np.array(a)) for a in (data.train.inputs, data.train.labels))
    learned = TrainingSet(copies=[inputs], labels=labels, head=data.head, batch_size=BATCH)
    source = LiveSource(
        teacher.module, discover_places(teacher.module, inputs[:2]), needed_signals([METHOD]),
        beside=beside,
    )  # fmt: skip
    student = build_module(_layers(data.input_shape), seed=0)
    state = criterion_of([METHOD.describe()], student, source, learned).state_dict()
    return [state[name] for name in sorted(state) if ".judge.body." in f".{name}"]


def test_a_teacher_brings_the_discriminator_of_its_training_out_of_the_cache_too(data, tmp_path):
    made, again = teacher_of(data, tmp_path), teacher_of(data, tmp_path)
    assert (made.is_from_cache, again.is_from_cache) == (False, True)
    assert made.identity == again.identity
    assert again.description.endswith("beside a discriminator (hinge, width 4, 0.05)")
    trained = [made.beside[name] for name in sorted(made.beside) if name.startswith("body.")]
    assert trained and all(
        torch.equal(one, other)
        for one, other in zip(first_judge(again, data, again.beside), trained, strict=True)
    )
    fresh = first_judge(again, data, {})
    assert not any(torch.equal(o, t) for o, t in zip(fresh, trained, strict=True) if t.dim() > 1)


def test_a_teacher_that_learned_from_targets_alone_is_another_one(data, tmp_path):
    judged, alone = teacher_of(data, tmp_path), teacher_of(data, tmp_path, judged=False)
    assert (alone.is_from_cache, dict(alone.beside)) == (False, {})
    assert judged.identity != alone.identity


def test_pictures_of_a_teacher_are_looked_up_where_the_batch_moved_and_features_guide_at_first():
    inputs = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    head = PicturesHead(names=("grey",), answer_mean=(0.0,), answer_std=(1.0,), grid=(8, 8))
    learned = TrainingSet(copies=[inputs], labels=inputs.abs(), head=head, batch_size=4)
    teacher, student = (build_module(_layers((1, 8, 8)), seed=seed) for seed in (1, 0))
    text = "gan_compression:width=4,follows=teacher,guided=0.3,ahead=0"
    live = LiveSource(teacher, student_places(teacher.layers), needed_signals([parse_method(text)]))
    kept = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    criterion = criterion_of([text], student, AnsweredSource(live, CachedSource([kept])), learned)
    runs: list[str] = []
    for name in ("fine", "coarse", "logits"):
        teacher.steps[name].register_forward_hook(lambda *_, name=name: runs.append(name))
    mirrored = torch.arange(64).view(1, 8, 8).flip(-1).expand(4, -1, -1)
    terms = {}
    for ratio in (0.0, 0.5):
        batch = Batch(
            inputs=inputs[:4].flip(-1), labels=inputs[:4].abs().flip(-1),
            sample_ids=torch.arange(4), epoch_ratio=ratio, positions=mirrored,
        )  # fmt: skip
        terms[ratio] = criterion(student.eval(), batch)["gan_compression"]
        assert runs == ["fine", "coarse"]  # in the first step, and not for the pictures
    drawn, judge = student(batch.inputs), criterion.state_dict()
    weights = {n.split("judge.")[1]: t for n, t in judge.items() if ".judge." in n}
    made = Discriminator(2, 4)
    made.load_state_dict(weights)
    judged = made(torch.cat([drawn, batch.inputs], dim=1)).mean()
    away = (drawn - kept[:4].flip(-1)).abs().mean()
    torch.testing.assert_close(terms[0.5], 0.01 * (100.0 * away - 10.0 * judged))
    assert terms[0.0] > terms[0.5]


def _layers(shape: tuple[int, ...]) -> Layers:
    builder = LayersBuilder(shape)
    fine = builder.conv(builder.image, "fine", 4, kernel=3)
    builder.tap("stage1", fine)
    builder.tap("stage2", builder.conv(fine, "coarse", 8, kernel=3, stride=2))
    builder.conv(fine, "logits", 1, norm=False)
    return builder.build()
