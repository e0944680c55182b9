"""Tasks that come one after another: the network before each teaches what it knew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from torch import Tensor

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Frozen, Role
from hwkd.distill.edge_losses import binary_divergence, old_head_loss, pooled_difference
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily
from hwkd.distill.tasks_in_turn import TaskInTurn, on_old_classes, seen_label_loss

_BEFORE = "before"


@SCHEMES.register("lifelong")
@dataclass(frozen=True, kw_only=True)
class Lifelong(Scheme):
    """Classes in tasks, learned in turn; old ones are kept by the network before and exemplars."""

    tasks: int = option(2, "parts of the classes, in their order", low=2, high=20)
    way: str = option(
        "icarl", "soft classes of old heads, sigmoids of old classes, or pooled maps",
        choices=("lwf", "icarl", "pod"),
    )  # fmt: skip
    exemplars: int = option(20, "samples of each old class that are learned again", low=0)
    weight: float = option(1.0, "of what the network before teaches", low=0)
    temperature: float = option(2.0, "of lwf", above=0)

    name: ClassVar[str] = "lifelong"
    family: ClassVar[SchemeFamily] = "lifelong"
    paper: ClassVar[str] = "LwF arXiv:1606.09282; iCaRL arXiv:1611.07725; PODNet arXiv:2004.13513"
    control: ClassVar[str] = "the same tasks and exemplars on labels alone"

    @property
    def cost_factor(self) -> float:
        """Each sample is seen in its task; the network before runs beside."""
        return 1.3

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each task; the student goes on."""
        return tuple(self._phase(index) for index in range(self.tasks))

    def _phase(self, index: int) -> Phase:
        task = TaskInTurn(index=index, of=self.tasks, exemplars=self.exemplars)
        roles: list[Role] = [Network(name=STUDENT, goes_on=index > 0)]
        edges = [
            Edge(
                name="labels", loss=partial(seen_label_loss, task=task),
                prediction="student.logits", teaches=False,
            )
        ]  # fmt: skip
        if index:
            roles.append(Frozen(name=_BEFORE, phase=f"task{index - 1}", of=STUDENT))
            edges.append(self._kept(task))
        return Phase(name=f"task{index}", roles=tuple(roles), edges=tuple(edges), task=task)

    def _kept(self, task: TaskInTurn) -> Edge:
        signal = "stage1" if self.way == "pod" else "logits"
        old: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
            "lwf": partial(old_head_loss, temperature=self.temperature),
            "icarl": binary_divergence,
        }
        loss = (
            pooled_difference
            if self.way == "pod"
            else partial(on_old_classes, loss=old[self.way], task=task)
        )
        return Edge(
            name="before",
            loss=loss,
            prediction=f"student.{signal}",
            target=f"{_BEFORE}.{signal}",
            weight=self.weight,
        )
