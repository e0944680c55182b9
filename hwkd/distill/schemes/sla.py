"""Self-knowledge of augmentation: one look learns what all turned looks say together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Joint, Network, View
from hwkd.core.cohort_sources import Role
from hwkd.distill.aggregators.joint_views import joint_label_loss, of_all_views
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme, SchemeFamily, label_edge

_JOINT = "joint"


@SCHEMES.register("sla")
@dataclass(frozen=True, kw_only=True)
class KnownTurns(Scheme):
    """A second classifier names class and turn of four turned looks; the student follows it.

    What it says of all four together is the target of the look that is not turned. Square pictures
    are turned by quarters, other inputs are mirrored along their axes.
    """

    temperature: float = option(1.0, "softening of what all looks say", above=0)
    weight: float = option(1.0, "of what all looks teach; labels have 1", low=0)
    joint: float = option(1.0, "of class and turn of every look", above=0)
    looks: int = option(4, "by how many quarter turns", low=2, high=4)

    name: ClassVar[str] = "sla"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Lee et al. 2019, arXiv:1910.05872, with self-distillation"
    control: ClassVar[str] = "labels for the student, class and turn for every look"

    @property
    def cost_factor(self) -> float:
        """Every look is a pass."""
        return float(self.looks)

    def phases(self) -> tuple[Phase, ...]:
        """Return one training on all looks."""
        views = [View(name=f"turned{n}", of=STUDENT, quarter_turns=n) for n in range(1, self.looks)]
        members = (STUDENT, *(view.name for view in views))
        signals = tuple(f"{_JOINT}.{member}" for member in members)
        names_both = [
            Edge(
                name="class and turn", prediction=signal, weight=self.joint / self.looks,
                loss=partial(joint_label_loss, view=view, views=self.looks), teaches=False,
            )
            for view, signal in enumerate(signals)
        ]  # fmt: skip
        all_looks = Edge(
            name="all looks",
            loss=partial(divergence, temperature=self.temperature),
            prediction=f"{STUDENT}.logits",
            target=Aggregate(by=of_all_views, members=signals),
            weight=self.weight,
        )
        joint = Joint(name=_JOINT, members=members)
        roles: tuple[Role, ...] = (Network(name=STUDENT), *views, joint)
        edges = (label_edge(STUDENT), *names_both, all_looks)
        return (Phase(name="together", roles=roles, edges=edges),)
