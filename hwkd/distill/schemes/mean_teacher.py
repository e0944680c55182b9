"""Mean teacher."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Average
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.timetables.ramp import sigmoid_ramp


@SCHEMES.register("mean_teacher")
@dataclass(frozen=True, kw_only=True)
class MeanTeacher(Scheme):
    """A student that follows the moving average of its own weights."""

    decay: float = option(0.99, "of the average", low=0, high=0.9999)
    temperature: float = option(1.0, "softening of the average's classes", above=0)
    weight: float = option(1.0, "of the average; labels have 1", low=0)
    ramp: float = option(0.1, "share of the training in which the weight grows", low=0, high=1)

    name: ClassVar[str] = "mean_teacher"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Tarvainen and Valpola 2017, arXiv:1703.01780"
    control: ClassVar[str] = "cross-entropy"

    @property
    def cost_factor(self) -> float:
        """A pass of the average."""
        return 1.3

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of a student beside its average."""
        follows = Edge(
            name="average",
            loss=partial(divergence, temperature=self.temperature),
            prediction="student.logits",
            target="average.logits",
            weight=self.weight,
            ramp=partial(sigmoid_ramp, length=self.ramp),
        )
        roles = (Network(name=STUDENT), Average(name="average", of=STUDENT, decay=self.decay))
        return (Phase(name="together", roles=roles, edges=(label_edge(STUDENT), follows)),)
