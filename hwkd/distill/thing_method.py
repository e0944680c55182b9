"""Methods about things: labels are boxes, outputs have a position for each cell of a picture."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hwkd.core.box_targets import wanted_outputs
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32
from hwkd.distill.method import Family, Loss, Method, RunShapes


@dataclass(frozen=True, slots=True, kw_only=True)
class ThingMaps:
    """Outputs of both sides beside the boxes of a batch.

    Attributes:
        student: class logits, shape [batch, classes, height, width].
        teacher: likewise, without gradient.
        student_edges: distances of four edges in cells, shape [batch, 4, height, width], or none.
        teacher_edges: likewise.
        wanted_edges: of the smallest box that a cell belongs to.
        owned: cells that belong to one, shape [batch, height, width].
        boxes: number of boxes, at least 1.
    """

    student: Tensor
    teacher: Tensor
    student_edges: Tensor
    teacher_edges: Tensor
    wanted_edges: Tensor
    owned: Tensor
    boxes: Tensor

    @classmethod
    def of(cls, student: Tensor, teacher: Tensor, labels: Tensor, *, edges: int) -> ThingMaps:
        """Take outputs apart; the last `edges` of them are edges."""
        ours, theirs = at_least_float32(student, teacher.detach())
        classes = ours.shape[1] - edges
        height, width = ours.shape[2:]
        wanted = wanted_outputs(labels, classes=classes, grid=(height, width))
        return cls(
            student=ours[:, :classes],
            teacher=theirs[:, :classes],
            student_edges=ours[:, classes:],
            teacher_edges=theirs[:, classes:],
            wanted_edges=wanted.edges.to(ours.dtype),
            owned=wanted.owned,
            boxes=(labels[..., 0] >= 0).sum().clamp(min=1),
        )

    def at_owned(self, maps: Tensor) -> Tensor:
        """Return maps, [batch, channels, height, width], at the owned cells, [cells, channels]."""
        return maps.movedim(1, -1)[self.owned]


class ThingMethod(Method):
    """Compares outputs at the cells of things; one term of the method's name."""

    family: ClassVar[Family] = "response"
    needs = frozenset({Signal.LOGITS})
    of_things = True
    float32_only = True

    @abstractmethod
    def compare(self, maps: ThingMaps) -> Tensor:
        """Return a scalar."""

    def build(self, shapes: RunShapes) -> Loss:
        """Return the loss, which knows how many outputs are edges."""
        return _Compared(self, shapes.edges or 0)


class _Compared:
    def __init__(self, method: ThingMethod, edges: int) -> None:
        self._method, self._edges = method, edges

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        maps = ThingMaps.of(
            student.need(Signal.LOGITS),
            teacher.need(Signal.LOGITS),
            batch.labels,
            edges=self._edges,
        )
        return {self._method.name: self._method.compare(maps)}
