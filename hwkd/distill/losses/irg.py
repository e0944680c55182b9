"""Instance relationship graph: samples are vertices, distances edges; layers transform it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32, flat, squared_distances
from hwkd.distill.method import LossMethod, RunShapes, option

_EPS = 1e-12


def graph_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Return the difference of edges, plus that of vertices where the shapes agree.

    Edges are squared distances divided by the largest of the batch; both are means of squares.

    Args:
        student_embedding: shape [batch, dim].
        teacher_embedding: shape [batch, any dim].

    Source:
        Liu et al. 2019, CVPR, "Knowledge Distillation via Instance Relationship Graph", section
        3.2. KD-Zoo has another, incompatible form.
    """
    loss = (_edges(student_embedding) - _edges(teacher_embedding)).square().mean()
    if student_embedding.shape == teacher_embedding.shape:
        loss = loss + (student_embedding - teacher_embedding).square().mean()
    return loss


def transform_loss(
    student_maps: tuple[Tensor, Tensor], teacher_maps: tuple[Tensor, Tensor]
) -> Tensor:
    """Return how differently two layers of each network transform the graph.

    The squared difference of two scalars: the mean squared change of edges from the first to the
    second layer, student against teacher; and the same for vertices where both networks keep the
    shape.

    Args:
        student_maps: two layers, shape [batch, ...] each.
        teacher_maps: two layers, shape [batch, ...] each.

    Source:
        Liu et al. 2019, section 3.3; scalars are compared, as in the authors' code.
    """
    loss = (_edge_change(*student_maps) - _edge_change(*teacher_maps)).square()
    if all(first.shape == second.shape for first, second in (student_maps, teacher_maps)):
        ours, theirs = (
            (first - second).square().mean() for first, second in (student_maps, teacher_maps)
        )
        loss = loss + (ours - theirs).square()
    return loss


def _edges(features: Tensor) -> Tensor:
    distances = squared_distances(flat(features))
    return distances / (distances.amax() + _EPS)


def _edge_change(first: Tensor, second: Tensor) -> Tensor:
    return (_edges(first) - _edges(second)).square().mean()


@METHODS.register("irg")
@dataclass(frozen=True, kw_only=True)
class InstanceGraph(LossMethod):
    """Instance relationship graph (Liu et al. 2019); needs embeddings and two layer pairs."""

    graph: float = option(1.0, "weight of edges and vertices", low=0)
    transform: float = option(1.0, "weight of the change between layers", low=0)

    name = "irg"
    family = "relation"
    formula = "w_g (MSE of edges + MSE of vertices) + w_t (change_s − change_t)²"
    paper = "Liu et al. 2019, CVPR"
    needs = frozenset({Signal.EMBEDDING, Signal.FEATURES})
    # Two samples have one distance, which is always the largest.
    min_batch = 3
    pools = False
    float32_only = True

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse fewer than two layer pairs."""
        pairs = len(shapes.student.features)
        if self.transform > 0 and pairs < 2:
            return f"it compares changes between layers and got {pairs} layer pair; give 2 or more"
        return None

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms "irg_graph" and "irg_transform"."""
        del batch
        ours, theirs = at_least_float32(
            student.need(Signal.EMBEDDING), teacher.need(Signal.EMBEDDING).detach()
        )
        terms = {"irg_graph": self.graph * graph_loss(ours, theirs)}
        if self.transform > 0:
            student_maps = at_least_float32(*student.features)
            teacher_maps = at_least_float32(*(t.detach() for t in teacher.features))
            # Layers are taken two by two: (1, 2), (3, 4), ...; a last odd one has no partner.
            changes = [
                transform_loss(
                    (student_maps[i], student_maps[i + 1]), (teacher_maps[i], teacher_maps[i + 1])
                )
                for i in range(0, len(student_maps) - 1, 2)
            ]
            terms["irg_transform"] = self.transform * sum(changes[1:], changes[0])
        return terms
