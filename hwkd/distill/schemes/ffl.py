"""Feature fusion learning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import Fused
from hwkd.distill.aggregators.mean import mean_logit
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.peers import branch_names, branches
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme, SchemeFamily, label_edge


@SCHEMES.register("ffl")
@dataclass(frozen=True, kw_only=True)
class FeatureFusion(Scheme):
    """Two branches and a classifier of both their features, which teach each other."""

    temperature: float = option(3.0, "softening of the targets' classes", above=0)
    weight: float = option(1.0, "of what they teach; labels have 1", low=0)
    eps: float = option(0.0, "added to the target's probabilities, as public code does", low=0)

    name: ClassVar[str] = "ffl"
    family: ClassVar[SchemeFamily] = "online"
    paper: ClassVar[str] = "Kim et al. 2019, arXiv:1904.09058"
    control: ClassVar[str] = "branches and fused classifier, each on labels alone"

    @property
    def cost_factor(self) -> float:
        """The last stage of a small student is about half of it."""
        return 1.5

    @property
    def exported(self) -> tuple[str, ...]:
        """Either branch."""
        return branch_names(2)

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of both branches and the classifier of their features."""
        names = branch_names(2)
        loss = partial(divergence, temperature=self.temperature, eps=self.eps)
        edges = [label_edge(name) for name in (*names, "fused")]
        edges += [
            Edge(
                name=f"fused {name}", loss=loss, prediction=f"{name}.logits",
                target="fused.logits", weight=self.weight,
            )
            for name in names
        ]  # fmt: skip
        both = Aggregate(by=mean_logit, members=tuple(f"{name}.logits" for name in names))
        edges.append(
            Edge(
                name="branches", loss=loss, prediction="fused.logits", target=both,
                weight=self.weight,
            )
        )  # fmt: skip
        roles = (*branches(2), Fused(name="fused", members=names))
        return (Phase(name="together", roles=roles, edges=tuple(edges)),)
