"""Who learns in a training: networks and parts of networks.

A role shows signals, which edges of a scheme name as ROLE.SIGNAL: `student.logits`,
`exit1.features`, `gate.weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

STUDENT = "student"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """Anybody that takes part.

    Attributes:
        name: of the role.
    """

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Network(Member):
    """A whole network of the student's kind: logits, features (before the classifier), stages.

    Attributes:
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
class Rounded(Member):
    """A network with simulated 8-bit rounding: logits.

    Attributes:
        phase: whose network it goes on from; one in float is calibrated first.
        of: the role there.
    """

    phase: str
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit(Member):
    """A classifier on a stage of a network: logits, and features of the network's own length.

    Attributes:
        of: the network, or a segment that ends in the stage.
        stage: counted from 1 at the input.
        begins: phases whose exits of this name it begins as the mean of; none draws its start.
    """

    of: str
    stage: int
    begins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment(Member):
    """Stages of a network that are run on maps of another role: the last one's maps, or logits.

    Attributes:
        of: the network.
        after: stage whose place the maps are at; 0 is the input.
        until: stage that it ends with; 0 is the network's end.
        shown: signal with the maps; "" is the input itself.
        width: channels of the maps, and of those that it is to show, over the student's; where it
            is not 1, linear maps of channels come before and behind.
    """

    of: str
    after: int
    until: int
    shown: str = ""
    width: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch(Member):
    """What follows the last stage but one of a network, a second time: logits and features.

    Attributes:
        of: the network whose trunk it shares.
        draw: numbers its random start.
        width: its channels over the student's.
    """

    of: str
    draw: int
    width: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Member):
    """Scores of members from the features of a network's trunk: `weights`, [batch, members]."""

    of: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerAttention(Member):
    """Queries and keys from the features of members: `queries`, `keys`, [batch, members, dim]."""

    members: tuple[str, ...]
    dim: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Fused(Member):
    """A classifier on the features of all members together: logits."""

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeWeights(Member):
    """Numbers that learn: `values`, shape [members]."""

    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceWeights(Member):
    """Factors of features that learn: `latent`, and `factor0`... for each member, of a network."""

    of: str
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide(Member):
    """A larger network that shares the first channels of all its weights with a network: logits.

    Attributes:
        of: the network, which is its base slice.
        multipliers: of all channels, ascending; one form is drawn for each step.
        expansions: of channels inside inverted bottlenecks in these forms; none is 1 in all.
        depths: residual blocks behind each stage in these forms; none is 0 in all.
    """

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
class Judge(Member):
    """A discriminator of what two networks show: scores `own` and `next`, shape [batch, 1].

    Attributes:
        of: the network that is to look like the other; it learns from `own`.
        beside: the other, which is only looked at.
        signal: `features`, or `logits`, of which the probabilities are looked at.
        width: of the other, over the student's.
    """

    of: str
    beside: str
    signal: str = "features"
    width: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Projected(Member):
    """A linear map of a network's features to the length of a wider one's: features."""

    of: str
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Made(Member):
    """A network that changes the inputs of a batch: `inputs`, of their shape.

    Attributes:
        strength: largest change of a value; inputs have a deviation of about 1.
    """

    strength: float


@dataclass(frozen=True, slots=True, kw_only=True)
class InputJudge(Member):
    """A discriminator of inputs: scores `made`, of another role's, and `real`, of the batch's."""

    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint(Member):
    """A classifier of class and view together on features of each member: MEMBER's logits.

    The signal of a member is its name, shape [batch, classes * members]; class c of view v is
    number c * members + v.
    """

    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View(Member):
    """A network on another look of the same samples: logits and features.

    Attributes:
        of: the network.
        at: signal of the inputs; its statistics are not remembered. "" is an augmented copy.
        quarter_turns: instead of a copy, pictures are turned so often.
    """

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
