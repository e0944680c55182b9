"""A discriminator of student and teacher, of what they say or of their features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Judge, Network, Projected
from hwkd.core.cohort_sources import Frozen, Given, Role
from hwkd.core.errors import ConfigError
from hwkd.distill.edge_losses import looks_made, looks_real
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import (
    NOTHING,
    Edge,
    Phase,
    SchemeFamily,
    TaughtScheme,
    Turn,
    label_edge,
)

_TEACHER, _JUDGE, _LIKE = "teacher", "judge", "projected"


@SCHEMES.register("adversarial")
@dataclass(frozen=True, kw_only=True)
class JudgedStudent(TaughtScheme):
    """A student whose logits, or features, a discriminator is not to tell from a teacher's.

    The teacher is trained first and stays as it is; the discriminator learns in turns with the
    student, which also follows the teacher's classes and the labels.
    """

    on: str = option("logits", "what the discriminator looks at", choices=("logits", "features"))
    judged: float = option(0.3, "of what the discriminator teaches; labels have 1", low=0)
    weight: float = option(1.0, "of the teacher's classes", low=0)
    temperature: float = option(4.0, "softening of the teacher's classes", above=0)
    width: float = option(2.0, "channels of the teacher over the student's", low=1)

    name: ClassVar[str] = "adversarial"
    family: ClassVar[SchemeFamily] = "adversarial"
    paper: ClassVar[str] = (
        "logits: Xu et al. 2018, arXiv:1709.00513; features: Liu et al. 2019, arXiv:1812.00564"
    )
    control: ClassVar[str] = "the student alone on labels"

    def __post_init__(self) -> None:
        """Refuse options outside their range, and teachers that it has no place for.

        Raises:
            ConfigError: says what to do.
        """
        super().__post_init__()
        if self.given > 1 or (self.given and self.on == "features"):
            raise ConfigError(
                f"scheme {self.name}: --teacher takes one teacher, of which only logits are known; "
                "give one, with on=logits"
            )

    @property
    def cost_factor(self) -> float:
        """The teacher is trained, and run beside the student."""
        return 2.2 + (0.0 if self.given else self.width**2 * 4 / 3)

    def phases(self) -> tuple[Phase, ...]:
        """Return the training of the teacher, if it is not the user's, and that of the student."""
        teacher: Role = Frozen(name=_TEACHER, phase=_TEACHER, of=STUDENT)
        if self.given:
            teacher = Given(name=_TEACHER)
        is_on_features = self.on == "features"
        like = _LIKE if is_on_features else STUDENT
        roles: list[Role] = [Network(name=STUDENT), teacher]
        if is_on_features:
            roles.append(Projected(name=_LIKE, of=STUDENT, width=self.width))
        roles.append(Judge(name=_JUDGE, of=like, beside=_TEACHER, signal=self.on, width=self.width))
        own, theirs = f"{_JUDGE}.own", f"{_JUDGE}.next"
        edges = (
            label_edge(STUDENT),
            Edge(
                name="teacher", loss=partial(divergence, temperature=self.temperature),
                prediction=f"{STUDENT}.logits", target=f"{_TEACHER}.logits", weight=self.weight,
            ),
            Edge(name=_JUDGE, loss=looks_real, prediction=own, target=NOTHING, weight=self.judged),
        )  # fmt: skip
        finds = (
            Edge(name="tells apart", loss=looks_real, prediction=theirs, target=NOTHING),
            Edge(name="tells apart", loss=looks_made, prediction=own, target=NOTHING),
        )
        learns = Phase(
            name=STUDENT,
            roles=tuple(roles),
            edges=edges,
            turns=(Turn(roles=(_JUDGE,), edges=finds),),
        )
        if self.given:
            return (learns,)
        taught = Network(name=STUDENT, width=self.width)
        return (Phase(name=_TEACHER, roles=(taught,), edges=(label_edge(STUDENT),)), learns)
