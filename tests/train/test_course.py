"""Trainings one after another: who teaches whom, and gates that end a course."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teaching import StillSource, TeacherSource, TrainingSet, TrainingStep
from hwkd.core.trial import EpochRecord
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.sources import CachedSource, LiveSource
from hwkd.distill.spec import parse_methods
from hwkd.distill.taps import Places
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.course import Finished, Stage, run_course
from hwkd.train.criteria import Criterion

CLASSES, FEATURES, SAMPLES = 3, 6, 96
LOGITS = frozenset({Signal.LOGITS})
HEAD = ClassesHead.numbered(CLASSES)
Past = Sequence[Finished[nn.Linear]]


def made_batches() -> TensorBatches:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(SAMPLES, FEATURES, generator=generator)
    return TensorBatches([inputs], inputs[:, :CLASSES].argmax(1))


BATCHES = made_batches()
DATA = TrainingSet(copies=BATCHES.copies, labels=BATCHES.labels, head=HEAD, batch_size=16)


def fresh(seed: int) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(FEATURES, CLASSES)


def taught(*methods: str) -> Callable[[nn.Linear, TeacherSource | None], Criterion]:
    """Return what a student minimises whose teacher, if it has one, is followed by methods."""

    def criterion(student: nn.Linear, source: TeacherSource | None) -> Criterion:
        return DistillCriterion(
            parse_methods(methods) if methods else (),
            student=student,
            student_places=Places(),
            source=source,
            data=DATA,
        )

    return criterion


def stage(
    name: str,
    *methods: str,
    student: Callable[[Past], nn.Linear],
    source: Callable[[Past], TeacherSource | None] = lambda _: None,
    gate: Callable[[Past], bool] = lambda _: True,
) -> Stage[nn.Linear]:
    return Stage(
        name=name,
        student=student,
        source=source,
        criterion=taught(*methods),
        batches=BATCHES,
        config=TrainConfig(epochs=3, batch_size=16),
        gate=gate,
    )


def last_one(past: Past) -> TeacherSource:
    return LiveSource(past[-1].student, Places(), LOGITS)


def test_each_born_again_generation_learns_from_the_one_before() -> None:
    heard: list[str] = []

    def on_epoch(name: str, record: EpochRecord) -> None:
        heard.append(f"{name} {record.epoch} {'+'.join(sorted(record.losses))}")

    course = run_course(
        [
            stage("first", student=lambda _: fresh(0)),
            stage("second", "kd", student=lambda _: fresh(1), source=last_one),
            stage("third", "kd", student=lambda _: fresh(2), source=last_one),
        ],
        on_epoch=on_epoch,
    )
    assert [done.name for done in course.finished] == ["first", "second", "third"]
    assert course.closed is None
    loss = HEAD.loss_name
    assert heard[2:4] == [f"first 3 {loss}", f"second 1 {loss}+kd"]
    # The same generation with outputs that its teacher gave beforehand ends with the same weights.
    first, second, _ = (done.student for done in course.finished)
    with torch.no_grad():
        stored = CachedSource([first(BATCHES.copies[0])])
    alone = stage("second", "kd", student=lambda _: fresh(1), source=lambda _: stored)
    (again,) = run_course([alone]).finished
    assert torch.allclose(again.student.weight, second.weight, atol=1e-5)
    assert not torch.equal(first.weight, second.weight)


def test_a_closed_gate_ends_the_course_and_is_named() -> None:
    made: list[int] = []

    def student(number: int) -> Callable[[Past], nn.Linear]:
        def make(_: Past) -> nn.Linear:
            made.append(number)
            return fresh(number)

        return make

    def is_learning(past: Past) -> bool:
        losses = [epoch.losses[HEAD.loss_name] for epoch in past[-1].training.epochs]
        return losses[-1] < losses[0]

    course = run_course(
        [
            stage("large", student=student(0)),
            stage("medium", student=student(1), gate=is_learning),
            stage("small", student=student(2), gate=lambda past: len(past) > 2),
            stage("never", student=student(3)),
        ]
    )
    assert [done.name for done in course.finished] == ["large", "medium"]
    assert course.closed == "small"
    assert made == [0, 1]


def test_snapshots_of_one_student_teach_the_next_together() -> None:
    class Together(StillSource):
        cached = LOGITS

        def __init__(self, past: Past) -> None:
            self._weights = [done.student.weight.detach().clone() for done in past]

        def views(self, batch: Batch) -> Views:
            outputs = [batch.inputs @ weight.T for weight in self._weights]
            return Views(logits=torch.stack([z.softmax(1) for z in outputs]).mean(0).log())

    course = run_course(
        [
            stage("cycle 1", student=lambda _: fresh(0)),
            stage("cycle 2", student=lambda past: fresh_from(past[-1].student)),
            stage("last", "kd", student=lambda _: fresh(1), source=Together),
        ]
    )
    first, second, last = (done.student for done in course.finished)
    assert not torch.equal(first.weight, second.weight)
    assert "kd" in course.finished[-1].training.epochs[-1].losses
    assert torch.isfinite(last.weight).all()


def fresh_from(student: nn.Linear) -> nn.Linear:
    copied = fresh(0)
    copied.load_state_dict(student.state_dict())
    return copied


class LearningSource(StillSource):
    """A teacher with a parameter of its own, that counts the steps it saw."""

    cached = LOGITS

    def __init__(self) -> None:
        self.offset = nn.Parameter(torch.zeros(CLASSES))
        self.steps = torch.zeros(())
        self.students: list[nn.Module] = []

    def start(self, student: nn.Module, data: TrainingSet) -> None:
        assert len(data.labels) == SAMPLES
        self.students.append(student)

    def views(self, batch: Batch) -> Views:
        return Views(logits=batch.inputs[:, :CLASSES] + self.offset)

    def observe(self, step: TrainingStep) -> None:
        assert step.student.need(Signal.LOGITS).requires_grad
        self.steps += 1

    def parameters(self) -> Sequence[nn.Parameter]:
        return (self.offset,)

    def state(self) -> dict[str, Tensor]:
        return {"steps": self.steps}


def test_a_source_lives_with_the_training_and_its_parameters_are_trained() -> None:
    source = LearningSource()
    student = fresh(0)
    course = run_course([stage("one", "kd", student=lambda _: student, source=lambda _: source)])
    (done,) = course.finished
    assert source.students == [student]
    assert int(source.steps) == done.training.steps == 18
    assert isinstance(done.criterion, DistillCriterion)
    assert source.offset in set(done.criterion.parameters())
    assert done.criterion.state_dict()["source.teacher.steps"] is source.steps
