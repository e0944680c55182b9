"""Training of a decoder within a time or a number of steps, by any lesson."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from hwkd.distill.losses.of_classes import label_loss
from hwkd.language.corpus import Windows
from hwkd.language.lessons import Lesson

_WARM_UP = 0.03  # of the course
_LEAST_RATE = 0.05  # of the highest
_LONGEST_GRADIENT = 1.0
_DECAY = 0.1
# Batches that rows are drawn from again.
_POOL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """When a course ends: after a time or a number of steps, whichever is given and first.

    Attributes:
        seconds: by the clock, with the teacher's answers.
        steps: of the optimiser.
        clock: of wall time, unless another is given.
    """

    seconds: float | None = None
    steps: int | None = None
    clock: Callable[[], float] = time.monotonic

    def share(self, seconds: float, steps: int) -> float:
        """Return how much of it is over, 0 to 1."""
        parts = [0.0]
        if self.seconds is not None:
            parts.append(seconds / max(self.seconds, 1e-9))
        if self.steps is not None:
            parts.append(steps / max(self.steps, 1))
        return min(1.0, max(parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a decoder learns.

    Attributes:
        rate: highest learning rate of AdamW; it rises for `_WARM_UP` of the course and falls as a
            cosine.
        batch: windows of a step.
        times: how often a window is learned from before it is left for the rest of the pass.
    """

    rate: float
    batch: int
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What a training did.

    Attributes:
        loss: mean of its last tenth, nats of a token.
    """

    steps: int
    seconds: float
    loss: float


def unheard(over: float, loss: float) -> None:
    """Hear nothing of a training."""
    del over, loss


def train_decoder(
    model: nn.Module,
    windows: Windows,
    recipe: Recipe,
    budget: Budget,
    *,
    lesson: Lesson,
    seed: int,
    told: Callable[[float, float], None] = unheard,
) -> Course:
    """Train a decoder in place.

    Args:
        lesson: what is learned from some of the windows.
        seed: draws the order of the windows.
        told: hears the share of the budget that is over, and the loss.
    """
    begun = budget.clock()
    order = _endless_order(len(windows.inputs), recipe, seed)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.rate, betas=(0.9, 0.95), weight_decay=_DECAY
    )
    model.train()
    losses: list[float] = []
    while (over := budget.share(budget.clock() - begun, len(losses))) < 1.0:
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * _height(over)
        rows = next(order)
        loss = lesson(model, rows)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), _LONGEST_GRADIENT)
        optimiser.step()
        losses.append(float(loss.detach()))
        told(over, losses[-1])
    model.eval()
    last = losses[-max(1, len(losses) // 10) :]
    return Course(
        steps=len(losses),
        seconds=budget.clock() - begun,
        loss=sum(last) / len(last) if last else math.nan,
    )


@torch.no_grad()
def nats_per_token(model: nn.Module, windows: Windows, *, batch: int) -> float:
    """Return the mean negative log-likelihood of a split; its exponential is the perplexity."""
    total = 0.0
    model.eval()
    for start in range(0, len(windows.inputs), batch):
        rows = slice(start, start + batch)
        logits, labels = model(**windows.given(rows), use_cache=False).logits, windows.labels[rows]
        total += float(label_loss(logits.flatten(0, 1), labels.flatten()).sum())
    return total / windows.tokens


def _height(over: float) -> float:
    """Return the learning rate at a share of the course, in shares of the highest."""
    if over < _WARM_UP:
        return (over + 1e-3) / (_WARM_UP + 1e-3)
    fall = (over - _WARM_UP) / (1.0 - _WARM_UP)
    return _LEAST_RATE + (1.0 - _LEAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * fall))


def _endless_order(count: int, recipe: Recipe, seed: int) -> Iterator[list[int]]:
    """Yield batches of rows, every row as often as another in a pass.

    Where that is more than once, a batch is new in the pass, or drawn from a pool of rows that were
    drawn less often than they will be, where these are enough to differ from step to step.
    """
    generator = torch.Generator().manual_seed(seed)
    batch, times = recipe.batch, recipe.times
    new, pool = _endless_rows(count, generator), dict[int, int]()
    while True:
        if times == 1 or len(pool) < _POOL * batch:
            rows = list(islice(new, batch))
            for row in rows if times > 1 else ():
                pool[row] = pool.get(row, 0) + times - 1
        else:
            waiting = list(pool)
            drawn = torch.randperm(len(pool), generator=generator)[:batch].tolist()
            rows = [waiting[at] for at in drawn]
            for row in rows:
                pool[row] -= 1
                if not pool[row]:
                    del pool[row]
        yield rows


def _endless_rows(count: int, generator: torch.Generator) -> Iterator[int]:
    while True:
        yield from torch.randperm(count, generator=generator).tolist()
