"""Teacher assistants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier, Given, Role
from hwkd.core.errors import ConfigError
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, TaughtScheme, label_edge


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
class TeacherAssistants(TaughtScheme):
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
        return sum(width**2 for width in self.widths[min(self.given, 1) :])

    @property
    def widths(self) -> tuple[float, ...]:
        """Channels of each link over the student's, in equal ratios."""
        links = self.assistants + 1
        return tuple(self.width ** ((links - n) / links) for n in range(links + 1))

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each link; the first is there where the user gives it."""
        first, *later = self.widths
        teacher = Phase(
            name="link0",
            roles=(Network(name=STUDENT, width=first),),
            edges=(label_edge(STUDENT),),
        )
        links = [self._link(n, width) for n, width in enumerate(later, start=1)]
        return tuple(links) if self.given else (teacher, *links)

    def _link(self, number: int, width: float) -> Phase:
        before: Role = Earlier(name="before", phase=f"link{number - 1}", of=STUDENT)
        if self.given and number == 1:
            before = Given(name="before")
        return Phase(
            name=f"link{number}",
            roles=(Network(name=STUDENT, width=width), before),
            edges=link_edges(self.lam, self.temperature),
        )

    def taught_by(self, teachers: int) -> Scheme:
        """Return it with one teacher of the user's.

        Raises:
            ConfigError: if there are several: a chain begins with one.
        """
        if teachers > 1:
            raise ConfigError(
                f"--teacher: {teachers} given, and scheme {self.name} begins with one; give one, "
                "or use multi_teacher"
            )
        return super().taught_by(teachers)
