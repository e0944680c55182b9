"""Clients that train the first stages alone, and a server that trains the rest on their maps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Exit, Network, Segment
from hwkd.core.cohort_sources import Given, Replied, Role, Sent
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Edge, Phase, label_edge
from hwkd.distill.schemes.federated import FederatedScheme, Sizes
from hwkd.distill.shards import Part

# Maps and logits are sent in float16, weights in float32.
_HALF_BYTES, _WEIGHT_BYTES = 2, 4


@SCHEMES.register("fedgkt")
@dataclass(frozen=True, kw_only=True)
class FedGKT(FederatedScheme):
    """Clients send maps of their first stage and what an exit on it says; a server answers.

    Client and server follow each other's classes. Unlike the paper's, clients' first stages are
    averaged after each round, so that one network ships; their bytes are counted.
    """

    public: float = option(
        0.0, "share of the samples that no client has, to compare", low=0, high=0.9
    )
    stage: int = option(1, "last one that clients have", low=1, high=8)
    temperature: float = option(3.0, "softening of what they say to each other", above=0)
    weight: float = option(1.0, "of what they teach each other; labels have 1", low=0)

    name: ClassVar[str] = "fedgkt"
    paper: ClassVar[str] = "He et al. 2020, arXiv:2007.14513"
    control: ClassVar[str] = "the same network in two places, and no logits sent either way"

    @property
    def cost_factor(self) -> float:
        """A pass at the clients, and one at the server with what they sent."""
        return 2.0

    @property
    def client_stages(self) -> int:
        """The first ones."""
        return self.stage

    def bytes_per_round(self, sizes: Sizes) -> int:
        """Maps, logits and labels of all samples to the server, logits back, the first stages."""
        held = sizes.samples - self._public(sizes.samples)
        said = held * ((sizes.maps + 2 * sizes.classes) * _HALF_BYTES + 1)
        return said + 2 * self.clients * sizes.trunk * _WEIGHT_BYTES

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each client and round, and one of the server."""
        return tuple(
            phase
            for round_ in range(self.rounds)
            for phase in (*(self._edge(round_, k) for k in range(self.clients)), self._rest(round_))
        )

    def control_phases(self) -> tuple[Phase, ...]:
        """Return the same trainings at clients and server on labels alone."""
        return tuple(
            replace(
                phase,
                roles=tuple(role for role in phase.roles if not isinstance(role, Replied)),
                edges=tuple(edge for edge in phase.edges if not edge.teaches),
            )
            for phase in self.phases()
        )

    def client_alone(self, *, is_first: bool) -> Phase:
        """Return a client's training between machines; from the second round a server replied."""
        phase = self._edge(0, 0)
        if not is_first:
            follows = (Given(name="server"), self._follows("exit", "server"))
            roles, edges = (*phase.roles, follows[0]), (*phase.edges, follows[1])
            phase = replace(phase, roles=roles, edges=edges)
        return replace(phase, share=1.0, part=None)

    def server_alone(self) -> tuple[Phase, Sent]:
        """Return the server's training between machines, and the role of what clients sent."""
        phase = self._rest(0)
        (sent,) = (role for role in phase.roles if isinstance(role, Sent))
        whole = Network(name=STUDENT, in_parts=True)
        roles = tuple(whole if role.name == STUDENT else role for role in phase.roles)
        return replace(phase, roles=roles, share=1.0, part=None), sent

    def _edge(self, round_: int, client: int) -> Phase:
        """Return the training of a client's stages and its exit."""
        before, server = f"round{round_ - 1} client{client}", f"round{round_ - 1} server"
        begins = (server,) if round_ else ()
        roles: list[Role] = [
            Network(name=STUDENT, begins=begins, in_parts=True),
            Segment(name="edge", of=STUDENT, after=0, until=self.stage),
            Exit(name="exit", of="edge", stage=self.stage, begins=(before,) if round_ else ()),
        ]
        edges = [label_edge("exit")]
        if round_:
            roles.append(
                Replied(
                    name="server", phase=server, of=STUDENT, client=before, segment="edge",
                    stage=self.stage,
                )
            )  # fmt: skip
            edges.append(self._follows("exit", "server"))
        return Phase(
            name=f"round{round_} client{client}",
            roles=tuple(roles),
            edges=tuple(edges),
            share=1.0 / self.rounds,
            part=self._part(client),
        )

    def _rest(self, round_: int) -> Phase:
        """Return the training of the server, on what clients sent."""
        clients = tuple(f"round{round_} client{k}" for k in range(self.clients))
        before = f"round{round_ - 1} server" if round_ else ""
        sent = Sent(name="sent", phases=clients, of="edge", stage=self.stage, exit="exit")
        rest = Segment(
            name="rest", of=STUDENT, after=self.stage, until=0, shown=f"sent.stage{self.stage}"
        )
        whole = Network(
            name=STUDENT, begins=clients, tail_begins=before, tail_after=self.stage, in_parts=True
        )
        return Phase(
            name=f"round{round_} server",
            roles=(whole, sent, rest),
            edges=(label_edge("rest"), self._follows("rest", "sent")),
            share=1.0 / self.rounds,
            part=Part(shards=self.shards, number=None),
        )

    def _follows(self, who: str, whom: str) -> Edge:
        return Edge(
            name=f"{whom} teaches",
            loss=partial(divergence, temperature=self.temperature),
            prediction=f"{who}.logits",
            target=f"{whom}.logits",
            weight=self.weight,
        )
