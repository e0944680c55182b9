"""Peer collaborative learning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import Fused
from hwkd.core.cohort_sources import Average
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.peers import BranchScheme, branch_names, branches
from hwkd.distill.scheme import Edge, Phase, label_edge
from hwkd.distill.timetables.ramp import sigmoid_ramp


@SCHEMES.register("pcl")
@dataclass(frozen=True, kw_only=True)
class PeerCollaborative(BranchScheme):
    """Branches that follow the classifier of all their features, and the others' averages."""

    temperature: float = option(3.0, "softening of the targets' classes", above=0)
    weight: float = option(1.0, "of what they teach; labels have 1", low=0)
    decay: float = option(0.99, "of the averages of the weights", low=0, high=0.9999)
    ramp: float = option(0.25, "share of the training in which the weight grows", low=0, high=1)

    name: ClassVar[str] = "pcl"
    paper: ClassVar[str] = "Wu and Gong 2021, arXiv:2006.04147"
    control: ClassVar[str] = "branches and classifier of their features, each on labels alone"

    @property
    def cost_factor(self) -> float:
        """Branches, and a pass of their averages."""
        return 1.3 + 0.65 * (self.branches - 1)

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of branches, their common classifier and their averages."""
        names = branch_names(self.branches)
        loss = partial(divergence, temperature=self.temperature)
        grows = partial(sigmoid_ramp, length=self.ramp)
        edges = [label_edge("fused"), *(label_edge(name) for name in names)]
        for name in names:
            others = tuple(f"mean_{other}.logits" for other in names if other != name)
            edges += [
                Edge(
                    name=f"ensemble {name}", loss=loss, prediction=f"{name}.logits",
                    target="fused.logits", weight=self.weight, ramp=grows,
                ),
                Edge(
                    name=f"averages {name}", loss=loss, prediction=f"{name}.logits",
                    target=others, weight=self.weight / len(others), ramp=grows,
                ),
            ]  # fmt: skip
        means = [Average(name=f"mean_{name}", of=name, decay=self.decay) for name in names]
        roles = (*branches(self.branches), Fused(name="fused", members=names), *means)
        return (Phase(name="together", roles=roles, edges=tuple(edges)),)
