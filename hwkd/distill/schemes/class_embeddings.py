"""Self-knowledge from class embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.distill.aggregators.class_rows import near_classes
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.timetables.ramp import grows_from


@SCHEMES.register("class_embeddings")
@dataclass(frozen=True, kw_only=True)
class NearClasses(Scheme):
    """A student that gives each class as much as its row of the classifier is near the label's.

    The rows are the student's own, as they are at each step.
    """

    weight: float = option(0.5, "of the soft target; labels have 1", low=0)
    share: float = option(0.3, "of nearness in the target; the label has the rest", low=0, high=1)
    spread: float = option(0.5, "of nearness, in mean distances of two classes", above=0)
    begins: float = option(0.2, "share of the training before it teaches", low=0, high=0.5)

    name: ClassVar[str] = "class_embeddings"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Hahn and Choi 2019, arXiv:1908.01851"
    control: ClassVar[str] = "cross-entropy; compare with label smoothing, too"

    @property
    def cost_factor(self) -> float:
        """A product of the classifier's rows."""
        return 1.0

    def phases(self) -> tuple[Phase, ...]:
        """Return one training."""
        near = partial(near_classes, spread=self.spread, share=self.share)
        follows = Edge(
            name="near classes",
            loss=divergence,
            prediction=f"{STUDENT}.logits",
            target=Aggregate(by=near, members=(f"{STUDENT}.classes",), of_labels=True),
            weight=self.weight,
            ramp=partial(grows_from, begins=self.begins),
        )
        roles = (Network(name=STUDENT),)
        return (Phase(name="alone", roles=roles, edges=(label_edge(STUDENT), follows)),)
