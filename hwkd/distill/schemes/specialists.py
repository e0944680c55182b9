"""A generalist, and specialists of which each knows some of the classes, teach together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier
from hwkd.distill.class_sets import ClassSet, mass_in_set, on_set, set_label_loss
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme, SchemeFamily, label_edge

_GENERALIST = "generalist"


@SCHEMES.register("specialists")
@dataclass(frozen=True, kw_only=True)
class Specialists(Scheme):
    """A wider network of all classes and one for each set of classes, which knows no others.

    The student follows the generalist, and each specialist among its own classes alone, by how much
    the generalist finds a sample to be of these.
    """

    sets: int = option(2, "of neighbouring classes, one for each specialist", low=2, high=16)
    width: float = option(2.0, "channels of the teachers over the student's", low=1)
    temperature: float = option(4.0, "softening of all teachers' classes", above=0)
    weight: float = option(1.0, "of the generalist; labels have 1", low=0)
    special: float = option(1.0, "of the specialists", low=0)

    name: ClassVar[str] = "specialists"
    family: ClassVar[SchemeFamily] = "multi-teacher"
    paper: ClassVar[str] = "Hinton et al. 2015, arXiv:1503.02531, section 5"
    needs: ClassVar[str] = "two classes or more for each set"
    control: ClassVar[str] = "the student alone on labels"

    @property
    def cost_factor(self) -> float:
        """A training for each teacher, which is wider; their answers are stored."""
        return 1.0 + (1 + self.sets) * self.width**2

    @property
    def fewest_classes(self) -> int:
        """Two for each specialist."""
        return 2 * self.sets

    def phases(self) -> tuple[Phase, ...]:
        """Return the training of all teachers, and that of the student."""
        sets = {f"specialist{k}": ClassSet(index=k, of=self.sets) for k in range(self.sets)}
        names = (_GENERALIST, *sets)
        taught = Phase(
            name="teachers",
            roles=tuple(Network(name=n, width=self.width, draw=k + 1) for k, n in enumerate(names)),
            edges=(
                label_edge(_GENERALIST),
                *(
                    Edge(
                        name=f"labels {name}", loss=partial(set_label_loss, known=known),
                        prediction=f"{name}.logits", teaches=False,
                    )
                    for name, known in sets.items()
                ),
            ),
        )  # fmt: skip
        kl = partial(divergence, temperature=self.temperature)
        general = Edge(
            name=_GENERALIST, loss=kl, prediction=f"{STUDENT}.logits",
            target=f"{_GENERALIST}.logits", weight=self.weight,
        )  # fmt: skip
        special = [
            Edge(
                name="specialists", loss=partial(on_set, loss=kl, known=known),
                prediction=f"{STUDENT}.logits", target=f"{name}.logits", weight=self.special,
                weigh=Aggregate(
                    by=partial(mass_in_set, known=known), members=(f"{_GENERALIST}.logits",)
                ),
            )
            for name, known in sets.items()
        ]  # fmt: skip
        learns = Phase(
            name=STUDENT,
            roles=(
                Network(name=STUDENT),
                *(Earlier(name=n, phase="teachers", of=n) for n in names),
            ),
            edges=(label_edge(STUDENT), general, *special),
        )
        return (taught, learns)
