"""Deep mutual learning."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.distill.edge_losses import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


def peer_names(count: int) -> tuple[str, ...]:
    """Return the roles of peers; the first is the student itself."""
    return (STUDENT, *(f"peer{index}" for index in range(1, count)))


def peer_networks(count: int) -> tuple[Network, ...]:
    """Return peers of one shape, each with a start of its own."""
    return tuple(Network(name=name, draw=draw) for draw, name in enumerate(peer_names(count)))


@SCHEMES.register("dml")
@dataclass(frozen=True, kw_only=True)
class DeepMutualLearning(Scheme):
    """Peers that learn together, each from the labels and from all the others."""

    peers: int = option(3, "students trained together; the best on validation ships", low=2, high=8)
    temperature: float = option(1.0, "softening of the peers' classes", above=0)
    weight: float = option(1.0, "of what peers teach; labels have 1", low=0)

    name: ClassVar[str] = "dml"
    family: ClassVar[SchemeFamily] = "online"
    paper: ClassVar[str] = "Zhang et al. 2018, arXiv:1706.00384"
    evidence: ClassVar[str] = "+1.2 points for a ResNet-20 of 270k parameters; none below 50k"
    control: ClassVar[str] = "as many students alone, of which the best ships"

    @property
    def cost_factor(self) -> float:
        """One training for each peer."""
        return float(self.peers)

    @property
    def exported(self) -> tuple[str, ...]:
        """Any peer."""
        return peer_names(self.peers)

    def phases(self) -> tuple[Phase, ...]:
        """Return one training in which everybody follows everybody else."""
        names = peer_names(self.peers)
        edges = [label_edge(name) for name in names]
        for name in names:
            others = tuple(f"{other}.logits" for other in names if other != name)
            edges.append(
                Edge(
                    name=f"peers {name}",
                    loss=partial(divergence, temperature=self.temperature),
                    prediction=f"{name}.logits",
                    target=others,
                    weight=self.weight / len(others),
                )
            )
        return (Phase(name="together", roles=peer_networks(self.peers), edges=tuple(edges)),)
