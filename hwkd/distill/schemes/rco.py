"""Route-constrained optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier
from hwkd.distill.method import option
from hwkd.distill.scheme import Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.schemes.takd import link_edges


@SCHEMES.register("rco")
@dataclass(frozen=True, kw_only=True)
class RouteConstrained(Scheme):
    """A student that follows its teacher's course, from anchor to anchor."""

    anchors: int = option(
        3, "points of the teacher's course that teach, each for its share of passes, at least one",
        low=2, high=20,
    )  # fmt: skip
    width: float = option(3.0, "channels of the teacher over the student's", above=1)
    lam: float = option(0.5, "share of what an anchor teaches; labels have the rest", low=0, high=1)
    temperature: float = option(5.0, "softening of the anchor's classes", above=0)

    name: ClassVar[str] = "rco"
    family: ClassVar[SchemeFamily] = "staged"
    paper: ClassVar[str] = "Jin et al. 2019, arXiv:1904.09149"
    control: ClassVar[str] = "the student alone on labels, with as many restarts of the rate"

    @property
    def cost_factor(self) -> float:
        """A training of the teacher, and one of the student."""
        return 1.0 + self.width**2

    def phases(self) -> tuple[Phase, ...]:
        """Return the teacher's course in parts, then the student's."""
        share = 1.0 / self.anchors
        course = [
            Phase(
                name=f"anchor{n}",
                roles=(Network(name="teacher", width=self.width, goes_on=n > 0),),
                edges=(label_edge("teacher"),),
                share=share,
            )
            for n in range(self.anchors)
        ]
        follows = [
            Phase(
                name=f"student{n}",
                roles=(
                    Network(name=STUDENT, goes_on=n > 0),
                    Earlier(name="before", phase=f"anchor{n}", of="teacher"),
                ),
                edges=link_edges(self.lam, self.temperature),
                share=share,
            )
            for n in range(self.anchors)
        ]
        return (*course, *follows)
