"""Several teachers: averaged, chosen or weighed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, FreeWeights, InstanceWeights, Network
from hwkd.core.cohort_sources import Earlier, Given, Role
from hwkd.core.errors import ConfigError
from hwkd.distill.aggregators.confidence import confidence_weights
from hwkd.distill.aggregators.entropy import entropy_weights
from hwkd.distill.aggregators.graph import agreement_weights, graph_mixture
from hwkd.distill.aggregators.instance_weights import instance_mixture, learned_mixture
from hwkd.distill.aggregators.lowest_error import lowest_error
from hwkd.distill.aggregators.mean import mean_logit, mean_probability
from hwkd.distill.aggregators.min_norm import min_norm_weights
from hwkd.distill.losses.of_classes import divergence, soft_cross_entropy
from hwkd.distill.method import option
from hwkd.distill.scheme import Aggregate, Edge, Phase, SchemeFamily, TaughtScheme, label_edge

WAYS = (
    "loss", "probability", "logit", "select", "confidence", "entropy", "min_norm",
    "min_norm_directions", "learned", "instance", "graph", "learned_graph",
)  # fmt: skip
# Those that a single teacher can do.
_OF_ONE = ("probability", "logit", "loss", "select")


def teachers_edge(
    names: tuple[str, ...],
    way: str,
    *,
    temperature: float,
    weight: float = 1.0,
    nu: float = -1.0,
    divides: bool = False,
) -> Edge:
    """Return the edge by which a student follows several teachers.

    Args:
        names: signals of the teachers' logits.
        way: one of `WAYS`.
        temperature: of all softened classes, > 0.
        weight: of the term.
        nu: see `min_norm_weights`.
        divides: weighed terms are divided by the number of teachers once more.
    """
    kl = partial(divergence, temperature=temperature)
    divisor = len(names) if way == "loss" or divides else 1
    return Edge(
        name="teachers",
        loss=partial(soft_cross_entropy, temperature=temperature) if way == "instance" else kl,
        prediction="student.logits",
        target=_one_target(names, temperature).get(way, names),
        weigh=_weighed(names, temperature, nu).get(way),
        weight=weight / divisor,
        attached=way in ("learned", "learned_graph", "instance"),
    )


def _one_target(names: tuple[str, ...], temperature: float) -> Mapping[str, Aggregate]:
    """Return, by way, what makes one target of all teachers."""
    factors = tuple(f"instance.factor{k}" for k in range(len(names)))
    return {
        "probability": Aggregate(
            by=partial(mean_probability, temperature=temperature), members=names
        ),
        "logit": Aggregate(by=mean_logit, members=names),
        "select": Aggregate(by=lowest_error, members=names, of_labels=True),
        "learned": Aggregate(
            by=partial(learned_mixture, temperature=temperature),
            members=names,
            controls=("free.values",),
        ),
        "learned_graph": Aggregate(
            by=partial(graph_mixture, temperature=temperature),
            members=names,
            controls=("free.values",),
        ),
        "instance": Aggregate(
            by=partial(instance_mixture, temperature=temperature),
            members=names,
            controls=("student.features", "instance.latent", *factors),
        ),
    }


def _weighed(names: tuple[str, ...], temperature: float, nu: float) -> Mapping[str, Aggregate]:
    """Return, by way, what weighs the terms of the teachers."""

    def by_norm(*, normalises: bool) -> Aggregate:
        by = partial(min_norm_weights, temperature=temperature, nu=nu, normalises=normalises)
        return Aggregate(by=by, members=names, controls=("student.logits",))

    return {
        "confidence": Aggregate(by=confidence_weights, members=names, of_labels=True),
        "entropy": Aggregate(by=entropy_weights, members=names),
        "graph": Aggregate(by=partial(agreement_weights, temperature=temperature), members=names),
        "min_norm": by_norm(normalises=False),
        "min_norm_directions": by_norm(normalises=True),
    }


@SCHEMES.register("multi_teacher")
@dataclass(frozen=True, kw_only=True)
class SeveralTeachers(TaughtScheme):
    """Wider networks, trained first on labels, teach the student together."""

    teachers: int = option(3, "networks that are trained first", low=2, high=8)
    width: float = option(3.0, "their channels over the student's", low=1)
    way: str = option("probability", "how they become one", choices=WAYS)
    temperature: float = option(4.0, "softening of the teachers' classes", above=0)
    weight: float = option(1.0, "of what they teach; labels have 1", low=0)
    nu: float = option(
        -1.0, "of min_norm: 1 / (nu K) is the largest weight; -1 is no bound", low=-1, high=1
    )
    divide_by_teachers: bool = option(
        False, "divides the weighed terms by the number of teachers, as public code does"
    )

    name: ClassVar[str] = "multi_teacher"
    family: ClassVar[SchemeFamily] = "multi-teacher"
    paper: ClassVar[str] = (
        "Hinton et al. 2015; CA-MKD arXiv:2201.00007, EBKD, AEKD, AMTML-KD arXiv:2103.04062"
    )
    evidence: ClassVar[str] = "a user found no gain of seed ensembles over a tuned baseline"
    control: ClassVar[str] = "the student alone on labels"

    @property
    def cost_factor(self) -> float:
        """A training for each teacher, which is wider; their answers are stored."""
        return 1.0 if self.given else 1.0 + self.teachers * self.width**2

    def __post_init__(self) -> None:
        """Refuse options outside their range, and weights of a single teacher.

        Raises:
            ConfigError: says what to do.
        """
        super().__post_init__()
        if self.given == 1 and self.way not in _OF_ONE:
            raise ConfigError(
                f"scheme {self.name}: way={self.way} weighs several teachers, and one was given; "
                f"give more of them with --teacher, or way={_OF_ONE[0]}"
            )

    def phases(self) -> tuple[Phase, ...]:
        """Return a training of all teachers, if they are not the user's, and one of the student."""
        names = tuple(f"teacher{k}" for k in range(self.given or self.teachers))
        taught = Phase(
            name="teachers",
            roles=tuple(Network(name=n, width=self.width, draw=k + 1) for k, n in enumerate(names)),
            edges=tuple(label_edge(name) for name in names),
        )
        follows = teachers_edge(
            tuple(f"{n}.logits" for n in names),
            self.way,
            temperature=self.temperature,
            weight=self.weight,
            nu=self.nu,
            divides=self.divide_by_teachers,
        )
        known: list[Role] = [Earlier(name=n, phase="teachers", of=n) for n in names]
        if self.given:
            known = [Given(name=n, number=k) for k, n in enumerate(names)]
        roles: tuple[Role, ...] = (Network(name=STUDENT), *known)
        if self.way in ("learned", "learned_graph"):
            count = len(names) ** (2 if self.way == "learned_graph" else 1)
            roles = (*roles, FreeWeights(name="free", members=count))
        if self.way == "instance":
            roles = (*roles, InstanceWeights(name="instance", of=STUDENT, members=len(names)))
        learns = Phase(name="student", roles=roles, edges=(label_edge(STUDENT), follows))
        return (learns,) if self.given else (taught, learns)
