"""A teacher and a student with simulated rounding, trained together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network, Rounded
from hwkd.distill.losses.of_classes import soft_cross_entropy
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge

TEACHER = "teacher"


def float_phase(width: float) -> Phase:
    """Return the training of student and teacher in float, each on labels."""
    return Phase(
        name="float",
        roles=(Network(name=STUDENT), Network(name=TEACHER, width=width, draw=1)),
        edges=(label_edge(STUDENT), label_edge(TEACHER)),
    )


@SCHEMES.register("apprentice")
@dataclass(frozen=True, kw_only=True)
class Apprentice(Scheme):
    """A student in 8 bits follows a wider network in float that goes on learning beside it."""

    width: float = option(2.0, "channels of the teacher over the student's", above=1)
    alpha: float = option(1.0, "of the teacher's labels", low=0)
    beta: float = option(0.5, "of the student's labels", low=0)
    gamma: float = option(0.5, "of what the teacher teaches", low=0)
    share: float = option(0.3, "of the epochs, with simulated rounding", above=0, high=2)

    name: ClassVar[str] = "apprentice"
    family: ClassVar[SchemeFamily] = "quantised"
    paper: ClassVar[str] = "Mishra and Marr 2018, arXiv:1711.05852, scheme A"
    control: ClassVar[str] = "the same rounding on labels alone"

    @property
    def cost_factor(self) -> float:
        """Both networks, in float and then with rounding, which costs about three times as much."""
        return (1.0 + self.width**2) * (1.0 + self.share) + 2.0 * self.share

    def phases(self) -> tuple[Phase, ...]:
        """Return the training in float, and that with rounding."""
        follows = Edge(
            name="teacher", loss=soft_cross_entropy, prediction="student.logits",
            target="teacher.logits", weight=self.gamma,
        )  # fmt: skip
        together = Phase(
            name="together",
            roles=(
                Rounded(name=STUDENT, phase="float", of=STUDENT),
                Network(name=TEACHER, width=self.width, draw=1, goes_on=True),
            ),
            edges=(label_edge(TEACHER, self.alpha), label_edge(STUDENT, self.beta), follows),
            share=self.share,
        )
        return (float_phase(self.width), together)
