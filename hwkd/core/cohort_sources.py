"""Who takes part in a training without learning: teachers, memories and copies of networks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hwkd.core.cohort import Member, Trained


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier(Member):
    """A network as it was at the end of a phase before: logits.

    Attributes:
        phase: name of that phase.
        of: the role in it.
        noise: deviation of what is added to its logits, which so tell less of its samples.
    """

    phase: str
    of: str
    noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen(Member):
    """A network as it was at the end of a phase before, run on every batch: all its signals.

    Attributes:
        phase: name of that phase.
        of: the role in it.
    """

    phase: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent(Member):
    """What clients send of their own samples: maps of a stage, and logits of an exit on it.

    Attributes:
        phases: of the clients; each sent its own part of the samples.
        of: the segment that has the stage.
        stage: counted from 1 at the input.
        exit: on it.
    """

    phases: tuple[str, ...]
    of: str
    stage: int
    exit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied(Member):
    """What a server says of the maps that a client sent: logits.

    Attributes:
        phase: of the server.
        of: its network.
        client: phase of the client that sent the maps.
        segment: that has the stage there.
        stage: counted from 1 at the input.
    """

    phase: str
    of: str
    client: str
    segment: str
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Given(Member):
    """A teacher of the user's: logits.

    Attributes:
        number: of the teacher, from 0, in the order in which they were given.
    """

    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Average(Member):
    """The moving average of a network's weights: logits."""

    of: str
    decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale(Member):
    """A copy of a network that is taken anew after so many steps: logits."""

    of: str
    interval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory(Member):
    """A network's own logits when it saw the sample last: `probabilities`; at first its label."""

    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut(Member):
    """Members measured on held-out samples once an epoch: `weights`, shape [members]."""

    members: tuple[str, ...]


Source: TypeAlias = Earlier | Frozen | Sent | Replied | Given | Average | Stale | Memory | HeldOut
Role: TypeAlias = Trained | Source
