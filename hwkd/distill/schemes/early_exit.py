"""Early exits that follow the last one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.schemes.byot import exit_roles


@SCHEMES.register("early_exit")
@dataclass(frozen=True, kw_only=True)
class EarlyExit(Scheme):
    """Classifiers on early stages learn from the last one and from labels."""

    exits: int = option(1, "classifiers on the first stages", low=1, high=8)
    temperature: float = option(3.0, "softening of the last classifier's classes", above=0)
    gamma: float = option(0.9, "share of what it teaches; labels have the rest", low=0, high=1)

    name: ClassVar[str] = "early_exit"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Li et al. 2019, arXiv:1908.06294; Teerapittayanon et al. 2016"
    evidence: ClassVar[str] = "MicroT (arXiv:2403.08040) on microcontrollers, above 50k parameters"
    control: ClassVar[str] = "labels at every exit, with what is left of their share"

    @property
    def cost_factor(self) -> float:
        """Heads are small."""
        return 1.0 + 0.1 * self.exits

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of a student with exits."""
        exits = exit_roles(self.exits)
        edges = [label_edge(STUDENT), *(label_edge(e.name, 1.0 - self.gamma) for e in exits)]
        edges += [
            Edge(
                name=f"last {each.name}",
                loss=partial(divergence, temperature=self.temperature),
                prediction=f"{each.name}.logits",
                target="student.logits",
                weight=self.gamma,
            )
            for each in exits
        ]
        return (Phase(name="together", roles=(Network(name=STUDENT), *exits), edges=tuple(edges)),)
