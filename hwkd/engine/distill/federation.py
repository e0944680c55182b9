"""Clients on other machines: a server that averages weights, and who trains between two averages.

What travels is weights as safetensors, and a few numbers as JSON; never a sample. The rounds are
those of the scheme `fedavg`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
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
from hwkd.core.teaching import TrainingSet
from hwkd.distill.scheme import Phase, label_edge
from hwkd.engine.arms.scheme_stages import SchemeData, mean_of_states, stages_of
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cohort import Cohort
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig
from hwkd.train.course import run_course
from hwkd.train.seeding import derive_seed
from hwkd.train.weights_file import WeightsError, fill_module_from

JOIN, WEIGHTS, SEND = "Join", "Weights", "Send"
_HEADER_BYTES = 4
_TRAINING = TrainConfig(epochs=1, batch_size=64)
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
    """

    layers: str = ""
    client: StoredInt = -1
    round: StoredInt = -1
    rounds: StoredInt = -1
    epochs: StoredInt = -1
    seed: StoredInt = -1


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
class Averages:
    """The server's side: hands weights out, takes them back, and averages what all sent.

    Attributes:
        module: whose weights they are.
        clients: that take part; nobody goes on before all have sent.
        plan: rounds, epochs and seed, which clients are told.
        wait_s: longest wait for the others of a round.
    """

    module: StudentModule
    clients: int
    plan: Said
    wait_s: float
    bytes_received: int = 0
    bytes_sent: int = 0
    _joined: int = 0
    _taken: int = 0
    _round: int = 0
    _sent: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def answers(self) -> dict[str, Callable[[bytes], bytes]]:
        """Return what is answered to each call."""
        return {JOIN: self.join, WEIGHTS: self.weights, SEND: self.send}

    def join(self, message: bytes) -> bytes:
        """Give a client its number and the plan."""
        said, _ = unpacked(message)
        if said.layers != self.plan.layers:
            raise ValueError("the client has another student; give both the same folder")
        with self._changed:
            if self._joined == self.clients:
                raise ValueError(f"{self.clients} clients are there already, as many as asked for")
            self._joined += 1
            self._changed.notify_all()
            return packed(self.plan.model_copy(update={"client": self._joined - 1}))

    def weights(self, message: bytes) -> bytes:
        """Give the weights that a round begins with, once all have sent those before."""
        said, _ = unpacked(message)
        with self._changed:
            if not self._changed.wait_for(lambda: self._round >= said.round, self.wait_s):
                raise ValueError(f"not all clients sent their weights in {self.wait_s:g} s")
            blob = save(_state(self.module))
            self.bytes_sent += len(blob)
            self._taken += said.round == self.plan.rounds
            self._changed.notify_all()
            return packed(said, blob)

    def send(self, message: bytes) -> bytes:
        """Take the weights of a client; with the last one of a round they become their mean."""
        said, blob = unpacked(message)
        with self._changed:
            if said.round != self._round or not 0 <= said.client < self._joined:
                raise ValueError(f"client {said.client} sent round {said.round} out of turn")
            sent = build_module(self.module.layers, seed=0)
            try:
                fill_module_from(sent, blob)
            except WeightsError as error:
                raise ValueError(f"weights of client {said.client}: {error}") from None
            self.bytes_received += len(blob)
            self._sent[said.client] = _state(sent)
            if len(self._sent) == self.clients:
                self._average()
            return packed(said)

    def _average(self) -> None:
        states = [state for _, state in sorted(self._sent.items())]
        self.module.load_state_dict(mean_of_states(states))
        self._sent = {}
        self._round += 1
        self._changed.notify_all()

    def wait(self, tell: Callable[[str, int, int], None]) -> None:
        """Return once every client has the weights of the last round.

        Raises:
            ConfigError: if nothing happened for the longest wait.
        """
        with self._changed:
            while self._taken < self.clients:
                before = (self._joined, self._round, len(self._sent), self._taken)
                tell("average the clients' weights", self._round, self.plan.rounds)
                if not self._changed.wait(self.wait_s) and before == (
                    self._joined,
                    self._round,
                    len(self._sent),
                    self._taken,
                ):
                    raise ConfigError(
                        f"{self._joined} of {self.clients} clients joined and round "
                        f"{self._round + 1} of {self.plan.rounds} did not end in "
                        f"{self.wait_s:g} s; start every client, or give a longer --wait"
                    )


