"""Blockwise supervision: every stage learns alone from the same stage of a teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network, Segment
from hwkd.core.cohort_sources import Frozen
from hwkd.distill.edge_losses import squared_difference
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge

_TEACHER, _BLOCKS = "teacher", "blocks"


@SCHEMES.register("dna")
@dataclass(frozen=True, kw_only=True)
class Blockwise(Scheme):
    """Stages that learn side by side, each from the teacher's stage on the teacher's maps.

    No gradient passes from one to the next; then all learn together from labels.
    """

    blocks: int = option(2, "first stages of the student that learn so", low=1, high=8)
    width: float = option(2.0, "channels of the teacher over the student's", low=1)

    name: ClassVar[str] = "dna"
    family: ClassVar[SchemeFamily] = "staged"
    paper: ClassVar[str] = "Li et al. 2020, arXiv:1911.13053"
    control: ClassVar[str] = "the student alone on labels, for as many passes"

    @property
    def cost_factor(self) -> float:
        """The teacher is trained, then run beside the blocks."""
        return self.width**2 * 4 / 3 + 2.0

    def phases(self) -> tuple[Phase, ...]:
        """Return the training of the teacher, that of the blocks, and that of the whole."""
        teacher = Network(name=STUDENT, width=self.width)
        return (
            Phase(name=_TEACHER, roles=(teacher,), edges=(label_edge(STUDENT),)),
            self._apart(),
            Phase(
                name="whole",
                roles=(Network(name=STUDENT, goes_on=True),),
                edges=(label_edge(STUDENT),),
            ),
        )

    def control_phases(self) -> tuple[Phase, ...]:
        """Return the student alone, for the passes of the blocks and of the whole."""
        last = self.phases()[-1]
        return (replace(last, roles=(Network(name=STUDENT),), share=2.0),)

    def _apart(self) -> Phase:
        segments = [
            Segment(
                name=f"block{number}", of=STUDENT, after=number - 1, until=number,
                shown=f"{_TEACHER}.stage{number - 1}" if number > 1 else "", width=self.width,
            )
            for number in range(1, self.blocks + 1)
        ]  # fmt: skip
        edges = [
            Edge(
                name=segment.name, loss=squared_difference,
                prediction=f"{segment.name}.stage{segment.until}",
                target=f"{_TEACHER}.stage{segment.until}",
            )
            for segment in segments
        ]  # fmt: skip
        return Phase(
            name=_BLOCKS,
            roles=(
                Network(name=STUDENT, in_parts=True),
                Frozen(name=_TEACHER, phase=_TEACHER, of=STUDENT),
                *segments,
            ),
            edges=tuple(edges),
        )
