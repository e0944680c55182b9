"""Clients on other machines: a server that averages weights, and who trains between two averages.

What travels is weights as safetensors, and a few numbers as JSON; never a sample. The rounds are
those of the scheme `fedavg`.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import save
from torch import Tensor

from hwkd.core.cohort import STUDENT, Network
from hwkd.core.errors import ConfigError, first_line
from hwkd.core.head import Head
from hwkd.core.strict_model import StoredInt, StrictModel
from hwkd.core.student import Layers
from hwkd.core.teaching import TeacherSource, TrainingSet
from hwkd.distill.scheme import Phase, label_edge
from hwkd.engine.arms.scheme_stages import SchemeData, mean_of_states, stages_of
from hwkd.engine.distill.federation_tensors import as_sent
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cohort import Cohort
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.course import run_course
from hwkd.train.criteria import Criterion
from hwkd.train.seeding import derive_seed
from hwkd.train.weights_file import WeightsError, fill_module_from

JOIN, WEIGHTS, SEND, SAY, MEAN, REPLY = "Join", "Weights", "Send", "Say", "Mean", "Reply"
_HEADER_BYTES = 4
TRAINING = TrainConfig(epochs=1, batch_size=64)
Ask = Callable[[str, bytes], bytes]


class Said(StrictModel):
    """The numbers of a message; -1 is not said.

    Attributes:
        layers: key of the network that is trained.
        client: number, from 0.
        round: number, from 0, of the weights that are asked for or sent.
        rounds: of the whole training.
        epochs: of each client in a round.
        seed: of the training.
        by: name of the scheme.
        public: digest of the samples that all have; empty where none are shared.
        stage: last one of a client that trains a part of the network, from 1.
    """

    by: str = "fedavg"
    public: str = ""
    layers: str = ""
    client: StoredInt = -1
    round: StoredInt = -1
    rounds: StoredInt = -1
    epochs: StoredInt = -1
    seed: StoredInt = -1
    stage: StoredInt = 1


def packed(said: Said, weights: bytes = b"") -> bytes:
    """Return a message: length of the numbers, the numbers, the weights."""
    header = said.model_dump_json().encode()
    return len(header).to_bytes(_HEADER_BYTES, "big") + header + weights


def unpacked(message: bytes) -> tuple[Said, bytes]:
    """Return numbers and weights of a message, which may be anybody's.

    Raises:
        ValueError: if it is none.
    """
    end = _HEADER_BYTES + int.from_bytes(message[:_HEADER_BYTES], "big")
    try:
        return Said.model_validate_json(message[_HEADER_BYTES:end]), message[end:]
    except ValidationError as error:
        raise ValueError(f"no message of hwkd ({first_line(error)})") from None


@dataclass(slots=True, kw_only=True)
class Server(ABC):
    """What servers have in common: who is there, which round it is, and what travelled.

    Attributes:
        clients: that take part; nobody goes on before all have sent.
        plan: rounds, epochs and seed, which clients are told.
        wait_s: longest wait for the others of a round.
    """

    clients: int
    plan: Said
    wait_s: float
    bytes_received: int = 0
    bytes_sent: int = 0
    joined: int = 0
    taken: int = 0
    round: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    @abstractmethod
    def answers(self) -> Mapping[str, Callable[[bytes], bytes]]:
        """Return what is answered to each call."""

    @abstractmethod
    def result(self) -> StudentModule:
        """Return the network of all, once the last round ended."""

    def join(self, message: bytes) -> bytes:
        """Give a client its number and the plan."""
        said, _ = unpacked(message)
        if said.layers != self.plan.layers:
            raise ValueError("the client has another student; give both the same folder")
        with self.changed:
            if self.joined == self.clients:
                raise ValueError(f"{self.clients} clients are there already, as many as asked for")
            self.joined += 1
            self.changed.notify_all()
            return packed(self.plan.model_copy(update={"client": self.joined - 1}))

    def require_turn(self, said: Said) -> None:
        """Refuse what is sent by nobody known, or of another round."""
        if said.round != self.round or not 0 <= said.client < self.joined:
            raise ValueError(f"client {said.client} sent round {said.round} out of turn")

    def wait_for_round(self, number: int) -> None:
        """Return once a round began; refuse where the others take too long."""
        if not self.changed.wait_for(lambda: self.round >= number, self.wait_s):
            raise ValueError(f"not all clients sent what they have in {self.wait_s:g} s")

    def next_round(self) -> None:
        """Begin the next round."""
        self.round += 1
        self.changed.notify_all()

    def took(self, *, is_last: bool) -> None:
        """Take note that a client has what it waited for."""
        self.taken += is_last
        self.changed.notify_all()

    def wait(self, tell: Callable[[str, int, int], None]) -> None:
        """Return once every client has what the last round came to.

        Raises:
            ConfigError: if nothing happened for the longest wait.
        """
        with self.changed:
            while self.taken < self.clients:
                before = self._progress()
                tell("rounds of the clients", self.round, self.plan.rounds)
                if not self.changed.wait(self.wait_s) and before == self._progress():
                    raise ConfigError(
                        f"{self.joined} of {self.clients} clients joined and round "
                        f"{self.round + 1} of {self.plan.rounds} did not end in "
                        f"{self.wait_s:g} s; start every client, or give a longer --wait"
                    )

    def _progress(self) -> tuple[int, ...]:
        return self.joined, self.round, self.taken, self.bytes_received


@dataclass(slots=True, kw_only=True)
class Averages(Server):
    """Hands weights out, takes them back, and averages what all sent.

    Attributes:
        module: whose weights they are.
        follow: (average, what clients sent) -> changes the average, as FedDF does; None leaves it.
    """

    module: StudentModule
    follow: Callable[[StudentModule, list[dict[str, Tensor]]], None] | None = None
    _sent: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    def answers(self) -> Mapping[str, Callable[[bytes], bytes]]:
        """Return what is answered to each call."""
        return {JOIN: self.join, WEIGHTS: self.weights, SEND: self.send}

    def result(self) -> StudentModule:
        """Return the average."""
        return self.module

    def weights(self, message: bytes) -> bytes:
        """Give the weights that a round begins with, once all have sent those before."""
        said, _ = unpacked(message)
        with self.changed:
            self.wait_for_round(said.round)
            blob = save(as_sent(self.module.state_dict()))
            self.bytes_sent += len(blob)
            self.took(is_last=said.round == self.plan.rounds)
            return packed(said, blob)

    def send(self, message: bytes) -> bytes:
        """Take the weights of a client; with the last one of a round they become their mean."""
        said, blob = unpacked(message)
        with self.changed:
            self.require_turn(said)
            sent = build_module(self.module.layers, seed=0)
            try:
                fill_module_from(sent, blob)
            except WeightsError as error:
                raise ValueError(f"weights of client {said.client}: {error}") from None
            self.bytes_received += len(blob)
            self._sent[said.client] = as_sent(sent.state_dict())
            if len(self._sent) == self.clients:
                self._average()
            return packed(said)

    def _average(self) -> None:
        states = [state for _, state in sorted(self._sent.items())]
        self.module.load_state_dict(mean_of_states(states))
        if self.follow is not None:
            self.follow(self.module, states)
        self._sent = {}
        self.next_round()


def client_data(inputs: NDArray[np.float32], labels: NDArray[np.int64], head: Head) -> SchemeData:
    """Return a client's own samples as a training takes them; nothing is chosen by others.

    Args:
        inputs: as the student takes them, shape [samples, *input_shape].
        labels: shape [samples].
        head: of the student.
    """
    given, classes = torch.from_numpy(inputs), torch.from_numpy(labels.astype(np.int64))
    size = min(TRAINING.batch_size, len(given))
    return SchemeData(
        training=TrainingSet(copies=[given], labels=classes, head=head, batch_size=size),
        batches=TensorBatches([given], classes),
        held_inputs=given,
        held_labels=classes,
    )


def plan_of(
    layers: Layers, *, rounds: int, epochs: int, seed: int, by: str = "fedavg", public: str = ""
) -> Said:
    """Return what a server tells its clients; the seed of the weights follows from that given."""
    own = derive_seed(seed, "federated") % 2**31
    return Said(layers=layers.key, rounds=rounds, epochs=epochs, seed=own, by=by, public=public)


def joined(layers: Layers, ask: Ask) -> Said:
    """Join a training; returns the plan.

    Args:
        layers: of the student, the same as the server's.
        ask: (call, message) -> answer of the server.

    Raises:
        ConfigError: if the server refuses, or asks for what cannot be.
    """
    plan, _ = heard(ask(JOIN, packed(Said(layers=layers.key))))
    if plan.rounds < 1 or plan.epochs < 1:
        raise ConfigError(f"the server asks for {plan.rounds} rounds of {plan.epochs} epochs")
    return plan


def take_part(
    layers: Layers,
    data: SchemeData,
    ask: Ask,
    config: TrainConfig | None = None,
    plan: Said | None = None,
) -> StudentModule:
    """Train in every round on a client's own samples; returns the network of the last mean.

    Args:
        layers: of the student, the same as the server's.
        data: the client's own; none of it is sent.
        ask: (call, message) -> answer of the server.
        config: of a training; epochs and seed are the server's.
        plan: of the server that was joined; None joins.

    Raises:
        ConfigError: if the server refuses, or sends what are no weights of the student.
    """
    plan = joined(layers, ask) if plan is None else plan
    config = replace(config or TRAINING, epochs=plan.epochs, seed=plan.seed)
    module = build_module(layers, seed=0)
    for number in range(plan.rounds):
        receive(module, number, ask)
        module.load_state_dict(trained_alone(module, layers, data, config).state_dict())
        blob = save(as_sent(module.state_dict()))
        ask(SEND, packed(Said(client=plan.client, round=number), blob))
    receive(module, plan.rounds, ask)
    return module.eval()


def receive(module: StudentModule, number: int, ask: Ask) -> None:
    """Fill a network with the weights that a round begins with.

    Raises:
        ConfigError: if the server sends what are none.
    """
    _, blob = heard(ask(WEIGHTS, packed(Said(round=number))))
    try:
        fill_module_from(module, blob)
    except WeightsError as error:
        raise ConfigError(f"the server's weights: {error}") from None


def heard(message: bytes) -> tuple[Said, bytes]:
    """Return numbers and content of an answer.

    Raises:
        ConfigError: if it is none.
    """
    try:
        return unpacked(message)
    except ValueError as error:
        raise ConfigError(f"the server's answer: {error}") from None


def trained_alone(
    module: StudentModule, layers: Layers, data: SchemeData, config: TrainConfig
) -> StudentModule:
    """Return a network that went on with a client's own samples."""
    roles, edges = (Network(name=STUDENT),), (label_edge(STUDENT),)
    return trained_in(Phase(name="local", roles=roles, edges=edges), module, layers, data, config)


def trained_in(
    phase: Phase,
    begins: StudentModule | None,
    layers: Layers,
    data: SchemeData,
    config: TrainConfig,
) -> StudentModule:
    """Return the student of one phase.

    Args:
        begins: whose weights it begins with; None draws them.
    """

    def begun(cohort: Cohort) -> None:
        if begins is not None:
            cohort.load(STUDENT, begins.state_dict())

    return cohort_of(phase, layers, data, config, begins=begun).exported(STUDENT)


def cohort_of(
    phase: Phase,
    layers: Layers,
    data: SchemeData,
    config: TrainConfig,
    *,
    begins: Callable[[Cohort], None],
    criterion: Callable[[Cohort, TeacherSource | None], Criterion] | None = None,
) -> Cohort:
    """Return who took part in one phase.

    Args:
        begins: gives the roles the weights that they begin with.
        criterion: what they minimise, where targets came from elsewhere; None is the phase's.
    """
    (stage,) = stages_of((phase,), layers, data, config)

    def begun(past: object) -> Cohort:
        del past
        cohort = stage.student(())
        begins(cohort)
        return cohort

    begins_so = replace(stage, student=begun, criterion=criterion or stage.criterion)
    return run_course([begins_so]).finished[-1].student
