"""Progressive self-knowledge distillation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Memory
from hwkd.distill.edge_losses import probability_loss
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge


@SCHEMES.register("pskd")
@dataclass(frozen=True, kw_only=True)
class PastSelf(Scheme):
    """A student that follows what it said of each sample one epoch ago, more and more."""

    alpha: float = option(
        0.8, "share of the past self at the end; labels have the rest", low=0, high=1
    )
    grows: bool = option(True, "the share grows with the epochs; without, it is constant")

    name: ClassVar[str] = "pskd"
    family: ClassVar[SchemeFamily] = "self"
    paper: ClassVar[str] = "Kim et al. 2021, arXiv:2006.12000"
    evidence: ClassVar[str] = "0.1 points over label smoothing for large networks"
    control: ClassVar[str] = "cross-entropy; compare with label smoothing, too"

    @property
    def cost_factor(self) -> float:
        """It remembers and computes nothing further."""
        return 1.0

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of a student beside its memory."""
        share = partial(_share, self.alpha if self.grows else None, self.alpha)
        past = Edge(
            name="past self",
            loss=probability_loss,
            prediction="student.logits",
            target="memory.probabilities",
            ramp=share,
        )
        labels = replace(label_edge(STUDENT), ramp=partial(_rest, share))
        roles = (Network(name=STUDENT), Memory(name="memory", of=STUDENT))
        return (Phase(name="together", roles=roles, edges=(labels, past)),)


def _share(last: float | None, constant: float, done_ratio: float) -> float:
    return constant if last is None else last * done_ratio


def _rest(share: object, done_ratio: float) -> float:
    assert callable(share)
    return 1.0 - float(share(done_ratio))
