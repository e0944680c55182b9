"""Online distillation by collaborative learning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort_sources import HeldOut, Role
from hwkd.distill.aggregators.general import general
from hwkd.distill.aggregators.linear import linear
from hwkd.distill.aggregators.lowest_error import lowest_error
from hwkd.distill.aggregators.min_logit import min_logit
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.peers import PeerScheme, peer_names, peer_networks
from hwkd.distill.scheme import Aggregate, Edge, Phase, label_edge

_BY_LABELS = {"naive": lowest_error, "minlogit": min_logit, "linear": linear}


@SCHEMES.register("kdcl")
@dataclass(frozen=True, kw_only=True)
class CollaborativeLearning(PeerScheme):
    """Peers that learn from one target made of all of them."""

    variant: str = option(
        "minlogit", "how peers make a target", choices=("naive", "minlogit", "linear", "general")
    )
    temperature: float = option(2.0, "softening of the target's classes", above=0)
    weight: float = option(1.0, "of what peers teach; labels have 1", low=0)

    name: ClassVar[str] = "kdcl"
    paper: ClassVar[str] = "Guo et al., CVPR 2020"

    def phases(self) -> tuple[Phase, ...]:
        """Return one training in which all follow their common target."""
        names = peer_names(self.peers)
        logits = tuple(f"{name}.logits" for name in names)
        roles: tuple[Role, ...] = peer_networks(self.peers)
        if self.variant == "general":
            roles = (*roles, HeldOut(name="held", members=names))
            target = Aggregate(by=general, members=logits, controls=("held.weights",))
        else:
            target = Aggregate(by=_BY_LABELS[self.variant], members=logits, of_labels=True)
        edges = [
            Edge(
                name=f"common {name}",
                loss=partial(divergence, temperature=self.temperature),
                prediction=f"{name}.logits",
                target=target,
                weight=self.weight,
            )
            for name in names
        ]
        labelled = [label_edge(name) for name in names]
        return (Phase(name="together", roles=roles, edges=(*labelled, *edges)),)
