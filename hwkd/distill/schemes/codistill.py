"""Codistillation with stale copies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort_sources import Role, Stale
from hwkd.distill.aggregators.mean import mean_probability
from hwkd.distill.losses.of_classes import soft_cross_entropy
from hwkd.distill.method import option
from hwkd.distill.peers import PeerScheme, peer_names, peer_networks
from hwkd.distill.scheme import Aggregate, Edge, Phase, label_edge


@SCHEMES.register("codistill")
@dataclass(frozen=True, kw_only=True)
class Codistillation(PeerScheme):
    """Peers that follow copies of each other which are renewed now and then."""

    peers: int = option(2, "students trained together; the best on validation ships", low=2, high=8)
    temperature: float = option(1.0, "softening of the copies' classes", above=0)
    weight: float = option(1.0, "of what copies teach; labels have 1", low=0)
    interval: int = option(50, "steps after which copies are renewed", low=1)
    burn_in: float = option(0.1, "share of the training before copies teach", low=0, high=0.5)

    name: ClassVar[str] = "codistill"
    paper: ClassVar[str] = "Anil et al. 2018, arXiv:1804.03235"

    @property
    def cost_factor(self) -> float:
        """A training for each peer, and a pass of its copy."""
        return 1.3 * self.peers

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of peers and their copies."""
        names = peer_names(self.peers)
        edges = [label_edge(name) for name in names]
        for name in names:
            others = tuple(f"stale_{other}.logits" for other in names if other != name)
            edges.append(
                Edge(
                    name=f"copies {name}",
                    loss=partial(soft_cross_entropy, temperature=self.temperature),
                    prediction=f"{name}.logits",
                    target=Aggregate(
                        by=partial(mean_probability, temperature=self.temperature), members=others
                    ),
                    weight=self.weight,
                    ramp=partial(_after, self.burn_in),
                )
            )
        copies = [Stale(name=f"stale_{n}", of=n, interval=self.interval) for n in names]
        roles: tuple[Role, ...] = (*peer_networks(self.peers), *copies)
        return (Phase(name="together", roles=roles, edges=tuple(edges)),)


def _after(burn_in: float, done_ratio: float) -> float:
    return 0.0 if done_ratio < burn_in else 1.0
