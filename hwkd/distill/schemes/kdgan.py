"""Three players: a student, a teacher, and a discriminator of labels by who gave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.distill.edge_losses import called_made, called_true, expected_label_loss
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import LABELS, Edge, Phase, Scheme, SchemeFamily, Turn, label_edge

_TEACHER, _JUDGE = "teacher", "judge"


@SCHEMES.register("kdgan")
@dataclass(frozen=True, kw_only=True)
class ThreePlayers(Scheme):
    """A student and a wider teacher follow each other, and seek labels that pass for true ones.

    The paper samples labels; here every label counts by its probability, which has the same
    mean and no noise. Labels also teach both directly.
    """

    alpha: float = option(0.5, "share of the student in what is judged", low=0, high=1)
    beta: float = option(1.0, "of what the teacher teaches the student", low=0)
    gamma: float = option(0.1, "of what the student teaches the teacher", low=0)
    judged: float = option(0.3, "of what the discriminator teaches; labels have 1", low=0)
    width: float = option(2.0, "channels of the teacher over the student's", low=1)

    name: ClassVar[str] = "kdgan"
    family: ClassVar[SchemeFamily] = "adversarial"
    paper: ClassVar[str] = "Wang et al., NeurIPS 2018, KDGAN"
    control: ClassVar[str] = "the student alone on labels"

    @property
    def cost_factor(self) -> float:
        """Teacher and discriminator learn beside it; in the discriminator's turn all are run."""
        return 1.3 * (2.0 + self.width**2)

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of both, in turns with the discriminator."""
        players = {STUDENT: self.alpha, _TEACHER: 1.0 - self.alpha}
        hides = [
            Edge(
                name=f"judge {name}", loss=expected_label_loss, prediction=f"{name}.logits",
                target=f"{_JUDGE}.logits", weight=self.judged * share,
            )
            for name, share in players.items()
        ]  # fmt: skip
        finds = [
            Edge(name="judge", loss=called_true, prediction=f"{_JUDGE}.logits", target=LABELS),
            *(
                Edge(
                    name="judge", loss=called_made, prediction=f"{_JUDGE}.logits",
                    target=f"{name}.logits", weight=share,
                )
                for name, share in players.items()
            ),
        ]  # fmt: skip
        together = Phase(
            name="together",
            roles=(
                Network(name=STUDENT),
                Network(name=_TEACHER, width=self.width, draw=1),
                Network(name=_JUDGE, draw=2, apart=True),
            ),
            edges=(
                label_edge(STUDENT),
                label_edge(_TEACHER),
                *hides,
                self._follows(STUDENT, _TEACHER, self.beta),
                self._follows(_TEACHER, STUDENT, self.gamma),
            ),
            turns=(Turn(roles=(_JUDGE,), edges=tuple(finds)),),
        )
        return (together,)

    def control_phases(self) -> tuple[Phase, ...]:
        """Return the student alone."""
        return (Phase(name="alone", roles=(Network(name=STUDENT),), edges=(label_edge(STUDENT),)),)

    def _follows(self, who: str, whom: str, weight: float) -> Edge:
        return Edge(
            name=f"{whom} teaches",
            loss=divergence,
            prediction=f"{who}.logits",
            target=f"{whom}.logits",
            weight=weight,
        )
