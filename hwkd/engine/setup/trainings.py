"""How students are trained: the brief training of a candidate and one at full length."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hwkd.core.layer_rates import LayerRates
from hwkd.core.signals import Signal
from hwkd.core.student import Layers
from hwkd.core.trial import FidelityRecord
from hwkd.distill.spec import WeightedMethod
from hwkd.engine.setup.context import SearchContext
from hwkd.nn.build import build_module
from hwkd.train.augment import NO_AUGMENTATION
from hwkd.train.config import Precision, TrainConfig
from hwkd.train.pace import measure_pace
from hwkd.train.recipe import NetworkKind, TrainingRecipe, choose_recipe, network_kind
from hwkd.train.seeding import derive_seed

_OF_LOGITS = frozenset({Signal.LOGITS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """One training: how, and how long."""

    recipe: TrainingRecipe
    config: TrainConfig

    def at_rate_ratio(self, ratio: float) -> Training:
        """Return the same training with learning rates so much as high."""
        rate = ratio * self.config.learning_rate
        return replace(self, config=replace(self.config, learning_rate=rate))


def brief_training(
    context: SearchContext,
    layers: Layers,
    *,
    fidelity: FidelityRecord | None = None,
    budget_s: float | None = None,
) -> Training:
    """Return the training of one candidate; seeded by the network, not by its turn.

    Args:
        fidelity: how long; None is the search's own.
        budget_s: within which the training ends, however far it came; None is no bound.
    """
    fidelity = fidelity or context.fidelity
    recipe = recipe_of(context, layers, samples=fidelity.epochs * context.epoch_samples(fidelity))
    config = recipe.config(
        epochs=fidelity.epochs,
        seed=derive_seed(context.config.seed, layers.key, "brief"),
        time_budget_s=budget_s,
        time_limit_s=context.config.training.trial_timeout_s,
        samples_per_epoch=fidelity.samples,
    )
    return Training(recipe=recipe, config=config)


def full_training(
    context: SearchContext,
    layers: Layers,
    *,
    repetition: int,
    epochs: int,
    methods: Sequence[WeightedMethod] = (),
    budget_s: float | None = None,
) -> Training:
    """Return a full-length training.

    All arms of a repetition begin with the same weights and see samples in the same order, so
    that differences of their scores are paired.

    Args:
        repetition: numbers further seeds.
        epochs: passes over everything, at most; a training on the labelled part alone makes as
            many steps.
        budget_s: within which the training ends, however far it came; None is no bound. The
            recipe is then the one for what this machine gets done in that time.
    """
    seed = derive_seed(context.config.seed, layers.key, "full", repetition)
    samples = epochs * len(context.everything)
    epochs = max(1, round(samples / len(context.learned_from(methods))))
    recipe = recipe_of(context, layers, samples=samples)
    if budget_s is not None:
        begun = time.monotonic()
        module = build_module(layers, seed=seed, kind=context.data.head.kind)
        module = module.to(context.accelerator)
        trial = recipe.config(epochs=1, seed=seed)
        known = context.labelled
        pace = measure_pace(module, known.copies[0], known.labels, context.data.head, trial)
        budget_s = max(0.0, budget_s - (time.monotonic() - begun))
        samples = min(samples, pace.samples_in(budget_s))
        recipe = recipe_of(context, layers, samples=samples, precision=pace.precision)
    config = recipe.config(epochs=epochs, seed=seed, time_budget_s=budget_s)
    return Training(recipe=recipe, config=replace(config, layer_rates=rates_of(context, layers)))


def recipe_of(
    context: SearchContext, layers: Layers, *, samples: int, precision: Precision = "float32"
) -> TrainingRecipe:
    """Return how a network is trained that will see so many samples, repetitions included."""
    chosen = choose_recipe(
        context.data.train,
        _kind(context, layers),
        samples=samples,
        precision=precision,
        symmetry=lambda: context.symmetry,
    )
    given = context.config.training
    has_copies = len(context.everything.copies) > 1
    return replace(
        chosen,
        # The copies are augmented, and the teacher answers each of them.
        augmentation=NO_AUGMENTATION if has_copies else chosen.augmentation,
        batch_size=given.batch_size or chosen.batch_size,
        learning_rate=(given.learning_rate or chosen.learning_rate) * (given.rate_ratio or 1.0),
    )


def rates_of(context: SearchContext, layers: Layers) -> tuple[tuple[str, float], ...]:
    """Return the factors of layers' learning rates in a full training; none is 1 for all.

    Raises:
        ConfigError: if a stage is named that the network does not have.
    """
    asked = context.config.training.layer_rates
    return () if asked is None else tuple(LayerRates.parse(asked).factors(layers).items())


def _kind(context: SearchContext, layers: Layers) -> NetworkKind:
    """Return which recipe trains: one for all arms, which are to differ in what they learn by.

    Terms on features have weights of any size, and adapters: no high SGD rate takes them.
    """
    looks_inside = any(e.method.needs - _OF_LOGITS for e in context.methods)
    return "attention" if looks_inside else network_kind(layers)
