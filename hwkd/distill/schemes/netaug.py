"""Network augmentation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network, Wide
from hwkd.core.errors import ConfigError
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.timetables.ramp import ends_at


@SCHEMES.register("netaug")
@dataclass(frozen=True, kw_only=True)
class NetworkAugmentation(Scheme):
    """A student that is the first channels of larger networks, which learn with it."""

    widest: float = option(3.0, "channels of the widest network over the student's", low=1)
    expansion: float = option(
        1.0, "channels inside inverted bottlenecks over the student's, times those of all", low=1
    )
    depth: int = option(0, "residual blocks more behind each stage of the largest", low=0, high=4)
    alpha: float = option(1.0, "of the wide network's labels; the student's have 1", low=0)
    distil: float = option(0.0, "of what the wide network teaches the student", low=0)
    temperature: float = option(2.0, "softening of the wide network's classes", above=0)
    plain: float = option(
        0.1, "share of the training at its end without augmentation", low=0, high=0.5
    )

    name: ClassVar[str] = "netaug"
    family: ClassVar[SchemeFamily] = "augmentation"
    paper: ClassVar[str] = "Cai et al. 2022, arXiv:2110.08890"
    evidence: ClassVar[str] = "+1.2 to 1.7 points on ImageNet for networks from 740k parameters on"
    control: ClassVar[str] = "the student alone on labels"
    re_estimates: ClassVar[bool] = True

    @property
    def cost_factor(self) -> float:
        """The student, and a network of a drawn size beside it."""
        width, expansion = (1 + self.widest) / 2, (1 + self.expansion) / 2
        return 1.0 + width**2 * expansion + self.depth / 2

    def __post_init__(self) -> None:
        """Refuse a largest network that is the student."""
        Scheme.__post_init__(self)
        if self.widest == self.expansion == 1 and not self.depth:
            raise ConfigError(
                "scheme netaug: nothing is larger than the student; give widest or expansion above "
                "1, or depth"
            )

    def phases(self) -> tuple[Phase, ...]:
        """Return one training of the student inside larger networks."""
        until = partial(ends_at, end=1.0 - self.plain)
        wide = replace(label_edge("wide", self.alpha), ramp=until, teaches=True)
        follows = Edge(
            name="wide student",
            loss=partial(divergence, temperature=self.temperature),
            prediction="student.logits",
            target="wide.logits",
            weight=self.distil,
            ramp=until,
        )
        steps = (1, 2, 3)
        wide_network = Wide(
            name="wide",
            of=STUDENT,
            multipliers=tuple(1.0 + (self.widest - 1.0) * n / 3 for n in steps),
            expansions=tuple(1.0 + (self.expansion - 1.0) * n / 3 for n in steps),
            depths=tuple(round(self.depth * n / 3) for n in steps),
        )
        roles = (Network(name=STUDENT), wide_network)
        return (Phase(name="together", roles=roles, edges=(label_edge(STUDENT), wide, follows)),)
