"""Data-distortion guided self-distillation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network, View
from hwkd.distill.edge_losses import mean_distance
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


@SCHEMES.register("ddgsd")
@dataclass(frozen=True, kw_only=True)
class TwoViews(Scheme):
    """A student that sees each sample in two distortions and is to say the same of both."""

    temperature: float = option(3.0, "softening of the other view's classes", above=0)
    weight: float = option(1.0, "of what the views teach each other; labels have 1", low=0)
    mu: float = option(0.0005, "of the distance of the mean features", low=0)

    name: ClassVar[str] = "ddgsd"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Xu and Liu, AAAI 2019"
    control: ClassVar[str] = "labels for both views"

    @property
    def cost_factor(self) -> float:
        """Two views of each sample."""
        return 2.0

    def phases(self) -> tuple[Phase, ...]:
        """Return one training on two views."""
        pairs = ((STUDENT, "view"), ("view", STUDENT))
        kl = partial(divergence, temperature=self.temperature)
        edges = [label_edge(STUDENT), label_edge("view")]
        edges += [
            Edge(
                name=f"other {ours}", loss=kl, prediction=f"{ours}.logits",
                target=f"{theirs}.logits", weight=self.weight,
            )
            for ours, theirs in pairs
        ]  # fmt: skip
        edges.append(
            Edge(
                name="features", loss=mean_distance, prediction="student.features",
                target="view.features", weight=self.mu, attached=True,
            )
        )  # fmt: skip
        roles = (Network(name=STUDENT), View(name="view", of=STUDENT))
        return (Phase(name="together", roles=roles, edges=tuple(edges)),)
