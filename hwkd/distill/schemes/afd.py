"""Adversarial feature distillation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import Judge
from hwkd.distill.edge_losses import fooled, unmasked
from hwkd.distill.method import option
from hwkd.distill.peers import PeerScheme, peer_names
from hwkd.distill.scheme import NOTHING, Edge, Phase, Turn
from hwkd.distill.schemes.dml import DeepMutualLearning


@SCHEMES.register("afd")
@dataclass(frozen=True, kw_only=True)
class AdversarialFeatures(PeerScheme):
    """Peers that follow each other's classes, and whose features no discriminator tells apart."""

    peers: int = option(2, "students trained together; the best on validation ships", low=2, high=8)
    temperature: float = option(3.0, "softening of the peers' classes", above=0)
    weight: float = option(1.0, "of what peers teach; labels have 1", low=0)
    judged: float = option(1.0, "of what the discriminators teach", low=0)

    name: ClassVar[str] = "afd"
    paper: ClassVar[str] = "Chung et al. 2020, arXiv:2002.01775"

    @property
    def cost_factor(self) -> float:
        """A training for each peer, with a small discriminator."""
        return 1.2 * self.peers

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of peers, in turns with their discriminators."""
        (together,) = DeepMutualLearning(
            peers=self.peers, temperature=self.temperature, weight=self.weight
        ).phases()
        names = peer_names(self.peers)
        judges = [
            Judge(name=f"judge_{name}", of=name, beside=names[(n + 1) % len(names)])
            for n, name in enumerate(names)
        ]
        hides = [
            Edge(
                name=f"judge {j.of}", loss=fooled, prediction=f"{j.name}.own", target=NOTHING,
                weight=self.judged,
            )
            for j in judges
        ]  # fmt: skip
        finds = [
            Edge(name="judges", loss=loss, prediction=f"{j.name}.{side}", target=NOTHING)
            for j in judges
            for loss, side in ((fooled, "next"), (unmasked, "own"))
        ]
        turn = Turn(roles=tuple(j.name for j in judges), edges=tuple(finds))
        return (
            replace(
                together,
                roles=(*together.roles, *judges),
                edges=(*together.edges, *hides),
                turns=(turn,),
            ),
        )
