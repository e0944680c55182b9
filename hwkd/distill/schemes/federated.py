"""Clients that keep their samples: they send weights, or what they say of public samples."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from hwkd.core.catalog import SCHEMES
from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Earlier, Role
from hwkd.distill.aggregators.mean import mean_logit
from hwkd.distill.edge_losses import absolute_difference
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.method import option
from hwkd.distill.scheme import Aggregate, Edge, Phase, Scheme, SchemeFamily, label_edge
from hwkd.distill.shards import Part, Shards

# Weights are sent in float32, logits in float16 as they are stored.
_WEIGHT_BYTES, _LOGIT_BYTES = 4, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What bytes are counted of.

    Attributes:
        weights: numbers of the network, buffers included.
        samples: of the data, public ones included.
        classes: of its answers.
        trunk: numbers of the stages that clients have.
        maps: numbers that the last of these shows of a sample.
    """

    weights: int
    samples: int
    classes: int
    trunk: int = 0
    maps: int = 0


@dataclass(frozen=True, kw_only=True)
class FederatedScheme(Scheme):
    """Rounds of training on every client's own samples, simulated one after another."""

    clients: int = option(4, "that hold samples", low=2, high=64)
    alpha: float = option(0.5, "of the Dirichlet draw; small: each class at few clients", above=0)
    rounds: int = option(3, "of training and sending", low=1, high=100)
    public: float = option(0.25, "share of the samples that everybody sees", above=0, high=0.9)
    draw: int = option(0, "numbers the division of the samples", low=0, high=10**6)

    family: ClassVar[SchemeFamily] = "federated"
    needs: ClassVar[str] = "nothing else; clients are simulated, and nothing is sent"

    @property
    def client_stages(self) -> int:
        """Stages that clients have; 0 is the whole network."""
        return 0

    @property
    def shards(self) -> Shards:
        """How the samples are divided."""
        return Shards(clients=self.clients, alpha=self.alpha, public=self.public, draw=self.draw)

    @property
    def cost_factor(self) -> float:
        """A pass over all samples a round, and what is said of the public ones."""
        return 1.0 + self.public * (1 + self.clients / 3)

    @abstractmethod
    def bytes_per_round(self, sizes: Sizes) -> int:
        """Return what all clients together send and are sent in a round."""

    def _public(self, samples: int) -> int:
        return round(self.public * samples)

    def _part(self, number: int | None) -> Part:
        return Part(shards=self.shards, number=number)

    def _local(self, round_: int, client: int, begins: tuple[str, ...]) -> Phase:
        """Return the training of a client on its own samples."""
        return Phase(
            name=_client(round_, client),
            roles=(Network(name=STUDENT, begins=begins),),
            edges=(label_edge(STUDENT),),
            share=1.0 / self.rounds,
            part=self._part(client),
        )

    def _average(self, round_: int) -> Phase:
        """Return the mean of the clients' weights, which nothing more is done to."""
        clients = tuple(_client(round_, client) for client in range(self.clients))
        return Phase(
            name=f"round{round_} server",
            roles=(Network(name=STUDENT, begins=clients),),
            edges=(label_edge(STUDENT),),
            share=0.0,
            part=self._part(self.clients if self.public else None),
        )


def _client(round_: int, client: int) -> str:
    return f"round{round_} client{client}"


def _server_before(round_: int) -> tuple[str, ...]:
    return (f"round{round_ - 1} server",) if round_ else ()


def averaging_phases(scheme: FederatedScheme) -> tuple[Phase, ...]:
    """Return rounds in which weights are averaged and nothing is distilled."""
    return tuple(
        phase
        for round_ in range(scheme.rounds)
        for phase in (
            *(
                scheme._local(round_, client, _server_before(round_))
                for client in range(scheme.clients)
            ),
            scheme._average(round_),
        )
    )


