"""What a scheme of distillation is: who takes part, who follows whom, when, in which order.

A scheme is data. Its options are fields, as those of a method; `phases` says what they mean:
roles, and edges from a prediction to a target. One loop runs them all
(`hwkd.distill.scheme_criterion`), and one rule decides what is detached: the edge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from hwkd.core.cohort import STUDENT, Joint
from hwkd.core.cohort_sources import Role
from hwkd.core.errors import ConfigError
from hwkd.distill.losses.of_classes import label_loss
from hwkd.distill.method import Configured, option
from hwkd.distill.shards import Part
from hwkd.distill.tasks_in_turn import TaskInTurn

SchemeFamily: TypeAlias = Literal[
    "self", "online", "multi-teacher", "staged", "augmentation", "quantised", "lifelong",
    "federated", "data-free", "adversarial", "cross-modal",
]  # fmt: skip
# The target of an edge that learns from labels.
LABELS = "labels"
# The target of an edge whose loss is of the prediction alone.
NOTHING = ""
# Trainings of the student that one of a candidate may cost.
_CANDIDATES_COST = 1.15
Ramp: TypeAlias = Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """Several signals made one: a target, or weights of samples.

    Attributes:
        by: takes the members stacked, then the controls, then the labels if it wants them.
        members: signals that are stacked, shape [members, batch, ...].
        controls: further signals.
        of_labels: whether it looks at the labels.
    """

    by: Callable[..., Tensor]
    members: tuple[str, ...]
    controls: tuple[str, ...] = ()
    of_labels: bool = False

    def __call__(self, signals: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Compute it from a step's signals."""
        given = [torch.stack([signals[name] for name in self.members])]
        given += [signals[name] for name in self.controls]
        return self.by(*given, labels) if self.of_labels else self.by(*given)

    @property
    def reads(self) -> tuple[str, ...]:
        """Signals that it looks at."""
        return (*self.members, *self.controls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """A prediction that is to follow a target.

    Attributes:
        name: of the term.
        loss: (prediction, target) -> value of each sample or of the batch.
        prediction: the signal that learns, or an aggregate; one for each target where there are
            several signals.
        target: `LABELS`, `NOTHING`, a signal, an aggregate, or signals whose losses are added.
        weight: of the term; 0 leaves it out.
        ramp: share of the training, 0 to 1 -> what the weight is multiplied by.
        weigh: weights of samples, shape [batch] or [targets, batch]; detached with the target.
        attached: the target learns too.
        sums: over samples instead of the mean; also where the weights have their own sum.
        teaches: it is distillation, so that the control is without it.
    """

    name: str
    loss: Callable[..., Tensor]
    prediction: str | Aggregate | tuple[str, ...]
    target: str | Aggregate | tuple[str, ...] = LABELS
    weight: float = 1.0
    ramp: Ramp | None = None
    weigh: Aggregate | None = None
    attached: bool = False
    sums: bool = False
    teaches: bool = True

    @property
    def predictions(self) -> tuple[str, ...]:
        """Signals that learn."""
        if isinstance(self.prediction, Aggregate):
            return self.prediction.reads
        return (self.prediction,) if isinstance(self.prediction, str) else self.prediction

    @property
    def reads(self) -> tuple[str, ...]:
        """Signals that its target and its weights are made of."""
        weighs = () if self.weigh is None else self.weigh.reads
        if isinstance(self.target, Aggregate):
            return (*self.target.reads, *weighs)
        targets = (self.target,) if isinstance(self.target, str) else self.target
        return (*(name for name in targets if name not in (LABELS, NOTHING)), *weighs)

    def factor(self, done_ratio: float) -> float:
        """Return the weight at a share of the training, 0 to 1."""
        return self.weight if self.ramp is None else self.weight * self.ramp(done_ratio)

    def __call__(self, signals: Mapping[str, Tensor], labels: Tensor) -> Tensor:
        """Return the unweighted term, a scalar."""
        if isinstance(self.prediction, Aggregate):
            predictions = [self.prediction(signals, labels)]
        else:
            predictions = [signals[name] for name in self.predictions]
        if self.target == NOTHING:
            value: Tensor = self.loss(*predictions)
            return value.sum() if self.sums else value.mean()
        targets = self._targets(signals, labels, len(predictions))
        if len(predictions) == 1:
            predictions = predictions * len(targets)
        values = [self.loss(p, t) for p, t in zip(predictions, targets, strict=True)]
        if self.weigh is not None:
            weights = self.weigh(signals, labels)
            weights = weights if self.attached else weights.detach()
            values = [v * w for v, w in zip(values, weights.reshape(len(values), -1), strict=True)]
        total = values[0] if len(values) == 1 else torch.stack(values).sum(0)
        return total.sum() if self.sums else total.mean()

    def _targets(
        self, signals: Mapping[str, Tensor], labels: Tensor, predictions: int
    ) -> list[Tensor]:
        if self.target == LABELS:
            return [labels] * predictions
        if isinstance(self.target, Aggregate):
            found = [self.target(signals, labels)]
        elif isinstance(self.target, str):
            found = [signals[self.target]]
        else:
            found = [signals[name] for name in self.target]
        return found if self.attached else [target.detach() for target in found]


def label_edge(role: str, weight: float = 1.0) -> Edge:
    """Return the edge by which a role learns from labels."""
    return Edge(
        name=f"labels {role}",
        loss=label_loss,
        prediction=f"{role}.logits",
        weight=weight,
        teaches=False,
    )


def edge_terms(
    edges: tuple[Edge, ...], signals: Mapping[str, Tensor], labels: Tensor, done_ratio: float = 1.0
) -> dict[str, Tensor]:
    """Return the weighted terms of a step; an edge without weight is not computed.

    Args:
        edges: of a phase; several of one name are added.
        signals: ROLE.SIGNAL -> tensor whose first axis is the batch.
        labels: shape [batch].
        done_ratio: share of the training that is done, 0 to 1.
    """
    terms: dict[str, Tensor] = {}
    for edge in edges:
        factor = edge.factor(done_ratio)
        if factor == 0.0:
            continue
        value = edge(signals, labels)
        value = value if factor == 1.0 else value * factor
        terms[edge.name] = terms[edge.name] + value if edge.name in terms else value
    return terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Steps of roles that oppose the others, with an optimizer of their own.

    Attributes:
        roles: that learn in it; they learn in no other.
        edges: that they minimise.
        steps: for each step of the others.
    """

    roles: tuple[str, ...]
    edges: tuple[Edge, ...]
    steps: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One training of a scheme.

    Attributes:
        name: unique in the scheme.
        roles: who takes part; what an edge reads comes from one of them.
        edges: what is minimised, added.
        share: of the epochs of the whole scheme, 0 to 1; 0 trains nothing.
        turns: of roles with an aim of their own, before each step of the others.
        task: whose classes alone it learns, where classes come in tasks; None is all.
        scales_trunk: the gradient that branches send into their trunk is divided by their number.
        part: of the samples that it trains on; None is all.
    """

    name: str
    roles: tuple[Role, ...]
    edges: tuple[Edge, ...]
    share: float = 1.0
    turns: tuple[Turn, ...] = ()
    task: TaskInTurn | None = None
    scales_trunk: bool = False
    part: Part | None = None

    def without_teaching(self) -> Phase:
        """Return the control: the same roles on labels, without the edges that distil."""
        kept = [replace(edge, ramp=None) for edge in self.edges if not edge.teaches]
        edges = tuple(kept) or (label_edge(STUDENT),)
        read = {signal.split(".")[0] for e in edges for signal in (*e.predictions, *e.reads)}
        # What a classifier of several looks reads is read, too.
        for role in self.roles:
            if isinstance(role, Joint) and role.name in read:
                read |= {*role.members}
        roles = tuple(role for role in self.roles if role.name in {*read, STUDENT})
        return replace(self, roles=roles, edges=edges, turns=())


@dataclass(frozen=True, kw_only=True)
class Scheme(Configured, ABC):
    """A configured scheme; its fields are its options.

    Attributes:
        name: by which it is registered.
        family: kind of scheme.
        paper: where it is from.
        evidence: what is published of small students.
        needs: beside the labelled data, in words.
        re_estimates: statistics of normalisations are those that the last weights show of all
            samples, in the scheme and in its control.
        control: what the same is without the edges that distil, in words.
    """

    kind = "scheme"
    family: ClassVar[SchemeFamily]
    paper: ClassVar[str]
    evidence: ClassVar[str] = "none published for students under 50k parameters"
    needs: ClassVar[str] = "nothing else"
    re_estimates: ClassVar[bool] = False
    control: ClassVar[str]

    @property
    @abstractmethod
    def cost_factor(self) -> float:
        """Steps of the student alone that a step costs, about; all phases together."""

    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """Return the trainings, in order; the last one has what is exported."""

    def control_phases(self) -> tuple[Phase, ...] | None:
        """Return the trainings of the control; None makes it of the scheme's own phases."""
        return None

    def table(self) -> dict[str, Any]:
        """Return it as a `[scheme]` table."""
        return {"scheme": self.name} | {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def exported(self) -> tuple[str, ...]:
        """Roles of the last phase that may be exported; the best on validation is."""
        return (STUDENT,)

    @property
    def is_for_candidates(self) -> bool:
        """Whether a search trains every candidate by it: one training that costs hardly more."""
        cheap = self.cost_factor <= _CANDIDATES_COST
        return cheap and self.user_teachers == 0 and len(self.phases()) == 1

    @property
    def user_teachers(self) -> int:
        """How many teachers of the user's take part."""
        return 0

    @property
    def fewest_classes(self) -> int:
        """Classes that the data must have."""
        return 2

    def taught_by(self, teachers: int) -> Scheme:
        """Return the scheme with so many teachers of the user's in place of its own.

        Raises:
            ConfigError: if it has no place for them.
        """
        raise ConfigError(
            f"--teacher: scheme {self.name} trains all that take part, and {teachers} given here "
            "would teach nobody; leave it out, or use multi_teacher or takd"
        )


@dataclass(frozen=True, kw_only=True)
class TaughtScheme(Scheme):
    """A scheme with teachers that are finished before the student begins: its own or the user's."""

    given: int = option(
        0, "teachers of --teacher, in place of networks that are trained first", low=0, high=8
    )

    @property
    def user_teachers(self) -> int:
        """How many teachers of the user's take part."""
        return self.given

    def taught_by(self, teachers: int) -> Scheme:
        """Return it with so many teachers of the user's."""
        return replace(self, given=teachers)
