"""Measures what a method adds to a training step of a 19,000-parameter student.

Times are processor time of this process: with one thread they are what a clock on the wall would
show on a machine that does nothing else, and other work on the machine does not count.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from hwkd.core.head import PICTURES, Head
from hwkd.core.signals import Batch, Signal, Views
from hwkd.core.teaching import TrainingSet
from hwkd.distill.criterion import DistillCriterion
from hwkd.distill.method import Loss, Method, RunShapes, ViewShapes
from hwkd.distill.sources import LiveSource
from hwkd.distill.spec import WeightedMethod
from hwkd.distill.taps import Places

BATCH = 128
CLASSES = 12
# A second of speech as 49 frames of 10 cepstral coefficients.
INPUT_SHAPE = (1, 49, 10)
_STUDENT_CHANNELS, _TEACHER_CHANNELS = 57, 96
_STUDENT_MAP, _TEACHER_MAP = (25, 5), (25, 5)
# Of maps of classes, which hold a class for each position.
_CLASS_MAP = (25, 5)
_SAMPLES = 4096
_STAGES = 3
# A slow method is timed fewer times.
_FEWEST, _LONGEST_S = 3, 1.0
# Their cost lies in further passes through the networks, not in the loss itself.
_PASSES = frozenset({Signal.INPUTS})


def reference_student() -> nn.Module:
    """Return the student whose step is the unit: DS-CNN of four blocks, about 19,000 parameters."""
    layers: list[nn.Module] = [_block(1, _STUDENT_CHANNELS, (10, 4), stride=2, padding=(5, 1))]
    for _ in range(4):
        layers.append(_block(_STUDENT_CHANNELS, _STUDENT_CHANNELS, (3, 3), groups=True))
        layers.append(_block(_STUDENT_CHANNELS, _STUDENT_CHANNELS, (1, 1)))
    head = nn.Sequential(
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(_STUDENT_CHANNELS, CLASSES)
    )
    student = nn.Sequential(nn.Sequential(*layers), head)
    # The layout that students train in, the faster one for few channels.
    for weight in student.parameters():
        if weight.dim() == 4:
            weight.data = weight.data.to(memory_format=torch.channels_last)
    return student


def measure_step_s(head: Head, *, repeats: int = 30) -> float:
    """Return the median time of one step on hard labels: forward, backward and optimizer.

    Args:
        head: of `CLASSES` classes.
    """
    student = reference_student()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3, fused=True)
    inputs, labels = _inputs(), torch.randint(CLASSES, (BATCH,))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(head.loss(student(inputs), labels))
        optimizer.step()

    return _median_s(step, repeats)


def measure_method_s(method: Method, head: Head, *, repeats: int = 10) -> float:
    """Return the median time that a method adds to a step: its forward and backward pass.

    Views are random tensors of the shapes that `reference_student` and a teacher of 96 channels
    show. Methods that run a network again are measured as whole steps, less those without them.

    Args:
        head: of `CLASSES` classes.
    """
    torch.manual_seed(0)
    if method.needs & _PASSES or method.own_source() is not None:
        extra = _measure_passes_s(method, head, repeats)
        extra -= _measure_passes_s(None, head, repeats)
        return max(0.0, extra)
    grid = _CLASS_MAP if method.of_kind else ()
    student, leaves = _views(_STUDENT_CHANNELS, _STUDENT_MAP, grid)
    teacher, _ = _views(_TEACHER_CHANNELS, _TEACHER_MAP, grid)
    teacher = teacher.map(Tensor.detach)
    batch = Batch(
        inputs=torch.zeros(BATCH, *INPUT_SHAPE),
        labels=torch.randn(BATCH, CLASSES, *grid)
        if method.of_kind == PICTURES
        else torch.randint(CLASSES, (BATCH, *grid)),
        sample_ids=torch.randperm(_SAMPLES)[:BATCH],
        epoch_ratio=0.5,
    )
    shapes = RunShapes(
        student=ViewShapes.of(student),
        teacher=ViewShapes.of(teacher),
        samples=_SAMPLES,
        classes=CLASSES,
        batch=BATCH,
    )
    loss: Loss = method.build(shapes)

    def step() -> None:
        terms = loss(student, teacher, batch)
        torch.autograd.backward(torch.stack(tuple(terms.values())).sum())
        for leaf in leaves:
            leaf.grad = None

    return _median_s(step, repeats)


def _measure_passes_s(method: Method | None, head: Head, repeats: int) -> float:
    student, teacher = reference_student(), reference_student()
    inputs, labels = _inputs(), torch.randint(CLASSES, (BATCH,))
    entries = [] if method is None else [WeightedMethod(method=method, weight=1.0)]
    needs = frozenset({Signal.LOGITS}) if method is None else method.needs
    criterion = DistillCriterion(
        entries,
        student=student,
        student_places=Places(),
        source=LiveSource(teacher, Places(), needs) if method and method.uses_teacher else None,
        data=TrainingSet(copies=[inputs], labels=labels, head=head, batch_size=BATCH),
    )
    batch = Batch(inputs=inputs, labels=labels, sample_ids=torch.arange(BATCH), epoch_ratio=0.5)

    def step() -> None:
        terms = criterion(student, batch)
        torch.autograd.backward(torch.stack(tuple(terms.values())).sum())

    return _median_s(step, repeats)


def _views(
    channels: int, size: tuple[int, int], grid: tuple[int, ...]
) -> tuple[Views, list[Tensor]]:
    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape).requires_grad_()

    maps = [leaf(BATCH, channels, *size) for _ in range(_STAGES)]
    before = [leaf(BATCH, channels, *size) for _ in range(_STAGES)]
    scores, values = leaf(BATCH, 2, 25, 25), leaf(BATCH, 2, 25, 16)
    weights = [leaf(channels, channels, 1, 1) for _ in range(_STAGES)]
    logits, embedding = leaf(BATCH, CLASSES, *grid), leaf(BATCH, channels)
    views = Views(
        logits=logits,
        embedding=embedding,
        features=tuple(maps),
        preactivations=tuple(before),
        attention=(scores.softmax(-1).detach().requires_grad_(),),
        values=(values,),
        weights=tuple(weights),
    )
    return views, [logits, embedding, *maps, *before, values, *weights, *views.attention]


def _inputs() -> Tensor:
    return torch.randn(BATCH, *INPUT_SHAPE).contiguous(memory_format=torch.channels_last)


def _median_s(step: Callable[[], None], repeats: int) -> float:
    step()  # the first pass allocates and, for convolutions, chooses kernels
    times: list[float] = []
    while len(times) < repeats and (len(times) < _FEWEST or sum(times) < _LONGEST_S):
        started = time.process_time()
        step()
        times.append(time.process_time() - started)
    return statistics.median(times)


def _block(
    in_channels: int,
    out_channels: int,
    kernel: tuple[int, int],
    *,
    stride: int = 1,
    padding: tuple[int, int] | None = None,
    groups: bool = False,
) -> nn.Sequential:
    padding = padding or (kernel[0] // 2, kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            stride,
            padding,
            groups=in_channels if groups else 1,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )
