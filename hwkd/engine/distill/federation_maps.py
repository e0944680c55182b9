"""Clients with the first stages of a network, a server with the rest: FedGKT between machines.

Maps of the last of these stages, what an exit on it says, and labels travel to the server in
float16; what the server says of each sample, and the mean of the first stages, travel back. The
rounds are those of the scheme `fedgkt`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from safetensors.torch import save
from torch import Tensor

from hwkd.core.cohort import STUDENT
from hwkd.core.errors import ConfigError
from hwkd.core.student import Layers
from hwkd.core.teaching import TrainingSet
from hwkd.distill.scheme_criterion import SchemeCriterion
from hwkd.distill.scheme_sources import SentSource
from hwkd.distill.schemes.fedgkt import FedGKT
from hwkd.engine.arms.scheme_stages import SchemeData, mean_of_states
from hwkd.engine.distill.federation import (
    JOIN,
    REPLY,
    SEND,
    TRAINING,
    WEIGHTS,
    Ask,
    Said,
    Server,
    cohort_of,
    heard,
    packed,
    receive,
    unpacked,
)
from hwkd.engine.distill.federation_tensors import as_halves, as_sent, halves_in, loaded
from hwkd.nn.build import StudentModule, build_module
from hwkd.nn.cohort import Cohort
from hwkd.nn.cut import head_state, run_between
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig

FEDGKT = "fedgkt"
_LOGITS, _MAPS, _LABELS, _EDGE = "logits", "maps", "labels", "edge."
_CHUNK = 256
# Of what one client may send in a round; a message holds as much (`hwkd.io.calls`).
_MOST_BYTES = 60 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """What a client sent in a round."""

    edge: dict[str, Tensor]
    maps: Tensor = field(repr=False)
    logits: Tensor = field(repr=False)
    labels: Tensor = field(repr=False)


@dataclass(slots=True, kw_only=True)
class Relay(Server):
    """Trains what follows the first stage on what clients show of it, and answers them.

    Attributes:
        module: the network of all; clients have its first stages.
        scheme: whose rounds they are.
        config: of a training; epochs and seed are those of the plan.
    """

    module: StudentModule
    scheme: FedGKT
    config: TrainConfig
    _sent: dict[int, _Sent] = field(default_factory=dict)
    _replies: dict[int, bytes] = field(default_factory=dict)

    def answers(self) -> Mapping[str, Callable[[bytes], bytes]]:
        """Return what is answered to each call."""
        return {JOIN: self.join, SEND: self.send, REPLY: self.reply, WEIGHTS: self.weights}

    def result(self) -> StudentModule:
        """Return the network: the mean of the first stages, and the server's rest."""
        return self.module

    def send(self, message: bytes) -> bytes:
        """Take what a client shows; with the last one of a round the server trains."""
        said, blob = unpacked(message)
        with self.changed:
            self.require_turn(said)
            self._sent[said.client] = self._read(blob, of=f"client {said.client}")
            self.bytes_received += len(blob)
            if len(self._sent) == self.clients:
                self._train()
            return packed(said)

    def reply(self, message: bytes) -> bytes:
        """Give a client the mean of the first stages and what the server says of its samples."""
        said, _ = unpacked(message)
        with self.changed:
            self.wait_for_round(said.round + 1)
            blob = self._replies.get(said.client)
            if blob is None:
                raise ValueError(f"client {said.client} sent nothing in round {said.round}")
            self.bytes_sent += len(blob)
            return packed(said, blob)

    def weights(self, message: bytes) -> bytes:
        """Give the whole network, once the last round ended."""
        said, _ = unpacked(message)
        with self.changed:
            self.wait_for_round(self.plan.rounds)
            blob = save(as_sent(self.module.state_dict()))
            self.bytes_sent += len(blob)
            self.took(is_last=True)
            return packed(said, blob)

    def _train(self) -> None:
        """Go on with the rest on the maps of all, and keep what it says of each client's."""
        sent = [each for _, each in sorted(self._sent.items())]
        mean = mean_of_states([each.edge for each in sent])
        self.module.load_state_dict({**self.module.state_dict(), **mean})
        maps, logits, labels = (
            torch.cat([getattr(each, name) for each in sent]) for name in (_MAPS, _LOGITS, _LABELS)
        )
        size = min(self.config.batch_size, len(maps))
        head = ClassesHead.numbered(logits.shape[1])
        training = TrainingSet(copies=[maps], labels=labels, head=head, batch_size=size)
        data = SchemeData(
            training=training, batches=TensorBatches([maps], labels), held_inputs=maps,
            held_labels=labels,
        )  # fmt: skip
        phase, role = self.scheme.server_alone()
        source = SentSource(role, [{_MAPS: maps, _LOGITS: logits}])
        trained = cohort_of(
            phase, self.module.layers, data, self.config,
            begins=lambda cohort: cohort.load(STUDENT, self.module.state_dict()),
            criterion=lambda *_: SchemeCriterion(phase, {role.name: source}, training),
        )  # fmt: skip
        self.module = trained.exported(STUDENT).eval()
        answers = {
            number: as_halves(_rest(self.module, each.maps, self.scheme.stage))
            for number, each in self._sent.items()
        }
        edge = _edge_of(mean)
        self._replies = {n: save({**edge, _LOGITS: said}) for n, said in answers.items()}
        self._sent = {}
        self.next_round()

    def _read(self, blob: bytes, *, of: str) -> _Sent:
        """Return what a client sent, who may be anybody.

        Raises:
            ValueError: if it is not of this network.
        """
        layers, stage = self.module.layers, self.scheme.stage
        found = loaded(blob, what=f"message of {of}")
        labels = found.get(_LABELS, torch.zeros(0))
        count, classes = len(labels), layers.layers[-1].shape[0]
        shape = next(
            each.shape for each in layers.layers if each.name == layers.stage_ends[stage - 1]
        )
        if labels.dtype != torch.int32 or labels.dim() != 1 or not count:
            raise ValueError(f"labels of {of}: expected int32, one for each sample")
        if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"labels of {of}: outside the {classes} classes of the student")
        return _Sent(
            edge=_edge_in(found, head_state(self.module, stage), of),
            maps=halves_in(found, _MAPS, (count, *shape), of=of),
            logits=halves_in(found, _LOGITS, (count, classes), of=of),
            labels=labels.long(),
        )


def relay(layers: Layers, plan: Said, *, clients: int, wait_s: float) -> Relay:
    """Return the server of a training in two places.

    Raises:
        ConfigError: if the student cannot be cut behind the stage of the plan.
    """
    config = replace(TRAINING, epochs=plan.epochs, seed=plan.seed)
    module = build_module(layers, seed=plan.seed)
    scheme = FedGKT(clients=clients, stage=plan.stage)
    head_state(module, scheme.stage)  # refuses a stage that is not there
    return Relay(
        module=module, scheme=scheme, config=config, clients=clients, plan=plan, wait_s=wait_s
    )


def take_part_by_maps(
    layers: Layers, data: SchemeData, plan: Said, ask: Ask, config: TrainConfig | None = None
) -> StudentModule:
    """Train the first stages and an exit on them in every round; returns the network of all.

    Args:
        layers: of the student, the same as the server's.
        data: the client's own; maps, labels and what the exit says of it are sent.
        plan: of the server that was joined.
        config: of a training; epochs and seed are the server's.

    Raises:
        ConfigError: if there are too many samples for a message, the server refuses, or sends what
            is not of the student.
    """
    scheme = FedGKT(stage=plan.stage)
    config = replace(config or TRAINING, epochs=plan.epochs, seed=plan.seed)
    module, exit_state, replied = build_module(layers, seed=plan.seed), None, None
    head_state(module, scheme.stage)  # before any training
    inputs, labels = data.training.copies[0], data.training.labels
    for number in range(plan.rounds):
        given = data if replied is None else replace(data, given=[[replied]])
        cohort = cohort_of(
            scheme.client_alone(is_first=replied is None), layers, given, config,
            begins=_begun(module, exit_state),
        )  # fmt: skip
        exit_state = cohort.network("exit").state_dict()
        module = cohort.exported(STUDENT)
        blob = _packed_maps(cohort, module, scheme.stage, inputs, labels)
        ask(SEND, packed(Said(client=plan.client, round=number), blob))
        if number + 1 < plan.rounds:
            _, blob = heard(ask(REPLY, packed(Said(client=plan.client, round=number))))
            try:
                found = loaded(blob, what="message of the server")
                edge = _edge_in(found, head_state(module, scheme.stage), "the server")
                shape = (len(inputs), layers.layers[-1].shape[0])
                replied = halves_in(found, _LOGITS, shape, of="the server")
            except ValueError as error:
                raise ConfigError(str(error)) from None
            module.load_state_dict({**module.state_dict(), **edge})
    receive(module, plan.rounds, ask)
    return module.eval()


def _begun(module: StudentModule, exit_state: dict[str, Tensor] | None) -> Callable[[Cohort], None]:
    def begun(cohort: Cohort) -> None:
        cohort.load(STUDENT, module.state_dict())
        if exit_state is not None:
            cohort.load("exit", exit_state)

    return begun


@torch.no_grad()
def _packed_maps(
    cohort: Cohort, module: StudentModule, stage: int, inputs: Tensor, labels: Tensor
) -> bytes:
    cohort.eval()
    shown = [cohort.signals(part) for part in torch.split(inputs, _CHUNK)]
    maps = torch.cat([each[f"edge.stage{stage}"] for each in shown])
    logits = torch.cat([each["exit.logits"] for each in shown])
    size = 2 * maps.numel()
    if size > _MOST_BYTES:
        raise ConfigError(
            f"maps of {len(inputs):,} samples are {size:,} bytes and a message holds "
            f"{_MOST_BYTES:,}; give this client {int(len(inputs) * _MOST_BYTES / size):,} samples"
        )
    named = {_MAPS: as_halves(maps), _LOGITS: as_halves(logits), _LABELS: labels.to(torch.int32)}
    return save({**named, **_edge_of(head_state(module, stage))})


def _rest(module: StudentModule, maps: Tensor, stage: int) -> Tensor:
    with torch.no_grad():
        parts = [run_between(module, part, stage, 0) for part in torch.split(maps, _CHUNK)]
    return torch.cat(parts)


def _edge_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_EDGE + name: value for name, value in as_sent(state).items()}


def _edge_in(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], of: str
) -> dict[str, Tensor]:
    """Return weights of the first stages, as many and as large as they must be."""
    edge = {k.removeprefix(_EDGE): v for k, v in found.items() if k.startswith(_EDGE)}
    if edge.keys() != wanted.keys():
        raise ValueError(f"weights of {of}: expected {', '.join(sorted(wanted)[:4])} and so on")
    for name, value in edge.items():
        own = wanted[name]
        if value.shape != own.shape or value.dtype != own.dtype or not torch.isfinite(value).all():
            raise ValueError(
                f"weights of {of}: {name}: expected {own.dtype} of shape {tuple(own.shape)}, finite"
            )
    return edge
