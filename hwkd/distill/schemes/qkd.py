"""Three phases of distillation under simulated rounding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network, Rounded
from hwkd.core.cohort_sources import Earlier, Role
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.schemes.apprentice import TEACHER, float_phase


@SCHEMES.register("qkd")
@dataclass(frozen=True, kw_only=True)
class QuantisedDistillation(Scheme):
    """A student in 8 bits learns alone, then together with its teacher, then from it."""

    width: float = option(2.0, "channels of the teacher over the student's", above=1)
    temperature: float = option(2.0, "softening of classes", above=0)
    share: float = option(0.15, "of the epochs, for each phase with rounding", above=0, high=1)

    name: ClassVar[str] = "qkd"
    family: ClassVar[SchemeFamily] = "quantised"
    paper: ClassVar[str] = "Kim et al. 2019, arXiv:1911.12491"
    control: ClassVar[str] = "the same rounding on labels alone"

    @property
    def cost_factor(self) -> float:
        """Both networks in float, and three phases, of which one has both."""
        return (1.0 + self.width**2) * (1.0 + self.share) + 8.0 * self.share

    def phases(self) -> tuple[Phase, ...]:
        """Return the training in float, and self-studying, co-studying and tutoring."""
        teaches, learns = self._follows(STUDENT, TEACHER), self._follows(TEACHER, STUDENT)
        beside = Network(name=TEACHER, width=self.width, draw=1, goes_on=True)
        before = Earlier(name=TEACHER, phase="co-studying", of=TEACHER)
        return (
            float_phase(self.width),
            self._rounding("self-studying", "float", (), (label_edge(STUDENT),)),
            self._rounding(
                "co-studying",
                "self-studying",
                (beside,),
                (label_edge(STUDENT), teaches, label_edge(TEACHER), learns),
            ),
            self._rounding("tutoring", "co-studying", (before,), (label_edge(STUDENT), teaches)),
        )

    def _rounding(
        self, name: str, before: str, others: tuple[Role, ...], edges: tuple[Edge, ...]
    ) -> Phase:
        student = Rounded(name=STUDENT, phase=before, of=STUDENT)
        return Phase(name=name, roles=(student, *others), edges=edges, share=self.share)

    def _follows(self, who: str, whom: str) -> Edge:
        return Edge(
            name=f"{whom} teaches",
            loss=partial(divergence, temperature=self.temperature),
            prediction=f"{who}.logits",
            target=f"{whom}.logits",
        )
