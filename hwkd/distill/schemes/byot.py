"""Be your own teacher."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Exit, Network
from hwkd.distill.edge_losses import where_active
from hwkd.distill.losses.of_classes import SOFT_FORMS
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


def exit_roles(count: int) -> tuple[Exit, ...]:
    """Return classifiers on the first stages of the student."""
    return tuple(Exit(name=f"exit{n}", of=STUDENT, stage=n) for n in range(1, count + 1))


@SCHEMES.register("byot")
@dataclass(frozen=True, kw_only=True)
class OwnTeacher(Scheme):
    """Classifiers on early stages follow the last one, and their features follow its features."""

    exits: int = option(1, "classifiers on the first stages; none of them ships", low=1, high=8)
    temperature: float = option(3.0, "softening of the last classifier's classes", above=0)
    alpha: float = option(0.1, "share of what it teaches; labels have the rest", low=0, high=1)
    beta: float = option(1e-6, "of the features, whose term is a sum over the batch", low=0)
    soft_form: str = option(
        "kl", "of the soft term: same gradient, other value", choices=tuple(SOFT_FORMS)
    )

    name: ClassVar[str] = "byot"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Zhang et al. 2019, arXiv:1905.08094"
    evidence: ClassVar[str] = "a user found no gain over labels at every exit; none below 50k"
    control: ClassVar[str] = "labels at every exit"

    @property
    def cost_factor(self) -> float:
        """Heads are small."""
        return 1.0 + 0.1 * self.exits

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of a student with exits."""
        exits = exit_roles(self.exits)
        soft = partial(SOFT_FORMS[self.soft_form], temperature=self.temperature)
        edges = [label_edge(name, 1.0 - self.alpha) for name in (STUDENT, *(e.name for e in exits))]
        for each in exits:
            edges += [
                Edge(
                    name=f"last {each.name}",
                    loss=soft,
                    prediction=f"{each.name}.logits",
                    target="student.logits",
                    weight=self.alpha,
                ),
                Edge(
                    name=f"features {each.name}",
                    loss=where_active,
                    prediction=f"{each.name}.features",
                    target="student.features",
                    weight=self.beta,
                    sums=True,
                ),
            ]
        return (Phase(name="together", roles=(Network(name=STUDENT), *exits), edges=tuple(edges)),)