@SCHEMES.register("fedavg")
@dataclass(frozen=True, kw_only=True)
class FedAvg(FederatedScheme):
    """Clients train on their own samples, and a server averages their weights."""

    name: ClassVar[str] = "fedavg"
    paper: ClassVar[str] = "McMahan et al. 2017, arXiv:1602.05629"
    control: ClassVar[str] = "one training on all samples"

    def bytes_per_round(self, sizes: Sizes) -> int:
        """Weights to each client and back."""
        return 2 * self.clients * sizes.weights * _WEIGHT_BYTES

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each client and round, and the averages."""
        return averaging_phases(self)

    def control_phases(self) -> tuple[Phase, ...]:
        """Return one training on all samples."""
        central = Phase(
            name="central", roles=(Network(name=STUDENT),), edges=(label_edge(STUDENT),)
        )
        return (central,)


@dataclass(frozen=True, kw_only=True)
class _Shares(FederatedScheme):
    """Clients say something of the public samples."""

    noise: float = option(0.0, "deviation of the noise on logits that are sent", low=0)

    control: ClassVar[str] = "weights averaged, and nothing distilled (fedavg)"

    def control_phases(self) -> tuple[Phase, ...]:
        """Return the same rounds with averages alone."""
        return averaging_phases(self)

    def _ensemble(self, round_: int) -> tuple[tuple[Role, ...], Aggregate]:
        """Return the clients as they are after their training, and their mean logit."""
        names = [f"client{client}" for client in range(self.clients)]
        roles = tuple(
            Earlier(name=name, phase=_client(round_, k), of=STUDENT, noise=self.noise)
            for k, name in enumerate(names)
        )
        return roles, Aggregate(by=mean_logit, members=tuple(f"{n}.logits" for n in names))


@SCHEMES.register("feddf")
@dataclass(frozen=True, kw_only=True)
class FedDF(_Shares):
    """The average of the clients' weights then follows their mean logit on public samples."""

    temperature: float = option(1.0, "softening of the mean logit", above=0)

    name: ClassVar[str] = "feddf"
    paper: ClassVar[str] = "Lin et al. 2020, arXiv:2006.07242"

    def bytes_per_round(self, sizes: Sizes) -> int:
        """Weights to each client and back; the server itself asks them about public samples."""
        return 2 * self.clients * sizes.weights * _WEIGHT_BYTES

    def phases(self) -> tuple[Phase, ...]:
        """Return a training for each client and round, and one of the server."""
        found: list[Phase] = []
        for round_ in range(self.rounds):
            found += [
                self._local(round_, client, _server_before(round_))
                for client in range(self.clients)
            ]
            said, mean = self._ensemble(round_)
            average = self._average(round_).roles
            follows = Edge(
                name="ensemble",
                loss=partial(divergence, temperature=self.temperature, scaled=False),
                prediction=f"{STUDENT}.logits",
                target=mean,
            )
            found.append(
                Phase(
                    name=f"round{round_} server",
                    roles=(*average, *said),
                    edges=(follows,),
                    share=1.0 / self.rounds,
                    part=self._part(self.clients),
                )
            )
        return tuple(found)


@SCHEMES.register("fedmd")
@dataclass(frozen=True, kw_only=True)
class FedMD(_Shares):
    """Clients send logits of public samples alone, and each then nears the mean of all.

    In the end a student learns from that mean, so that one network ships.
    """

    name: ClassVar[str] = "fedmd"
    paper: ClassVar[str] = "Li and Wang 2019, arXiv:1910.03581"

    def bytes_per_round(self, sizes: Sizes) -> int:
        """Logits of the public samples from each client, and their mean to each."""
        return 2 * self.clients * self._public(sizes.samples) * sizes.classes * _LOGIT_BYTES

    def phases(self) -> tuple[Phase, ...]:
        """Return, for each round, what each client learns alone and from all."""
        found: list[Phase] = []
        for round_ in range(self.rounds):
            for client in range(self.clients):
                before = (f"round{round_ - 1} digest{client}",) if round_ else ()
                found.append(self._local(round_, client, before))
            said, mean = self._ensemble(round_)
            nears = Edge(
                name="consensus",
                loss=absolute_difference,
                prediction=f"{STUDENT}.logits",
                target=mean,
            )
            is_last = round_ == self.rounds - 1
            takers = (
                ((),)
                if is_last
                else tuple((_client(round_, client),) for client in range(self.clients))
            )
            found += [
                Phase(
                    name="server" if is_last else f"round{round_} digest{number}",
                    roles=(Network(name=STUDENT, begins=begins), *said),
                    edges=(nears,),
                    share=1.0 if is_last else 1.0 / self.rounds,
                    part=self._part(self.clients),
                )
                for number, begins in enumerate(takers)
            ]
        return tuple(found)
