"""On-the-fly native ensemble."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Gate
from hwkd.distill.aggregators.gate import gated
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.peers import BranchScheme, branch_names, branches
from hwkd.distill.scheme import Aggregate, Edge, Phase, label_edge
from hwkd.distill.timetables.ramp import sigmoid_ramp


@SCHEMES.register("one")
@dataclass(frozen=True, kw_only=True)
class NativeEnsemble(BranchScheme):
    """Branches of one trunk whose gated ensemble teaches each of them."""

    temperature: float = option(3.0, "softening of the ensemble's classes", above=0)
    weight: float = option(1.0, "of what the ensemble teaches; labels have 1", low=0)
    eps: float = option(0.0, "added to the target's probabilities, as public code does", low=0)
    ramp: float = option(0.25, "share of the training in which the weight grows", low=0, high=1)

    name: ClassVar[str] = "one"
    paper: ClassVar[str] = "Lan et al. 2018, arXiv:1806.04606"
    control: ClassVar[str] = "the branches and their gate, each on labels alone"

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of all branches and the gate."""
        names = branch_names(self.branches)
        ensemble = Aggregate(
            by=gated, members=tuple(f"{n}.logits" for n in names), controls=("gate.weights",)
        )
        roles = (*branches(self.branches), Gate(name="gate", of=STUDENT, members=self.branches))
        learned = replace(label_edge("ensemble"), prediction=ensemble)
        edges = [
            Edge(
                name=f"ensemble {name}",
                loss=partial(divergence, temperature=self.temperature, eps=self.eps),
                prediction=f"{name}.logits",
                target=ensemble,
                weight=self.weight,
                ramp=partial(sigmoid_ramp, length=self.ramp),
            )
            for name in names
        ]
        labelled = [label_edge(name) for name in names]
        return (Phase(name="together", roles=roles, edges=(*labelled, learned, *edges)),)
