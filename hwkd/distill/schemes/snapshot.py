"""Snapshot distillation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier
from hwkd.distill.edge_losses import teacher_softened
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


@SCHEMES.register("snapshot")
@dataclass(frozen=True, kw_only=True)
class Snapshot(Scheme):
    """A training whose rate restarts; the end of each cycle teaches the next."""

    cycles: int = option(
        3, "restarts of the rate; each has its share of the passes, rounded, at least one",
        low=2, high=20,
    )  # fmt: skip
    temperature: float = option(2.0, "softening of the snapshot's classes", above=0)
    label_weight: float = option(1.0, "of the labels", low=0)
    teacher_weight: float = option(1.0, "of the snapshot", low=0)
    asymmetric: bool = option(True, "only the snapshot is softened, as published")

    name: ClassVar[str] = "snapshot"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Yang et al. 2019, arXiv:1812.00123"
    control: ClassVar[str] = "the same restarts on labels alone"

    @property
    def cost_factor(self) -> float:
        """A pass of the snapshot in all cycles but the first."""
        return 1.0 + 0.3 * (self.cycles - 1) / self.cycles

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each cycle; the student goes on."""
        loss = partial(
            teacher_softened if self.asymmetric else divergence, temperature=self.temperature
        )
        labelled = label_edge(STUDENT, self.label_weight)
        follows = Edge(
            name="snapshot", loss=loss, prediction="student.logits", target="before.logits",
            weight=self.teacher_weight,
        )  # fmt: skip
        share = 1.0 / self.cycles
        first = Phase(name="cycle0", roles=(Network(name=STUDENT),), edges=(labelled,), share=share)
        later = [
            Phase(
                name=f"cycle{cycle}",
                roles=(
                    Network(name=STUDENT, goes_on=True),
                    Earlier(name="before", phase=f"cycle{cycle - 1}", of=STUDENT),
                ),
                edges=(labelled, follows),
                share=share,
            )
            for cycle in range(1, self.cycles)
        ]
        return (first, *later)
