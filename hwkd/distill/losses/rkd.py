"""Relational distillation: distances and angles among the samples of a batch."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import at_least_float32, distance_matrix, flat, unit
from hwkd.distill.method import LossMethod, RunShapes, option


def distance_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Return the smooth L1 of distances divided by their mean, averaged over all batch^2 pairs.

    Args:
        student_embedding: shape [batch, ...], flattened per sample, batch >= 2.
        teacher_embedding: shape [batch, ...], any other size.

    Returns:
        Scalar; unchanged by rotation and by scaling of either side.

    Source:
        Park et al. 2019, arXiv:1904.05068, equations 5 and 6.
    """
    ours, theirs = (_relative_distances(e) for e in (student_embedding, teacher_embedding))
    return functional.smooth_l1_loss(ours, theirs)


def angle_loss(student_embedding: Tensor, teacher_embedding: Tensor) -> Tensor:
    """Return the smooth L1 of cosines at every triple, averaged over all batch^3 of them.

    Args:
        student_embedding: shape [batch, ...], flattened per sample, batch >= 3 for a gradient.
        teacher_embedding: shape [batch, ...], any other size.

    Source:
        Park et al. 2019, arXiv:1904.05068, equations 7 and 8. Degenerate triples count as 0, as in
        public code.
    """
    ours, theirs = (_cosines_at_triples(e) for e in (student_embedding, teacher_embedding))
    return functional.smooth_l1_loss(ours, theirs)


def _relative_distances(embedding: Tensor) -> Tensor:
    distances = distance_matrix(flat(embedding))
    positive = (distances > 0).sum()
    # Equal rows only (a dead layer): all distances stay 0 and nothing is divided by 0.
    mean = distances.sum() / positive.clamp(min=1)
    return distances / mean.where(mean > 0, mean.new_ones(()))


def _cosines_at_triples(embedding: Tensor) -> Tensor:
    rows = flat(embedding)
    directions = unit(rows[None, :, :] - rows[:, None, :], dim=2)
    return directions.bmm(directions.transpose(1, 2))


@METHODS.register("rkd")
@dataclass(frozen=True, kw_only=True)
class Relational(LossMethod):
    """Relational distillation (Park et al. 2019): distance and angle terms; needs embeddings.

    The defaults are RepDistiller's; the paper has 1 and 2. The angle term holds batch^3 numbers.
    """

    distance: float = option(25.0, "weight of the distance term", low=0)
    angle: float = option(50.0, "weight of the angle term", low=0)

    name = "rkd"
    family = "relation"
    formula = "w_d · huber(d_s / mean, d_t / mean) + w_a · huber(cos∠_s, cos∠_t)"
    paper = "Park et al. 2019, arXiv:1904.05068"
    needs = frozenset({Signal.EMBEDDING})
    min_batch = 3
    float32_only = True

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse both terms off and a batch whose triples do not fit into 1 GiB."""
        if self.distance == self.angle == 0:
            return "both weights are 0"
        gibibytes = 4 * shapes.batch**3 / 2**30
        if self.angle > 0 and gibibytes > 1:
            return f"the angles of a batch of {shapes.batch} need {gibibytes:.1f} GiB; use angle=0"
        return None

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms "rkd_distance" and "rkd_angle"."""
        del batch
        ours, theirs = at_least_float32(
            student.need(Signal.EMBEDDING), teacher.need(Signal.EMBEDDING).detach()
        )
        terms = {}
        if self.distance > 0:
            terms["rkd_distance"] = self.distance * distance_loss(ours, theirs)
        if self.angle > 0:
            terms["rkd_angle"] = self.angle * angle_loss(ours, theirs)
        return terms
