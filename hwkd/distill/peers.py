"""What schemes of equals have in common: students side by side, and ends of one trunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwkd.core.cohort import STUDENT, Branch, Network
from hwkd.core.cohort_sources import Role
from hwkd.distill.method import option
from hwkd.distill.scheme import Scheme, SchemeFamily


def peer_names(count: int) -> tuple[str, ...]:
    """Return the roles of peers; the first is the student itself."""
    return (STUDENT, *(f"peer{index}" for index in range(1, count)))


def peer_networks(count: int) -> tuple[Network, ...]:
    """Return peers of one shape, each with a start of its own."""
    return tuple(Network(name=name, draw=draw) for draw, name in enumerate(peer_names(count)))


def branch_names(count: int) -> tuple[str, ...]:
    """Return the roles of branches; the first is the student itself."""
    return (STUDENT, *(f"branch{index}" for index in range(1, count)))


def branches(count: int) -> tuple[Role, ...]:
    """Return a student and further ends of its trunk."""
    ends = [Branch(name=n, of=STUDENT, draw=d) for d, n in enumerate(branch_names(count)) if d]
    return (Network(name=STUDENT), *ends)


@dataclass(frozen=True, kw_only=True)
class PeerScheme(Scheme):
    """Students trained together, any of which may ship."""

    peers: int = option(3, "students trained together; the best on validation ships", low=2, high=8)

    family: ClassVar[SchemeFamily] = "online"
    control: ClassVar[str] = "as many students alone, of which the best ships"

    @property
    def cost_factor(self) -> float:
        """One training for each peer."""
        return float(self.peers)

    @property
    def exported(self) -> tuple[str, ...]:
        """Any peer."""
        return peer_names(self.peers)


@dataclass(frozen=True, kw_only=True)
class BranchScheme(Scheme):
    """Ends of one trunk trained together, any of which may ship."""

    branches: int = option(3, "ends of the trunk; the best on validation ships", low=2, high=8)

    family: ClassVar[SchemeFamily] = "online"

    @property
    def cost_factor(self) -> float:
        """The last stage of a small student is about half of it."""
        return 1.0 + 0.5 * (self.branches - 1)

    @property
    def exported(self) -> tuple[str, ...]:
        """Any branch."""
        return branch_names(self.branches)
