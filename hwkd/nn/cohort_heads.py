"""What roles of a cohort add to a network: small modules on its maps, features and logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


def pooled(maps: Tensor) -> Tensor:
    """Return the mean over positions, shape [batch, channels]; vectors stay as they are."""
    return maps.flatten(2).mean(2) if maps.dim() > 2 else maps


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
    """Weighs the branches of a trunk by what the trunk shows."""

    def __init__(self, channels: int, members: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.score, self.norm = nn.Linear(channels, members), nn.BatchNorm1d(members)

    def forward(self, trunk: Tensor) -> Tensor:
        """Return a score for each branch, before softmax, shape [batch, members]."""
        scores: Tensor = self.norm(self.score(pooled(trunk)))
        return scores


class PeerProjections(nn.Module):
    """Queries and keys of peers that attend to each other."""

    def __init__(self, members: int, features: int, dim: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.queries = nn.ModuleList(nn.Linear(features, dim) for _ in range(members))
        self.keys = nn.ModuleList(nn.Linear(features, dim) for _ in range(members))

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Return both of each peer's features, shape [batch, members, dim]."""
        both = [
            torch.stack([one(f) for one, f in zip(layers, features, strict=True)], 1)
            for layers in (self.queries, self.keys)
        ]
        return both[0], both[1]


class FreeValues(nn.Module):
    """Numbers that are learned as they are."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        """Start from values, by their name."""
        super().__init__()
        self.values = nn.ParameterDict({name: nn.Parameter(t) for name, t in values.items()})
