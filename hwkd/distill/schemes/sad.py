"""Self-attention distillation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.distill.edge_losses import shallow_attention
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


@SCHEMES.register("sad")
@dataclass(frozen=True, kw_only=True)
class SelfAttention(Scheme):
    """Each stage looks where the stage after it looks."""

    stages: int = option(2, "that take part, from the input on", low=2, high=8)
    weight: float = option(0.1, "of what a stage teaches the one before; labels have 1", low=0)
    start: float = option(0.4, "share of the training before stages teach", low=0, high=0.5)

    name: ClassVar[str] = "sad"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Hou et al. 2019, arXiv:1908.00821"
    evidence: ClassVar[str] = "a public code ships with its weight at 0; none below 50k"
    control: ClassVar[str] = "cross-entropy"

    @property
    def cost_factor(self) -> float:
        """Maps are there, and their attention is cheap."""
        return 1.05

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of a student whose stages teach each other."""
        edges = [
            Edge(
                name=f"attention {stage}",
                loss=shallow_attention,
                prediction=f"student.stage{stage}",
                target=f"student.stage{stage + 1}",
                weight=self.weight,
                ramp=partial(_from, self.start),
            )
            for stage in range(1, self.stages)
        ]
        roles = (Network(name=STUDENT),)
        return (Phase(name="together", roles=roles, edges=(label_edge(STUDENT), *edges)),)


def _from(start: float, done_ratio: float) -> float:
    return 1.0 if done_ratio >= start else 0.0
