"""Collaborative learning of heads on one trunk."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.distill.aggregators.mean import mean_logit
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.peers import BranchScheme, branch_names, branches
from hwkd.distill.scheme import Aggregate, Edge, Phase, label_edge


@SCHEMES.register("cl_ilr")
@dataclass(frozen=True, kw_only=True)
class CollaborativeHeads(BranchScheme):
    """Branches of one trunk, each of which follows the mean of the others."""

    temperature: float = option(3.0, "softening of the others' classes", above=0)
    weight: float = option(1.0, "of what the others teach; labels have 1", low=0)
    eps: float = option(0.0, "added to the target's probabilities, as public code does", low=0)

    name: ClassVar[str] = "cl_ilr"
    paper: ClassVar[str] = "Song and Chai 2018, arXiv:1805.11761"
    control: ClassVar[str] = "the branches, each on labels alone"

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of all branches; the trunk is pulled by their mean."""
        names = branch_names(self.branches)
        edges = [label_edge(name) for name in names]
        for name in names:
            others = tuple(f"{other}.logits" for other in names if other != name)
            edges.append(
                Edge(
                    name=f"others {name}",
                    loss=partial(divergence, temperature=self.temperature, eps=self.eps),
                    prediction=f"{name}.logits",
                    target=Aggregate(by=mean_logit, members=others),
                    weight=self.weight,
                )
            )
        return (
            Phase(
                name="together",
                roles=branches(self.branches),
                edges=tuple(edges),
                scales_trunk=True,
            ),
        )
