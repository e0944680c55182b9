"""Multi-head graphs: learned relations between the samples of two layers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import as_maps, at_least_float32, kl_from_logits, unit
from hwkd.distill.method import RunShapes, Shape, TrainedMethod, option


@METHODS.register("mhgd")
@dataclass(frozen=True, kw_only=True)
class MultiHeadGraph(TrainedMethod):
    """Multi-head graph distillation (Lee and Song 2019); needs two or more layer pairs.

    Heads of attention relate the samples of an early layer to those of a late one. The teacher's
    heads learn to rebuild its late layer through the graph; the student's learn to give the same
    graph. The paper trains the teacher's heads first; here both are trained at once, without a
    gradient between them.
    """

    heads: int = option(4, "graphs", low=1)
    width: int = option(16, "length of queries and keys", low=1)

    name = "mhgd"
    family = "relation"
    formula = "mean_h,b KL(G_t ‖ G_s), G = softmax(q(early) k(late)ᵀ) over the batch"
    paper = "Lee and Song 2019, arXiv:1907.02226"
    needs = frozenset({Signal.FEATURES})
    min_batch = 2
    pools = False
    float32_only = True
    # Queries and keys start at random.
    is_zero_at_teacher = False
    auxiliary_terms = ("mhgd_teacher",)

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the heads."""
        del channels, teacher_channels
        return f"{self.heads} heads of attention"

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse fewer than two layer pairs."""
        pairs = len(shapes.student.features)
        if pairs < 2:
            return f"it relates an early to a late layer and got {pairs} layer pair; give 2 or more"
        return None

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its heads."""
        return _Graphs(self, shapes)


class _Graphs(nn.Module):
    def __init__(self, method: MultiHeadGraph, shapes: RunShapes) -> None:
        super().__init__()
        self.student = _Heads(method, shapes.student.features)
        self.teacher = _Heads(method, shapes.teacher.features)
        early, late = shapes.teacher.features[0][0], shapes.teacher.features[-1][0]
        self.rebuild = nn.Linear(method.heads * early, late)

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        ours = _vectors(student.features)
        theirs = tuple(v.detach() for v in _vectors(teacher.features))
        ours_graph, theirs_graph = self.student(*ours), self.teacher(*theirs)
        spread = (theirs_graph.softmax(2) @ theirs[0]).transpose(0, 1).flatten(1)
        return {
            "mhgd": kl_from_logits(ours_graph, theirs_graph.detach()).mean(),
            "mhgd_teacher": (unit(self.rebuild(spread), dim=1) - theirs[1]).square().sum(1).mean(),
        }


class _Heads(nn.Module):
    def __init__(self, method: MultiHeadGraph, features: tuple[Shape, ...]) -> None:
        super().__init__()
        self.heads, self.width = method.heads, method.width
        self.query = nn.Linear(features[0][0], method.heads * method.width)
        self.key = nn.Linear(features[-1][0], method.heads * method.width)

    def forward(self, early: Tensor, late: Tensor) -> Tensor:
        """Return scores, shape [heads, batch, batch]."""
        queries = self.query(early).unflatten(1, (self.heads, self.width)).transpose(0, 1)
        keys = self.key(late).unflatten(1, (self.heads, self.width)).transpose(0, 1)
        scores: Tensor = queries @ keys.transpose(1, 2) / self.width**0.5
        return scores


def _vectors(features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    early, late = at_least_float32(as_maps(features[0]), as_maps(features[-1]))
    return unit(early.mean((2, 3)), dim=1), unit(late.mean((2, 3)), dim=1)
