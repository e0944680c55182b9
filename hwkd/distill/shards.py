"""Data of clients that differ: each class is divided among them by a draw of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hwkd.core.errors import ConfigError

# Batch statistics of one sample are no statistics.
_FEWEST = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shards:
    """How samples are divided; the same for everyone who asks.

    Attributes:
        clients: that hold samples.
        alpha: of the Dirichlet draw of each class's division, > 0; small is one class for one.
        public: share of the samples that everybody sees, 0 to 1.
        draw: numbers the division.
    """

    clients: int
    alpha: float
    public: float
    draw: int = 0

    def rows(self, labels: Tensor) -> tuple[Tensor, ...]:
        """Return the samples of each client, and then the public ones.

        Args:
            labels: shape [samples].

        Raises:
            ConfigError: if a client, or the public part, has fewer than two.
        """
        generator = np.random.default_rng(self.draw)
        known = labels.cpu().numpy()
        order = generator.permutation(len(known))
        first = round(self.public * len(known))
        shared, private = order[:first], order[first:]
        parts: list[list[int]] = [[] for _ in range(self.clients)]
        for label in np.unique(known):
            own = private[known[private] == label]
            shares = generator.dirichlet([self.alpha] * self.clients)
            ends = (np.cumsum(shares)[:-1] * len(own)).round().astype(int)
            for part, given in zip(parts, np.split(own, ends), strict=True):
                part.extend(given.tolist())
        divided = [*parts, shared.tolist()]
        for number, rows in enumerate(divided):
            is_left_out = number == self.clients and not self.public
            if len(rows) < _FEWEST and not is_left_out:
                who = "the public part" if number == self.clients else f"client {number}"
                raise ConfigError(
                    f"--scheme: {who} has {len(rows)} of {len(known)} samples and needs {_FEWEST}; "
                    f"give fewer than {self.clients} clients, alpha over {self.alpha:g}, a larger "
                    "public part or another draw"
                )
        return tuple(torch.tensor(sorted(rows)) for rows in divided)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The samples that a phase trains on.

    Attributes:
        number: of the client; the number of clients is the public part, None all clients' together.
    """

    shards: Shards
    number: int | None

    def rows(self, labels: Tensor) -> Tensor:
        """Return them, in order."""
        *private, public = self.shards.rows(labels)
        if self.number is None:
            return torch.cat(private).sort().values.to(labels.device)
        return [*private, public][self.number].to(labels.device)
