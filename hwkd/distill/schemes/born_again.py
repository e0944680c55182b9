"""Born-again networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier, Role
from hwkd.distill.aggregators.confidence import top_confidence
from hwkd.distill.aggregators.mean import mean_probability
from hwkd.distill.losses.of_classes import label_loss, soft_cross_entropy
from hwkd.distill.method import option
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme, SchemeFamily, label_edge

_BEFORE = "before.logits"


def generation_edges(variant: str, temperature: float) -> tuple[Edge, ...]:
    """Return what a generation learns by from the one before."""
    if variant == "cwtm":
        sure = Aggregate(by=top_confidence, members=(_BEFORE,))
        own = Edge(
            name="weighted labels", loss=label_loss, prediction="student.logits", weigh=sure,
            sums=True,
        )  # fmt: skip
        return (own,)
    follows = Edge(
        name="generation",
        loss=partial(soft_cross_entropy, temperature=temperature),
        prediction="student.logits",
        target=_BEFORE,
    )
    return (label_edge(STUDENT), follows) if variant == "ban+l" else (follows,)


@SCHEMES.register("born_again")
@dataclass(frozen=True, kw_only=True)
class BornAgain(Scheme):
    """Generations of one network, each of which learns anew from the one before."""

    generations: int = option(2, "students after the first", low=1, high=8)
    variant: str = option(
        "ban+l", "soft targets alone, with labels, or labels by confidence alone",
        choices=("ban", "ban+l", "cwtm"),
    )  # fmt: skip
    temperature: float = option(1.0, "softening of the generation before", above=0)
    ensemble: bool = option(False, "the last one learns from the mean of all before")

    name: ClassVar[str] = "born_again"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Furlanello et al. 2018, arXiv:1805.04770"
    evidence: ClassVar[str] = "a user found it worse than a tuned baseline of equal time"
    control: ClassVar[str] = "one training on labels alone"

    @property
    def cost_factor(self) -> float:
        """One training for each generation."""
        return 1.0 + self.generations

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each generation."""
        first = Phase(
            name="generation0", roles=(Network(name=STUDENT),), edges=(label_edge(STUDENT),)
        )
        return (first, *(self._generation(n) for n in range(1, 1 + self.generations)))

    def _generation(self, number: int) -> Phase:
        network = Network(name=STUDENT, draw=number)
        roles: tuple[Role, ...] = (
            network,
            Earlier(name="before", phase=f"generation{number - 1}", of=STUDENT),
        )
        edges = generation_edges(self.variant, self.temperature)
        if self.ensemble and number == self.generations:
            names = [f"generation{n}" for n in range(number)]
            roles = (network, *(Earlier(name=n, phase=n, of=STUDENT) for n in names))
            together = Aggregate(by=mean_probability, members=tuple(f"{n}.logits" for n in names))
            follows = Edge(
                name="generations", loss=soft_cross_entropy, prediction="student.logits",
                target=together,
            )  # fmt: skip
            edges = (label_edge(STUDENT), follows)
        return Phase(name=f"generation{number}", roles=roles, edges=edges)
