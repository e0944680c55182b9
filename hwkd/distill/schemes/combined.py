"""A teacher that is finished, exits of the student and a peer, all in one training."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier, Given, Role
from hwkd.core.errors import ConfigError
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, SchemeFamily, TaughtScheme, label_edge
from hwkd.distill.schemes.byot import exit_roles

_TEACHER, _PEER = "teacher", "peer1"


@SCHEMES.register("combined")
@dataclass(frozen=True, kw_only=True)
class Combined(TaughtScheme):
    """A student follows a finished teacher and a peer, and its exits follow its end.

    Offline, online and self-distillation at once; a weight of 0 leaves one out of what is learned.
    """

    exits: int = option(1, "classifiers on the first stages; none of them ships", low=1, high=8)
    offline: float = option(1.0, "of the teacher's classes; labels have 1", low=0)
    online: float = option(0.5, "of what student and peer teach each other", low=0)
    own: float = option(0.5, "of what the end teaches the exits", low=0)
    temperature: float = option(4.0, "softening of all classes that teach", above=0)
    width: float = option(2.0, "channels of the teacher over the student's", low=1)

    name: ClassVar[str] = "combined"
    family: ClassVar[SchemeFamily] = "online"
    paper: ClassVar[str] = "as in Gou et al. 2021, arXiv:2006.05525, section 3"
    control: ClassVar[str] = "student, exits and peer, each on labels alone"

    def __post_init__(self) -> None:
        """Refuse options outside their range, and more teachers than one.

        Raises:
            ConfigError: says what to do.
        """
        super().__post_init__()
        if self.given > 1:
            raise ConfigError(
                f"scheme {self.name}: {self.given} teachers given, and it has one; give one, or "
                "use multi_teacher"
            )

    @property
    def cost_factor(self) -> float:
        """The teacher, then two networks of which one has exits."""
        return 2.0 + 0.1 * self.exits + (0.0 if self.given else self.width**2)

    @property
    def exported(self) -> tuple[str, ...]:
        """Student or peer."""
        return (STUDENT, _PEER)

    def phases(self) -> tuple[Phase, ...]:
        """Return the training of the teacher, if it is not the user's, and that of all others."""
        exits = exit_roles(self.exits)
        teacher: Role = Earlier(name=_TEACHER, phase=_TEACHER, of=STUDENT)
        if self.given:
            teacher = Given(name=_TEACHER)
        roles: tuple[Role, ...] = (
            Network(name=STUDENT),
            Network(name=_PEER, draw=1),
            *exits,
            teacher,
        )
        learn = (STUDENT, _PEER, *(each.name for each in exits))
        edges = [
            *(label_edge(name) for name in learn),
            self._follows(STUDENT, _TEACHER, self.offline),
            self._follows(_PEER, _TEACHER, self.offline),
            self._follows(STUDENT, _PEER, self.online),
            self._follows(_PEER, STUDENT, self.online),
            *(self._follows(each.name, STUDENT, self.own) for each in exits),
        ]
        together = Phase(name="together", roles=roles, edges=tuple(edges))
        if self.given:
            return (together,)
        wide = Network(name=STUDENT, width=self.width, draw=2)
        return (Phase(name=_TEACHER, roles=(wide,), edges=(label_edge(STUDENT),)), together)

    def _follows(self, who: str, whom: str, weight: float) -> Edge:
        return Edge(
            name=f"{whom} teaches {who}",
            loss=partial(divergence, temperature=self.temperature),
            prediction=f"{who}.logits",
            target=f"{whom}.logits",
            weight=weight,
        )
