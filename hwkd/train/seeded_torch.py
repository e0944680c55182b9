"""Random weights of a block of code, apart from all other random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded_torch(seed: int) -> Iterator[None]:
    """Run a block under a torch seed and put the generator back afterwards.

    torch initialises weights from its global generator; this keeps that use from leaking.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield
