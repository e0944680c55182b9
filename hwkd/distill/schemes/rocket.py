"""Rocket launching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Branch, Network
from hwkd.distill.edge_losses import squared_distance
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


@SCHEMES.register("rocket")
@dataclass(frozen=True, kw_only=True)
class Rocket(Scheme):
    """A student whose trunk also carries a larger end, the booster, which it follows."""

    gamma: float = option(0.03, "of the squared difference of logits; labels have 1", low=0)
    gradient_block: bool = option(True, "the booster does not follow the student")
    width: float = option(3.0, "channels of the booster over those of the student's end", low=1)

    name: ClassVar[str] = "rocket"
    family: ClassVar[SchemeFamily] = "staged"
    paper: ClassVar[str] = "Zhou et al. 2018, arXiv:1708.04106"
    control: ClassVar[str] = "student and booster, each on labels alone"

    @property
    def cost_factor(self) -> float:
        """The end is about half of a small student."""
        return 1.0 + 0.5 * self.width

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of the student and its booster."""
        hint = Edge(
            name="booster",
            loss=squared_distance,
            prediction="student.logits",
            target="booster.logits",
            weight=self.gamma,
            attached=not self.gradient_block,
        )
        roles = (
            Network(name=STUDENT),
            Branch(name="booster", of=STUDENT, draw=1, width=self.width),
        )
        edges = (label_edge(STUDENT), label_edge("booster"), hint)
        return (Phase(name="together", roles=roles, edges=edges),)
