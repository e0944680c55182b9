"""A student of cheap convolutions beside the same network of dense ones, both learning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge

_DENSE = "dense"


@SCHEMES.register("cheap_convolutions")
@dataclass(frozen=True, kw_only=True)
class CheapConvolutions(Scheme):
    """A student with convolutions in groups follows the same network with dense ones.

    Both learn from labels at the same time; no teacher is trained before.
    """

    temperature: float = option(3.0, "softening of the dense network's classes", above=0)
    weight: float = option(1.0, "of what it teaches; labels have 1", low=0)

    name: ClassVar[str] = "cheap_convolutions"
    family: ClassVar[SchemeFamily] = "online"
    paper: ClassVar[str] = "Xie et al. 2019, arXiv:1909.13063"
    needs: ClassVar[str] = "a student with convolutions in groups, as of the space depthwise"
    control: ClassVar[str] = "the student alone on labels"

    @property
    def cost_factor(self) -> float:
        """The dense network costs several times as much, by its kernels."""
        return 4.0

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of both."""
        follows = Edge(
            name="dense",
            loss=partial(divergence, temperature=self.temperature),
            prediction=f"{STUDENT}.logits",
            target=f"{_DENSE}.logits",
            weight=self.weight,
        )
        roles = (Network(name=STUDENT), Network(name=_DENSE, draw=1, is_dense=True))
        edges = (label_edge(STUDENT), label_edge(_DENSE), follows)
        return (Phase(name="together", roles=roles, edges=edges),)

    def control_phases(self) -> tuple[Phase, ...]:
        """Return the student alone."""
        return (Phase(name="alone", roles=(Network(name=STUDENT),), edges=(label_edge(STUDENT),)),)
