"""A short race of recipes on the data itself: each trains the same student for as long."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwkd.train.criteria import CrossEntropy
from hwkd.train.loop import TrainingDivergedError, predict_logits, train_module
from hwkd.train.recipe import TrainingRecipe
from hwkd.train.schedule import Clock

__all__ = ["RaceData", "RaceEntry", "RaceResult", "race"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceData:
    """What is raced on; tensors on one device.

    Attributes:
        inputs: shape [samples, *input_shape].
        labels: shape [samples].
        validation_inputs: shape [n, *input_shape].
        validation_labels: shape [n].
    """

    inputs: Tensor
    labels: Tensor
    validation_inputs: Tensor
    validation_labels: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceEntry:
    """What one recipe reached.

    Attributes:
        recipe: that was tried.
        accuracy_ratio: on validation, 0 to 1; 0 if it diverged.
        loss_nats: cross-entropy on validation; infinite if it diverged.
        steps: made.
    """

    recipe: TrainingRecipe
    accuracy_ratio: float
    loss_nats: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceResult:
    """Who won, and what everybody reached, in the order of the start."""

    winner: TrainingRecipe
    entries: tuple[RaceEntry, ...]


def race(
    recipes: Sequence[TrainingRecipe],
    build: Callable[[int], nn.Module],
    data: RaceData,
    *,
    samples: int,
    seed: int = 0,
    time_budget_s: float | None = None,
    check: Callable[[], None] | None = None,
    clock: Clock = time.monotonic,
) -> RaceResult:
    """Train a student by each recipe and name the best.

    The first recipe wins unless another one is right where it is wrong more often than luck
    explains (a standard error of the paired difference), so that noise does not choose.

    Args:
        recipes: the default first; at least one.
        build: seed -> a student with new weights.
        data: to train and judge on.
        samples: that each training sees.
        seed: of weights and order, the same for all.
        time_budget_s: of all trainings together; recipes that it leaves no time for are not in
            the result.
        check: called before every step; raises to stop.
        clock: seconds, monotonic.
    """
    started_s = clock()
    examples = len(data.labels)
    epochs = max(1, round(samples / examples))
    entries: list[RaceEntry] = []
    hits: list[Tensor] = []
    for number, recipe in enumerate(recipes):
        left_s = None if time_budget_s is None else time_budget_s - (clock() - started_s)
        if left_s is not None and left_s <= 0.0 and entries:
            break
        config = recipe.config(
            epochs=epochs,
            seed=seed,
            time_budget_s=None if left_s is None else max(0.0, left_s / (len(recipes) - number)),
            samples_per_epoch=min(samples, examples),
        )
        module = build(seed)
        criterion = CrossEntropy(label_smoothing=recipe.label_smoothing)
        try:
            result = train_module(
                module, [data.inputs], data.labels, criterion, config, check=check, clock=clock
            )
        except TrainingDivergedError:
            hits.append(torch.zeros(len(data.validation_labels)))
            entries.append(
                RaceEntry(recipe=recipe, accuracy_ratio=0.0, loss_nats=math.inf, steps=0)
            )
            continue
        logits = predict_logits(module, data.validation_inputs)
        hits.append((logits.argmax(dim=1) == data.validation_labels).float().cpu())
        entries.append(
            RaceEntry(
                recipe=recipe,
                accuracy_ratio=float(hits[-1].mean()),
                loss_nats=float(functional.cross_entropy(logits, data.validation_labels)),
                steps=result.steps,
            )
        )
    return RaceResult(winner=entries[_winner(hits)].recipe, entries=tuple(entries))


def _winner(hits: Sequence[Tensor]) -> int:
    """Return the index of the recipe that wins by more than luck, else of the first."""
    best = max(range(len(hits)), key=lambda index: float(hits[index].sum()))
    differences = hits[best] - hits[0]
    gain, luck = float(differences.sum()), math.sqrt(float(differences.abs().sum()))
    return best if gain > luck else 0
