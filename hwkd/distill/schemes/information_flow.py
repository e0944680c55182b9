"""Heterogeneous distillation: information flow through layers, with critical periods."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Frozen
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.losses.pkt import probabilistic_transfer_loss
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.timetables.ramp import critical_period

_TEACHER, _AUXILIARY = "teacher", "auxiliary"


@SCHEMES.register("information_flow")
@dataclass(frozen=True, kw_only=True)
class InformationFlow(Scheme):
    """A network of the student's shape learns from a wider one, and the student from its layers.

    What flows through a layer is the neighbours of each sample there. Layers before the last teach
    most at the start, when connections form, and ever less then.
    """

    stages: int = option(2, "first ones whose flow is followed", low=1, high=8)
    flow: float = option(3000.0, "of the layers' flow; a mean over pairs of a batch", low=0)
    fading: float = option(5.0, "how fast layers before the last stop to teach", low=0, high=50)
    weight: float = option(1.0, "of the auxiliary's classes; labels have 1", low=0)
    temperature: float = option(4.0, "softening of the teachers' classes", above=0)
    width: float = option(2.0, "channels of the first teacher over the student's", low=1)

    name: ClassVar[str] = "information_flow"
    family: ClassVar[SchemeFamily] = "staged"
    paper: ClassVar[str] = "Passalis et al. 2020, arXiv:2005.00727"
    control: ClassVar[str] = "the student alone on labels"

    @property
    def cost_factor(self) -> float:
        """A wider network, one of the student's shape, and the student beside it."""
        return self.width**2 + 3.0

    def phases(self) -> tuple[Phase, ...]:
        """Return the trainings of the teacher, of the auxiliary and of the student."""
        wide = Network(name=STUDENT, width=self.width, draw=2)
        return (
            Phase(name=_TEACHER, roles=(wide,), edges=(label_edge(STUDENT),)),
            self._follows(_AUXILIARY, Network(name=STUDENT, draw=1), _TEACHER, stages=0),
            self._follows(STUDENT, Network(name=STUDENT), _AUXILIARY, stages=self.stages),
        )

    def _follows(self, name: str, learns: Network, whom: str, *, stages: int) -> Phase:
        says = Edge(
            name=f"{whom} classes",
            loss=partial(divergence, temperature=self.temperature),
            prediction=f"{STUDENT}.logits",
            target=f"{whom}.logits",
            weight=self.weight,
        )
        signals = {f"stage{n}": partial(critical_period, fading=self.fading)
                   for n in range(1, stages + 1)}  # fmt: skip
        flows = [
            Edge(
                name=f"flow {signal}", loss=probabilistic_transfer_loss,
                prediction=f"{STUDENT}.{signal}", target=f"{whom}.{signal}", weight=self.flow,
                ramp=ramp,
            )
            for signal, ramp in {**signals, "features": None}.items()
        ]  # fmt: skip
        return Phase(
            name=name,
            roles=(learns, Frozen(name=whom, phase=whom, of=STUDENT)),
            edges=(label_edge(STUDENT), says, *flows),
        )
