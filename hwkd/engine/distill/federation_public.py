"""Clients that say what they think of public samples: FedDF and FedMD between machines.

With FedMD logits of samples that everybody has travel in place of weights, as float16; with FedDF
weights do, and the server alone asks its clients' networks about public samples. The rounds are
those of the schemes of these names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor

from hwkd.core.cohort import STUDENT, Network
from hwkd.core.cohort_sources import Given
from hwkd.core.errors import ConfigError
from hwkd.core.head import Head
from hwkd.core.student import Layers
from hwkd.distill.aggregators.mean import mean_logit
from hwkd.distill.edge_losses import absolute_difference
from hwkd.distill.losses.of_classes import divergence
from hwkd.distill.scheme import Edge, Phase
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.engine.distill.federation import (
    JOIN,
    MEAN,
    SAY,
    TRAINING,
    Ask,
    Averages,
    Said,
    Server,
    client_data,
    heard,
    packed,
    plan_of,
    trained_alone,
    trained_in,
    unpacked,
)
from hwkd.engine.distill.federation_maps import FEDGKT, relay
from hwkd.engine.distill.federation_tensors import as_halves, halves_in, loaded
from hwkd.nn.build import StudentModule, build_module
from hwkd.train.config import TrainConfig

FEDAVG, FEDDF, FEDMD = "fedavg", "feddf", "fedmd"
_LOGITS = "logits"
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSamples:
    """Samples that server and clients have; their labels are not read.

    Attributes:
        inputs: as the student takes them, shape [samples, *input_shape].
        digest: of their content, by which all know that they have the same.
    """

    inputs: Tensor = field(repr=False)
    digest: str

    @classmethod
    def of(cls, inputs: NDArray[np.float32]) -> PublicSamples:
        """Take note of samples."""
        content = np.ascontiguousarray(inputs, dtype=np.float32)
        return cls(
            inputs=torch.from_numpy(content), digest=hashlib.sha256(content.tobytes()).hexdigest()
        )

    def said_by(self, module: StudentModule) -> Tensor:
        """Return what a network says of them, shape [samples, classes]."""
        module.eval()
        with torch.no_grad():
            parts = [module(part) for part in torch.split(self.inputs, _CHUNK)]
        return torch.cat(parts)

    def followed(
        self,
        mean: Tensor,
        layers: Layers,
        head: Head,
        config: TrainConfig,
        *,
        by: str,
        begins: StudentModule | None,
    ) -> StudentModule:
        """Return a network that learned from the mean of what all said.

        Args:
            mean: logits, shape [samples, classes].
            by: fedmd nears the logits, feddf their softmax.
            begins: whose weights it begins with; None draws them.
        """
        labels = np.zeros(len(self.inputs), dtype=np.int64)  # not read: no edge asks for them
        data = client_data(self.inputs.numpy(), labels, head)
        data = replace(data, given=[[mean]])
        loss = absolute_difference if by == FEDMD else partial(divergence, scaled=False)
        edge = Edge(
            name="consensus" if by == FEDMD else "ensemble",
            loss=loss,
            prediction=f"{STUDENT}.logits",
            target="mean.logits",
        )
        phase = Phase(
            name="server", roles=(Network(name=STUDENT), Given(name="mean")), edges=(edge,)
        )
        return trained_in(phase, begins, layers, data, config)


def follows_ensemble(
    public: PublicSamples, layers: Layers, head: Head, config: TrainConfig
) -> Callable[[StudentModule, list[dict[str, Tensor]]], None]:
    """Return what a server of FedDF does with an average: it follows its clients on public samples.

    Args:
        config: epochs and seed of a round.
    """

    def follow(module: StudentModule, states: list[dict[str, Tensor]]) -> None:
        client = build_module(layers, seed=0)
        said = []
        for state in states:
            client.load_state_dict(state)
            said.append(public.said_by(client))
        mean = mean_logit(torch.stack(said))
        taught = public.followed(mean, layers, head, config, by=FEDDF, begins=module)
        module.load_state_dict(taught.state_dict())

    return follow


@dataclass(slots=True, kw_only=True)
class Consensus(Server):
    """The server of FedMD: takes logits of public samples, and hands out their mean.

    Attributes:
        public: what all have.
        layers: of the student.
        head: what its outputs mean.
        mean: of the last round that ended.
    """

    public: PublicSamples
    layers: Layers
    head: Head
    mean: Tensor | None = None
    _said: dict[int, Tensor] = field(default_factory=dict)

    def answers(self) -> Mapping[str, Callable[[bytes], bytes]]:
        """Return what is answered to each call."""
        return {JOIN: self.join, SAY: self.say, MEAN: self.give}

    def result(self) -> StudentModule:
        """Return the network that ships: it learned from the last mean alone."""
        assert self.mean is not None  # all rounds ended
        plan = self.plan
        config = replace(TRAINING, epochs=plan.epochs * plan.rounds, seed=plan.seed)
        return self.public.followed(
            self.mean, self.layers, self.head, config, by=FEDMD, begins=None
        )

    def say(self, message: bytes) -> bytes:
        """Take what a client says; with the last one of a round it becomes the mean."""
        said, blob = unpacked(message)
        with self.changed:
            self.require_turn(said)
            shape = (len(self.public.inputs), self.head.size)
            self._said[said.client] = _read(blob, shape, of=f"client {said.client}")
            self.bytes_received += len(blob)
            if len(self._said) == self.clients:
                held = [logits for _, logits in sorted(self._said.items())]
                self.mean = mean_logit(torch.stack(held))
                self._said = {}
                self.next_round()
            return packed(said)

    def give(self, message: bytes) -> bytes:
        """Give the mean of a round, once all have said something."""
        said, _ = unpacked(message)
        with self.changed:
            self.wait_for_round(said.round + 1)
            assert self.mean is not None  # of a round that ended
            blob = _written(self.mean)
            self.bytes_sent += len(blob)
            self.took(is_last=said.round + 1 == self.plan.rounds)
            return packed(said, blob)


def take_part_by_logits(
    layers: Layers,
    data: SchemeData,
    public: PublicSamples | None,
    plan: Said,
    ask: Ask,
    config: TrainConfig | None = None,
) -> StudentModule:
    """Say what one's network thinks of public samples in every round, and near the mean of all.

    Args:
        data: the client's own.
        plan: of the server.
        config: of a training; epochs and seed are the server's.

    Raises:
        ConfigError: if the public samples are missing or are others than the server's.
    """
    if public is None or public.digest != plan.public:
        given = "other ones" if public is not None else "none"
        raise ConfigError(
            f"the server shares logits of public samples, and {given} were given here; give the "
            "server's file with --public"
        )
    head, config = (
        data.training.head,
        replace(config or TRAINING, epochs=plan.epochs, seed=plan.seed),
    )
    module = build_module(layers, seed=plan.seed)
    for number in range(plan.rounds):
        module = trained_alone(module, layers, data, config)
        ask(SAY, packed(Said(client=plan.client, round=number), _written(public.said_by(module))))
        _, blob = heard(ask(MEAN, packed(Said(client=plan.client, round=number))))
        try:
            mean = _read(blob, (len(public.inputs), head.size), of="the server")
        except ValueError as error:
            raise ConfigError(str(error)) from None
        module = public.followed(mean, layers, head, config, by=FEDMD, begins=module)
    return module.eval()


def serving(
    layers: Layers,
    *,
    by: str,
    public: PublicSamples | None,
    head: Head | None,
    clients: int,
    rounds: int,
    epochs: int,
    seed: int,
    wait_s: float,
    stage: int = 1,
) -> Server:
    """Return the server of a scheme.

    Args:
        layers: of the student.
        by: fedavg, feddf, fedmd or fedgkt.
        public: samples of the two that share them; None of fedavg.
        head: of the student, likewise.
        stage: last one that clients of fedgkt have, from 1.
    """
    shared = public.digest if public is not None and by == FEDMD else ""
    plan = plan_of(layers, rounds=rounds, epochs=epochs, seed=seed, by=by, public=shared)
    if by == FEDGKT:
        plan = plan.model_copy(update={"stage": stage})
        return relay(layers, plan, clients=clients, wait_s=wait_s)
    if public is None or head is None or by == FEDAVG:
        module = build_module(layers, seed=plan.seed)
        return Averages(module=module, clients=clients, plan=plan, wait_s=wait_s)
    if by == FEDMD:
        return Consensus(
            public=public, layers=layers, head=head, clients=clients, plan=plan, wait_s=wait_s
        )
    config = replace(TRAINING, epochs=epochs, seed=plan.seed)
    return Averages(
        module=build_module(layers, seed=plan.seed),
        follow=follows_ensemble(public, layers, head, config),
        clients=clients, plan=plan, wait_s=wait_s,
    )  # fmt: skip


def _written(logits: Tensor) -> bytes:
    return save({_LOGITS: as_halves(logits)})


def _read(blob: bytes, shape: tuple[int, int], *, of: str) -> Tensor:
    """Return logits of a message, which may be anybody's.

    Raises:
        ValueError: if they are none of this shape.
    """
    return halves_in(loaded(blob, what=f"{_LOGITS} of {of}"), _LOGITS, shape, of=of)
