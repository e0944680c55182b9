"""Small networks on top of others: exits, gates, discriminators, and one that makes inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_WIDTH = 32
_SLOPE = 0.2


def pooled(maps: Tensor) -> Tensor:
    """Return the mean over positions, shape [batch, channels]."""
    return maps.flatten(2).mean(2) if maps.dim() > 2 else maps


def turned(inputs: Tensor, quarter_turns: int) -> Tensor:
    """Return square pictures by so many quarter turns, other inputs from back to front for odd.

    Args:
        inputs: shape [batch, channels, ...].
        quarter_turns: 0 to 3; inputs that are no squares are mirrored along their first axis by
            the first bit, along their last by the second.
    """
    if inputs.dim() == 4 and inputs.shape[2] == inputs.shape[3]:
        return torch.rot90(inputs, quarter_turns, (2, 3))
    axes = [axis for bit, axis in ((1, 2), (2, -1)) if quarter_turns & bit]
    return inputs.flip([axis % inputs.dim() for axis in axes]) if axes else inputs


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Keep the running statistics of a network that sees what is not like its data."""
    norms = [each for each in module.modules() if isinstance(each, _BatchNorm)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


class ExitHead(nn.Module):
    """What an exit is made of: the mean of a stage, and two linear layers."""

    def __init__(self, channels: int, features: int, classes: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.align, self.classify = nn.Linear(channels, features), nn.Linear(features, classes)

    def forward(self, stage: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and logits of a stage's output."""
        features = torch.relu(self.align(pooled(stage)))
        return features, self.classify(features)


class GateHead(nn.Module):
    """Scores of members from the mean of a trunk."""

    def __init__(self, channels: int, members: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.score, self.norm = nn.Linear(channels, members), nn.BatchNorm1d(members)

    def forward(self, trunk: Tensor) -> Tensor:
        """Return a score of each member, shape [batch, members]."""
        scores: Tensor = self.norm(self.score(pooled(trunk)))
        return scores


class PeerProjections(nn.Module):
    """A query and a key of each member, from its features."""

    def __init__(self, members: int, features: int, dim: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.queries = nn.ModuleList(nn.Linear(features, dim) for _ in range(members))
        self.keys = nn.ModuleList(nn.Linear(features, dim) for _ in range(members))

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return queries and keys, shape [batch, members, dim]."""
        both = [
            torch.stack([one(f) for one, f in zip(layers, features, strict=True)], 1)
            for layers in (self.queries, self.keys)
        ]
        return both[0], both[1]


class Free(nn.Module):
    """Numbers that learn, by name."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        """Begin with the given ones."""
        super().__init__()
        self.values = nn.ParameterDict({name: nn.Parameter(t) for name, t in values.items()})


def judge_of(size: int) -> nn.Module:
    """Return a discriminator of vectors: a score, shape [batch, 1]."""
    return nn.Sequential(nn.Linear(size, _WIDTH), nn.ReLU(), nn.Linear(_WIDTH, 1))


class InputJudgeHead(nn.Module):
    """A discriminator of inputs of any number of axes: a score, shape [batch, 1]."""

    def __init__(self, channels: int, axes: int) -> None:
        """Draw the weights.

        Args:
            channels: of the inputs.
            axes: that follow the channels, 0 to 2.
        """
        super().__init__()
        first, second = _layer(channels, _WIDTH, axes, 2), _layer(_WIDTH, _WIDTH, axes, 2)
        active = nn.LeakyReLU(_SLOPE)
        self.body, self.score = nn.Sequential(first, active, second, active), nn.Linear(_WIDTH, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the score of each input."""
        score: Tensor = self.score(pooled(self.body(inputs)))
        return score


class InputMaker(nn.Module):
    """A network that changes inputs, by noise and what they are, within a distance.

    Its noise is drawn from a count that is part of its state, so that a training that goes on draws
    what it would have drawn.
    """

    def __init__(self, channels: int, axes: int, *, strength: float, seed: int) -> None:
        """Draw the weights.

        Args:
            channels: of the inputs.
            axes: that follow the channels, 0 to 2.
            strength: largest change of a value.
            seed: of the noise.
        """
        super().__init__()
        self._strength, self._seed = strength, seed
        active = nn.LeakyReLU(_SLOPE)
        self.body = nn.Sequential(
            _layer(channels + 1, _WIDTH, axes, 1), active,
            _layer(_WIDTH, _WIDTH, axes, 1), active,
            _layer(_WIDTH, channels, axes, 1), nn.Tanh(),
        )  # fmt: skip
        self.register_buffer("draws", torch.zeros((), dtype=torch.int64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return changed inputs."""
        draws = self.get_buffer("draws")
        generator = torch.Generator().manual_seed(self._seed + int(draws))
        draws += 1
        noise = torch.randn(len(inputs), 1, *inputs.shape[2:], generator=generator).to(inputs)
        made: Tensor = inputs + self._strength * self.body(torch.cat([inputs, noise], 1))
        return made


def _layer(before: int, after: int, axes: int, stride: int) -> nn.Module:
    if not axes:
        return nn.Linear(before, after)
    kind = nn.Conv1d if axes == 1 else nn.Conv2d
    return kind(before, after, 3, stride=stride, padding=1)
