"""Adversarial co-distillation: peers that learn from examples made to divide them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import InputJudge, Made, View
from hwkd.distill.edge_losses import agreement, looks_made, looks_real
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.peers import PeerScheme, peer_names
from hwkd.distill.scheme import NOTHING, Edge, Phase, Turn
from hwkd.distill.schemes.dml import DeepMutualLearning

_MAKER, _JUDGE = "maker", "judge"


@SCHEMES.register("acn")
@dataclass(frozen=True, kw_only=True)
class AdversarialPeers(PeerScheme):
    """Peers that follow each other on the data, and on examples that a generator makes of it.

    The generator changes examples so that the peers differ most on them, while a discriminator of
    inputs is not to tell them from the data; no value changes by more than a bound. Both learn in
    turns with the peers, and nothing of them ships.
    """

    peers: int = option(2, "students trained together; the best on validation ships", low=2, high=4)
    temperature: float = option(3.0, "softening of the peers' classes", above=0)
    weight: float = option(1.0, "of what peers teach on the data; labels have 1", low=0)
    made: float = option(1.0, "of what peers teach on made examples", low=0)
    strength: float = option(
        0.3, "largest change of a value, in deviations of the data", above=0, high=4
    )
    real: float = option(1.0, "of looking like data, for the generator", low=0)

    name: ClassVar[str] = "acn"
    paper: ClassVar[str] = "Zhang et al., Pattern Recognition 2021, Adversarial co-distillation"

    @property
    def cost_factor(self) -> float:
        """Peers see the data and what is made of it, and are asked in the generator's turn."""
        return 4.0 * self.peers

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of peers, in turns with discriminator and generator."""
        (together,) = DeepMutualLearning(
            peers=self.peers, temperature=self.temperature, weight=self.weight
        ).phases()
        names = peer_names(self.peers)
        looks = {n: View(name=f"made_{n}", of=n, at=f"{_MAKER}.inputs") for n in names}
        said = {n: f"{look.name}.logits" for n, look in looks.items()}
        pairs = [(ours, theirs) for ours in names for theirs in names if ours != theirs]
        kl = partial(divergence, temperature=self.temperature)
        follows = [
            Edge(
                name=f"made {ours}", loss=kl, prediction=said[ours], target=said[theirs],
                weight=self.made / (self.peers - 1),
            )
            for ours, theirs in pairs
        ]  # fmt: skip
        finds = (
            Edge(name=_JUDGE, loss=looks_real, prediction=f"{_JUDGE}.real", target=NOTHING),
            Edge(name=_JUDGE, loss=looks_made, prediction=f"{_JUDGE}.made", target=NOTHING),
        )
        divides = (
            *(
                Edge(name="peers agree", loss=agreement, prediction=(said[a], said[b]),
                     target=NOTHING)
                for a, b in pairs
            ),
            Edge(
                name="looks made", loss=looks_real, prediction=f"{_JUDGE}.made", target=NOTHING,
                weight=self.real,
            ),
        )  # fmt: skip
        made = Made(name=_MAKER, strength=self.strength)
        judge = InputJudge(name=_JUDGE, of=_MAKER)
        return (
            replace(
                together,
                roles=(*together.roles, made, *looks.values(), judge),
                edges=(*together.edges, *follows),
                turns=(
                    Turn(roles=(_JUDGE,), edges=finds),
                    Turn(roles=(_MAKER,), edges=divides),
                ),
            ),
        )