def client_data(inputs: NDArray[np.float32], labels: NDArray[np.int64], head: Head) -> SchemeData:
    """Return a client's own samples as a training takes them; nothing is chosen by others.

    Args:
        inputs: as the student takes them, shape [samples, *input_shape].
        labels: shape [samples].
        head: of the student.
    """
    given, classes = torch.from_numpy(inputs), torch.from_numpy(labels.astype(np.int64))
    size = min(_TRAINING.batch_size, len(given))
    return SchemeData(
        training=TrainingSet(copies=[given], labels=classes, head=head, batch_size=size),
        batches=TensorBatches([given], classes),
        held_inputs=given,
        held_labels=classes,
    )


def plan_of(layers: Layers, *, rounds: int, epochs: int, seed: int) -> Said:
    """Return what a server tells its clients; the seed of the weights follows from that given."""
    own = derive_seed(seed, "federated") % 2**31
    return Said(layers=layers.key, rounds=rounds, epochs=epochs, seed=own)


def take_part(
    layers: Layers, data: SchemeData, ask: Ask, config: TrainConfig | None = None
) -> StudentModule:
    """Train in every round on a client's own samples; returns the network of the last mean.

    Args:
        layers: of the student, the same as the server's.
        data: the client's own; none of it is sent.
        ask: (call, message) -> answer of the server.
        config: of a training; epochs and seed are the server's.

    Raises:
        ConfigError: if the server refuses, or sends what are no weights of the student.
    """
    plan, _ = _heard(ask(JOIN, packed(Said(layers=layers.key))))
    if plan.rounds < 1 or plan.epochs < 1:
        raise ConfigError(f"the server asks for {plan.rounds} rounds of {plan.epochs} epochs")
    config = replace(config or _TRAINING, epochs=plan.epochs, seed=plan.seed)
    module = build_module(layers, seed=0)
    for number in range(plan.rounds):
        _receive(module, number, ask)
        trained = _trained(module, layers, data, config)
        module.load_state_dict(trained.state_dict())
        ask(SEND, packed(Said(client=plan.client, round=number), save(_state(module))))
    _receive(module, plan.rounds, ask)
    return module.eval()


def _receive(module: StudentModule, number: int, ask: Ask) -> None:
    _, blob = _heard(ask(WEIGHTS, packed(Said(round=number))))
    try:
        fill_module_from(module, blob)
    except WeightsError as error:
        raise ConfigError(f"the server's weights: {error}") from None


def _heard(message: bytes) -> tuple[Said, bytes]:
    try:
        return unpacked(message)
    except ValueError as error:
        raise ConfigError(f"the server's answer: {error}") from None


def _trained(
    module: StudentModule, layers: Layers, data: SchemeData, config: TrainConfig
) -> StudentModule:
    roles, edges = (Network(name=STUDENT),), (label_edge(STUDENT),)
    (stage,) = stages_of((Phase(name="local", roles=roles, edges=edges),), layers, data, config)

    def begun(past: object) -> Cohort:
        del past
        cohort = stage.student(())
        cohort.load(STUDENT, module.state_dict())
        return cohort

    course = run_course([replace(stage, student=begun)])
    return course.finished[-1].student.exported(STUDENT)


def _state(module: StudentModule) -> dict[str, Tensor]:
    plain = torch.contiguous_format
    return {
        name: value.detach().cpu().clone(memory_format=plain)
        for name, value in module.state_dict().items()
    }
