"""Teacher assistants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Earlier, Network
from hwkd.distill.edge_losses import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


def link_edges(lam: float, temperature: float) -> tuple[Edge, ...]:
    """Return what a link of a chain learns by: labels, and the link before."""
    follows = Edge(
        name="link",
        loss=partial(divergence, temperature=temperature),
        prediction="student.logits",
        target="before.logits",
        weight=lam,
    )
    return (label_edge(STUDENT, 1.0 - lam), follows)


@SCHEMES.register("takd")
@dataclass(frozen=True, kw_only=True)
class TeacherAssistants(Scheme):
    """A chain of ever narrower networks, each of which learns from the one before."""

    assistants: int = option(1, "networks between teacher and student", low=0, high=8)
    width: float = option(4.0, "channels of the teacher over the student's", above=1)
    lam: float = option(0.5, "share of what a link teaches; labels have the rest", low=0, high=1)
    temperature: float = option(5.0, "softening of the link before", above=0)

    name: ClassVar[str] = "takd"
    family: ClassVar[SchemeFamily] = "staged"
    paper: ClassVar[str] = "Mirzadeh et al. 2020, arXiv:1902.03393"
    evidence: ClassVar[str] = "ours: no gain over cross-entropy below 1.3k parameters"
    control: ClassVar[str] = "the student alone on labels"

    @property
    def cost_factor(self) -> float:
        """A training for each link, by its size."""
        return sum(width**2 for width in self.widths)

    @property
    def widths(self) -> tuple[float, ...]:
        """Channels of each link over the student's, in equal ratios."""
        links = self.assistants + 1
        return tuple(self.width ** ((links - n) / links) for n in range(links + 1))

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each link."""
        first, *later = self.widths
        teacher = Phase(
            name="link0",
            roles=(Network(name=STUDENT, width=first),),
            edges=(label_edge(STUDENT),),
        )
        links = [
            Phase(
                name=f"link{n}",
                roles=(
                    Network(name=STUDENT, width=width),
                    Earlier(name="before", phase=f"link{n - 1}", of=STUDENT),
                ),
                edges=link_edges(self.lam, self.temperature),
            )
            for n, width in enumerate(later, start=1)
        ]
        return (teacher, *links)
