"""A teacher that was stopped early."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier
from hwkd.distill.method import option
from hwkd.distill.scheme import Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.schemes.takd import link_edges
from hwkd.distill.timetables.ramp import ends_at


@SCHEMES.register("early_stopped")
@dataclass(frozen=True, kw_only=True)
class EarlyStopped(Scheme):
    """A wider teacher makes a part of its passes, and the student follows it for a part of its own.

    What a teacher says after all of its passes may be more than a small student can follow.
    """

    stop: float = option(0.3, "share of its passes that the teacher makes", above=0, high=1)
    until: float = option(
        0.7, "share of the student's passes in which it follows; then labels alone", low=0.5, high=1
    )
    width: float = option(3.0, "channels of the teacher over the student's", above=1)
    lam: float = option(0.5, "share of what it teaches; labels have the rest", low=0, high=1)
    temperature: float = option(5.0, "softening of the teacher's classes", above=0)

    name: ClassVar[str] = "early_stopped"
    family: ClassVar[SchemeFamily] = "staged"
    paper: ClassVar[str] = "Cho and Hariharan 2019, arXiv:1910.01348"
    control: ClassVar[str] = "the student alone on labels"

    @property
    def cost_factor(self) -> float:
        """A part of a training of the teacher, and one of the student."""
        return 1.0 + self.stop * self.width**2

    def phases(self) -> tuple[Phase, ...]:
        """Return the teacher's training and the student's."""
        teacher = Phase(
            name="teacher",
            roles=(Network(name=STUDENT, width=self.width),),
            edges=(label_edge(STUDENT),),
            share=self.stop,
        )
        labels, follows = link_edges(self.lam, self.temperature)
        follows = replace(follows, ramp=partial(ends_at, end=self.until))
        learns = Phase(
            name="student",
            roles=(
                Network(name=STUDENT),
                Earlier(name="before", phase="teacher", of=STUDENT),
            ),
            edges=(labels, follows),
        )
        return teacher, learns
