"""A criterion on small students and teachers, and a training with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from hwkd.core.layers_builder import LayersBuilder
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.student import Layers
from hwkd.core.teaching import StillSource, TeacherSource, TrainingSet
from hwkd.distill.criterion import DistillCriterion, needed_signals
from hwkd.distill.sources import LiveSource
from hwkd.distill.spec import WeightedMethod, parse_method
from hwkd.distill.taps import student_places
from hwkd.io.discovery import discover
from hwkd.nn.build import StudentModule, build_module
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.loop import TrainConfig, TrainResult, train_module

discover("hwkd.distill.losses")
SAMPLES, CLASSES, BATCH = 48, 4, 16


def small_layers(input_shape: tuple[int, ...] = (1, 8, 6), classes: int = CLASSES) -> Layers:
    builder = LayersBuilder(input_shape)
    stem = builder.conv(builder.image, "stem", 4, kernel=3, activation="relu")
    builder.tap("stage1", stem)
    down = builder.conv(stem, "down", 6, kernel=3, stride=2, activation="relu")
    builder.tap("stage2", down)
    builder.classifier(down, classes)
    return builder.build()


def small_teacher(
    input_shape: tuple[int, ...] = (1, 8, 6), classes: int = CLASSES
) -> StudentModule:
    builder = LayersBuilder(input_shape)
    first = builder.conv(builder.image, "first", 8, kernel=3, activation="relu")
    builder.tap("stage1", first)
    second = builder.conv(first, "second", 12, kernel=3, stride=2, activation="relu")
    builder.tap("stage2", second)
    third = builder.conv(second, "third", 12, kernel=3, activation="relu")
    builder.tap("stage3", third)
    builder.classifier(third, classes)
    return build_module(builder.build(), seed=7)


def training_set(
    input_shape: tuple[int, ...] = (1, 8, 6), views: int = 1, classes: int = CLASSES
) -> TrainingSet:
    generator = torch.Generator().manual_seed(3)
    inputs = [torch.randn(SAMPLES, *input_shape, generator=generator) for _ in range(views)]
    labels = torch.arange(SAMPLES) % classes
    return TrainingSet(
        copies=inputs, labels=labels, head=ClassesHead.numbered(classes), batch_size=BATCH
    )


def live_source(teacher: StudentModule, methods: Sequence[WeightedMethod]) -> LiveSource:
    return LiveSource(teacher, student_places(teacher.layers), needed_signals(methods))


class RoundedSource(StillSource):
    """A live teacher whose logits are rounded as the cache stores them."""

    cached = None

    def __init__(self, live: LiveSource) -> None:
        self._live = live

    def views(self, batch: Batch) -> Views:
        logits = self._live.views(batch).need(Signal.LOGITS)
        return Views(logits=(logits - logits.mean(-1, keepdim=True)).half().float())


def criterion_of(
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


def trained(
    criterion: DistillCriterion, student: nn.Module, data: TrainingSet, epochs: int = 2
) -> TrainResult:
    config = TrainConfig(epochs=epochs, batch_size=BATCH)
    return train_module(student, TensorBatches(data.copies, data.labels), criterion, config)


def train_small(texts: Sequence[str], **options: object) -> tuple[StudentModule, TrainResult]:
    student, data = build_module(small_layers(), seed=0), training_set()
    source = live_source(small_teacher(), [parse_method(text) for text in texts])
    criterion = criterion_of(texts, student, source, data, **options)
    return student, trained(criterion, student, data)


def first_batch(data: TrainingSet, epoch_ratio: float = 0.0, count: int = BATCH) -> Batch:
    ids = torch.arange(count)
    return Batch(
        inputs=data.copies[0][ids],
        labels=data.labels[ids],
        sample_ids=ids,
        copy=0,
        epoch_ratio=epoch_ratio,
    )
