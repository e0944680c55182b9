"""Who takes part in a training: networks, parts of networks, and memories of them.

A role shows signals, which edges of a scheme name as ROLE.SIGNAL: `student.logits`,
`exit1.features`, `gate.weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

STUDENT = "student"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A whole network of the student's kind: logits, features (before the classifier), stages.

    Attributes:
        name: of the role.
        width: its channels over the student's.
        draw: numbers its random start; 0 is the student's own.
        goes_on: it begins as it was after the phase before, where it was there.
        begins: phases whose networks of this name it begins as the mean of; none draws its start.
        tail_begins: phase whose network its stages behind `tail_after` begin as; "" is none.
        tail_after: number of the last stage that is not of the tail.
        in_parts: only segments of it are run while it trains.
        apart: it learns in a turn of its own, so it is not computed beside others of its shape.
        is_dense: its convolutions in groups are dense.
    """

    name: str
    width: float = 1.0
    draw: int = 0
    goes_on: bool = False
    begins: tuple[str, ...] = ()
    tail_begins: str = ""
    tail_after: int = 0
    in_parts: bool = False
    apart: bool = False
    is_dense: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounded:
    """A network with simulated 8-bit rounding: logits.

    Attributes:
        name: of the role.
        phase: whose network it goes on from; one in float is calibrated first.
        of: the role there.
    """

    name: str
    phase: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """A classifier on a stage of a network: logits, and features of the network's own length.

    Attributes:
        name: of the role.
        of: the network, or a segment that ends in the stage.
        stage: counted from 1 at the input.
        begins: phases whose exits of this name it begins as the mean of; none draws its start.
    """

    name: str
    of: str
    stage: int
    begins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Stages of a network that are run on maps of another role: the last one's maps, or logits.

    Attributes:
        name: of the role.
        of: the network.
        after: stage whose place the maps are at; 0 is the input.
        until: stage that it ends with; 0 is the network's end.
        shown: signal with the maps; "" is the input itself.
        width: channels of the maps, and of those that it is to show, over the student's; where it
            is not 1, linear maps of channels come before and behind.
    """

    name: str
    of: str
    after: int
    until: int
    shown: str = ""
    width: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """What follows the last stage but one of a network, a second time: logits and features.

    Attributes:
        name: of the role.
        of: the network whose trunk it shares.
        draw: numbers its random start.
        width: its channels over the student's.
    """

    name: str
    of: str
    draw: int
    width: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Scores of members from the features of a network's trunk: `weights`, [batch, members]."""

    name: str
    of: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAttention:
    """Queries and keys from the features of members: `queries`, `keys`, [batch, members, dim]."""

    name: str
    members: tuple[str, ...]
    dim: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused:
    """A classifier on the features of all members together: logits."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeWeights:
    """Numbers that learn: `values`, shape [members]."""

    name: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceWeights:
    """Factors of features that learn: `latent`, and `factor0`... for each member, of a network."""

    name: str
    of: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """A larger network that shares the first channels of all its weights with a network: logits.

    Attributes:
        name: of the role.
        of: the network, which is its base slice.
        multipliers: of all channels, ascending; one form is drawn for each step.
        expansions: of channels inside inverted bottlenecks in these forms; none is 1 in all.
        depths: residual blocks behind each stage in these forms; none is 0 in all.
    """

    name: str
    of: str
    multipliers: tuple[float, ...]
    expansions: tuple[float, ...] = ()
    depths: tuple[int, ...] = ()

    @property
    def forms(self) -> tuple[tuple[float, float, int], ...]:
        """Width, expansion and depth of each form."""
        count = len(self.multipliers)
        expansions, depths = self.expansions or (1.0,) * count, self.depths or (0,) * count
        return tuple(zip(self.multipliers, expansions, depths, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """A network as it was at the end of a phase before: logits.

    Attributes:
        name: of the role.
        phase: name of that phase.
        of: the role in it.
        noise: deviation of what is added to its logits, which so tell less of its samples.
    """

    name: str
    phase: str
    of: str
    noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """A network as it was at the end of a phase before, run on every batch: all its signals.

    Attributes:
        name: of the role.
        phase: name of that phase.
        of: the role in it.
    """

    name: str
    phase: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What clients send of their own samples: maps of a stage, and logits of an exit on it.

    Attributes:
        name: of the role.
        phases: of the clients; each sent its own part of the samples.
        of: the segment that has the stage.
        stage: counted from 1 at the input.
        exit: on it.
    """

    name: str
    phases: tuple[str, ...]
    of: str
    stage: int
    exit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """What a server says of the maps that a client sent: logits.

    Attributes:
        name: of the role.
        phase: of the server.
        of: its network.
        client: phase of the client that sent the maps.
        segment: that has the stage there.
        stage: counted from 1 at the input.
    """

    name: str
    phase: str
    of: str
    client: str
    segment: str
    stage: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A teacher of the user's: logits.

    Attributes:
        name: of the role.
        number: of the teacher, from 0, in the order in which they were given.
    """

    name: str
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """The moving average of a network's weights: logits."""

    name: str
    of: str
    decay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A copy of a network that is taken anew after so many steps: logits."""

    name: str
    of: str
    interval: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A network's own logits when it saw the sample last: `probabilities`; at first its label."""

    name: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Members measured on held-out samples once an epoch: `weights`, shape [members]."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """A discriminator of what two networks show: scores `own` and `next`, shape [batch, 1].

    Attributes:
        name: of the role.
        of: the network that is to look like the other; it learns from `own`.
        beside: the other, which is only looked at.
        signal: `features`, or `logits`, of which the probabilities are looked at.
        width: of the other, over the student's.
    """

    name: str
    of: str
    beside: str
    signal: str = "features"
    width: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected:
    """A linear map of a network's features to the length of a wider one's: features."""

    name: str
    of: str
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A network that changes the inputs of a batch: `inputs`, of their shape.

    Attributes:
        name: of the role.
        strength: largest change of a value; inputs have a deviation of about 1.
    """

    name: str
    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InputJudge:
    """A discriminator of inputs: scores `made`, of another role's, and `real`, of the batch's."""

    name: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A classifier of class and view together on features of each member: MEMBER's logits.

    The signal of a member is its name, shape [batch, classes * members]; class c of view v is
    number c * members + v.
    """

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A network on another look of the same samples: logits and features.

    Attributes:
        name: of the role.
        of: the network.
        at: signal of the inputs; its statistics are not remembered. "" is an augmented copy.
        quarter_turns: instead of a copy, pictures are turned so often.
    """

    name: str
    of: str
    at: str = ""
    quarter_turns: int = 0


Trained: TypeAlias = (
    Network
    | Rounded
    | Exit
    | Segment
    | Branch
    | Gate
    | PeerAttention
    | Fused
    | FreeWeights
    | InstanceWeights
    | Wide
    | Judge
    | Projected
    | Made
    | InputJudge
    | Joint
    | View
)
Source: TypeAlias = Earlier | Frozen | Sent | Replied | Given | Average | Stale | Memory | HeldOut
Role: TypeAlias = Trained | Source
