"""Cross-layer attention: every student layer learns which teacher layers to follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.catalog import METHODS
from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.kernels import as_maps, at_least_float32, cosine_matrix, pool_to_common_size
from hwkd.distill.method import RunShapes, TrainedMethod, option


def cross_layer_loss(
    weights: Tensor, student: Sequence[Sequence[Tensor]], teacher: Sequence[Sequence[Tensor]]
) -> Tensor:
    """Return the sum over layers of weight * squared difference per sample, / (batch * layers).

    Args:
        weights: shape [batch, student layers, teacher layers], softmax over the last axis.
        student: [i][j] is student layer i brought to the shape of teacher layer j.
        teacher: [i][j], the teacher's maps for each of them.

    Source:
        Chen et al. 2021, arXiv:2012.03236, equation 9.
    """
    differences = torch.stack(
        [
            torch.stack(
                [(s - t).square().flatten(1).mean(1) for s, t in zip(ours, theirs, strict=True)], 1
            )
            for ours, theirs in zip(student, teacher, strict=True)
        ],
        1,
    )
    return (weights * differences).sum() / (weights.shape[0] * weights.shape[1])


@METHODS.register("semckd")
@dataclass(frozen=True, kw_only=True)
class CrossLayer(TrainedMethod):
    """Semantic calibration (Chen et al. 2021); needs feature maps of every stage.

    Trains queries and keys from the similarity of samples, and a projection for every
    student-teacher layer
    pair: two 1 x 1 convolutions with batch normalisation and ReLU between (the paper adds a 3 x 3).
    """

    width: int = option(64, "length of queries and keys", low=1)

    name = "semckd"
    family = "feature"
    formula = "1 / (B L_s) Σ_bij α_bij mean (p_ij(f_s,i) − f_t,j)², α = softmax_j(q_i · k_j)"
    paper = "Chen et al. 2021, arXiv:2012.03236"
    needs = frozenset({Signal.FEATURES})
    pairs_layers = False
    float32_only = True
    min_batch = 2
    # Projections start at random.
    is_zero_at_teacher = False
    usual_weight = 400.0

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the loss with its projections and attention."""
        return _CrossLayer(shapes, self.width)


class _CrossLayer(nn.Module):
    def __init__(self, shapes: RunShapes, width: int) -> None:
        super().__init__()
        self.batch = shapes.batch
        ours = [shape[0] for shape in shapes.student.features]
        theirs = [shape[0] for shape in shapes.teacher.features]
        self.queries = nn.ModuleList(nn.Linear(self.batch, width) for _ in ours)
        self.keys = nn.ModuleList(nn.Linear(self.batch, width) for _ in theirs)
        self.projections = nn.ModuleList(
            nn.ModuleList(_projection(s, t) for t in theirs) for s in ours
        )

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        ours = [as_maps(f) for f in at_least_float32(*student.features)]
        theirs = [as_maps(f.detach()) for f in at_least_float32(*teacher.features)]
        weights = self._attention(ours, theirs)
        projected: list[list[Tensor]] = []
        targets: list[list[Tensor]] = []
        for maps, row in zip(ours, self.projections, strict=True):
            assert isinstance(row, nn.ModuleList)
            pairs = [
                pool_to_common_size(projection(maps), target)
                for projection, target in zip(row, theirs, strict=True)
            ]
            projected.append([pair[0] for pair in pairs])
            targets.append([pair[1] for pair in pairs])
        return {"semckd": cross_layer_loss(weights, projected, targets)}

    def _attention(self, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
        # A student's features choose the weights but are not bent towards an easier choice.
        queries = [self._describe(q, f.detach()) for q, f in zip(self.queries, ours, strict=True)]
        keys = [self._describe(k, f) for k, f in zip(self.keys, theirs, strict=True)]
        scores = torch.stack(queries, 1) @ torch.stack(keys, 1).transpose(1, 2)
        return scores.softmax(2)

    def _describe(self, layer: nn.Module, maps: Tensor) -> Tensor:
        similarity = cosine_matrix(maps)
        # The layer has one input per sample of a full batch; a smaller batch is padded with zeros.
        padded = functional.pad(similarity, (0, self.batch - similarity.shape[1]))
        described: Tensor = functional.normalize(layer(padded), dim=1)
        return described


def _projection(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1),
    )
