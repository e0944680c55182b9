"""Online distillation with diverse peers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Branch, Network, PeerAttention
from hwkd.core.cohort_sources import Role
from hwkd.distill.aggregators.attention import attended
from hwkd.distill.aggregators.mean import mean_logit
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme, SchemeFamily, label_edge


@SCHEMES.register("okddip")
@dataclass(frozen=True, kw_only=True)
class DiversePeers(Scheme):
    """Peers on one trunk that listen to each other by attention, and a leader that follows all."""

    peers: int = option(3, "branches beside the leader, which ships", low=2, high=8)
    temperature: float = option(3.0, "softening of the targets' classes", above=0)
    weight: float = option(1.0, "of what peers teach; labels have 1", low=0)
    eps: float = option(0.0, "added to the target's probabilities, as public code does", low=0)

    name: ClassVar[str] = "okddip"
    family: ClassVar[SchemeFamily] = "online"
    paper: ClassVar[str] = "Chen et al. 2020, arXiv:1912.00350"
    control: ClassVar[str] = "leader and peers, each on labels alone"

    @property
    def cost_factor(self) -> float:
        """The last stage of a small student is about half of it."""
        return 1.0 + 0.5 * self.peers

    def phases(self) -> tuple[Phase, ...]:
        """Return one training; targets are attached, or the attention would never learn."""
        names = tuple(f"peer{index}" for index in range(self.peers))
        logits = tuple(f"{name}.logits" for name in names)
        loss = partial(divergence, temperature=self.temperature, eps=self.eps)
        edges = [label_edge(STUDENT), *(label_edge(name) for name in names)]
        for row, name in enumerate(names):
            seen = Aggregate(
                by=partial(attended, row=row),
                members=logits,
                controls=("attention.queries", "attention.keys"),
            )
            edges.append(
                Edge(
                    name=f"attended {name}", loss=loss, prediction=f"{name}.logits", target=seen,
                    weight=self.weight, attached=True,
                )
            )  # fmt: skip
        leads = Aggregate(by=mean_logit, members=logits)
        edges.append(
            Edge(
                name="leader", loss=loss, prediction="student.logits", target=leads,
                weight=self.weight, attached=True,
            )
        )  # fmt: skip
        ends = [Branch(name=n, of=STUDENT, draw=d + 1) for d, n in enumerate(names)]
        roles: tuple[Role, ...] = (
            Network(name=STUDENT),
            *ends,
            PeerAttention(name="attention", members=names),
        )
        return (Phase(name="together", roles=roles, edges=tuple(edges)),)
