"""The recipe of a training: defaults that do well on small data in little time, from measurements.

What was measured, and by which command, is in docs/methods.md ("How students are trained").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hwkd.core.student import Layers
from hwkd.train.augment import Augmentation
from hwkd.train.choose_augmentation import choose_augmentation
from hwkd.train.config import Optimizer, Precision, Schedule, TrainConfig
from hwkd.train.dataset import LabelledArrays
from hwkd.train.symmetry import Symmetry

NetworkKind: TypeAlias = Literal["convolutional", "attention"]

# Larger batches train more samples a second on one core, smaller ones make more steps of few
# samples; below about 400 steps, or 8 in an epoch, the steps count more.
_STEPS_WANTED, _STEPS_AN_EPOCH = 400, 8
_SMALLEST_BATCH, _LARGEST_BATCH = 16, 128
# A picture with an answer for each position keeps a core busy alone: batches of 32 lose a fifth
# of the samples a second of 128 and make three times the steps. One segmenter, one seed, 45 s of a
# core: a mean IoU with 32, 64, 128 of .313, .312, .292 on validation, of .322, .316, .307 on test.
# One detector, 40 s, with 32 and 128: an mAP@50 of .321 and .297, of .334 and .312.
_LARGEST_BATCH_OF_MAPS = 32
# Maps of classes, by so much of the usual rate: one segmenter after 43,000 scenes in batches of
# 32, one seed, with a peak of .07, .14, .20, .28: a mean IoU of .318, .342, .347, .342 on train and
# .289, .306, .315, .320 on validation. Not detectors: with .14, .28, .45 an mAP@50 of .358, .366,
# .309 on train after 48,000, with .14 and .28 and another seed .300 and .280 after 32,000.
_RATE_OF_MAPS = 1.4
# Of fewer, every pass counts, however long the training.
_MANY_EXAMPLES = 10_000
# Peak rate of a batch of 64; others by the square root, which keeps the noise of a step.
_REFERENCE_BATCH, _SGD_RATE, _ADAMW_RATE = 64, 0.2, 0.01
# Small networks underfit large sets: of 54,000 pictures a decay of 1e-4 instead of 5e-4 brought a
# plain network from .9325 to .9333 on validation (50 passes), a residual one from .9382 to .941.
_SGD_DECAY, _SGD_DECAY_OF_MANY = 5e-4, 1e-4
# Weights of words are many and each tells little: small networks learn them by heart. Reuters R8,
# 1,024 words, 20 hidden units, 10 passes, three splits, test: a decay of 0.1, 1, 3 and 6 reaches
# .965, .969, .970 and .964.
_ADAMW_DECAY, _ADAMW_DECAY_OF_WORDS = 0.02, 2.0
# What is learned by steps of one length in all directions, and how long they are, of the rate of
# other weights. One segmenter, six passes over 12,000 scenes, one seed, a mean IoU on validation
# with 0 (SGD alone), .07, .12, .2 and .5: .392, .403, .414, .423 and .398; on other scenes of the
# same things .416, .450, .464, .464 and .416. One detector, six passes, with 0 and .2: an mAP@50 of
# .535 and .571 on validation, of .476 and .532 on test.
_TURNED = ("scenes", "boxes")
TURNED_RATIO = 0.2
# Not of maps: the mean IoU after the same 45 s with 0 and 0.1 is .313 and .300 on validation, .322
# and .302 on test; with a smoothed share that weighs as the class that it goes to, .303 and .318.
_LABEL_SMOOTHING = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecipe:
    """How a network is trained, without how long; see `hwkd.train.config.TrainConfig`.

    Attributes:
        optimizer: "adamw", "muon" or "sgd".
        schedule: shape of the rate.
        batch_size: samples per step.
        turned_ratio: as `TrainConfig` has it.
        averaging_decay: of the average of weights, or None.
        precision: of the forward and backward pass.
    """

    optimizer: Optimizer
    learning_rate: float
    schedule: Schedule
    warmup_ratio: float
    weight_decay: float
    batch_size: int
    label_smoothing: float
    augmentation: Augmentation
    averaging_decay: float | None
    precision: Precision = "float32"
    turned_ratio: float = TURNED_RATIO

    def config(
        self,
        *,
        epochs: int,
        seed: int,
        time_budget_s: float | None = None,
        time_limit_s: float | None = None,
        samples_per_epoch: int | None = None,
    ) -> TrainConfig:
        """Return the training of a length; the arguments are `TrainConfig`'s."""
        return TrainConfig(
            epochs=epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            turned_ratio=self.turned_ratio,
            schedule=self.schedule,
            weight_decay=self.weight_decay,
            warmup_ratio=self.warmup_ratio,
            augmentation=self.augmentation,
            averaging_decay=self.averaging_decay,
            precision=self.precision,
            seed=seed,
            time_budget_s=time_budget_s,
            time_limit_s=time_limit_s,
            samples_per_epoch=samples_per_epoch,
        )

    def describe(self) -> str:
        """Return it in words, for records and reports."""
        averaged = "" if self.averaging_decay is None else ", weights averaged"
        return (
            f"{self.optimizer}, {self.schedule}, peak rate {self.learning_rate:.3g}, batch "
            f"{self.batch_size}, label smoothing {self.label_smoothing:g}, augmentation: "
            f"{self.augmentation.describe()}{averaged}, {self.precision}"
        )


def network_kind(layers: Layers) -> NetworkKind:
    """Return which recipe a student needs: products of two activations take no high SGD rates."""
    is_attention = any(layer.kind == "matmul" for layer in layers.layers)
    return "attention" if is_attention else "convolutional"


def choose_recipe(
    train: LabelledArrays,
    kind: NetworkKind = "convolutional",
    *,
    samples: int,
    precision: Precision = "float32",
    symmetry: Callable[[], Symmetry] | None = None,
) -> TrainingRecipe:
    """Choose from the data and from how much training there will be.

    Args:
        samples: that the training will see, repetitions included; of a training by time, what
            `hwkd.train.pace.Pace.samples_in` expects.
        precision: as `hwkd.train.pace.measure_pace` found.
        symmetry: what `hwkd.train.symmetry.symmetry_of` finds, asked where it matters; None is it.
    """
    passes = samples / max(1, len(train.labels))
    batch_size = _batch_size(samples, len(train.labels))
    is_of_maps = train.nature in ("scenes", "boxes")
    if is_of_maps:
        batch_size = min(batch_size, _LARGEST_BATCH_OF_MAPS)
    scale = (batch_size / _REFERENCE_BATCH) ** 0.5
    is_of_words = train.nature == "text" and train.inputs.shape[1] == 1
    is_sgd = kind == "convolutional" and not is_of_words
    decay = _ADAMW_DECAY_OF_WORDS if is_of_words else _ADAMW_DECAY
    sgd_rate = _SGD_RATE * (_RATE_OF_MAPS if train.nature == "scenes" else 1.0)
    return TrainingRecipe(
        optimizer=_optimizer(is_sgd, train.nature),
        learning_rate=(sgd_rate if is_sgd else _ADAMW_RATE) * scale,
        schedule="one-cycle",
        warmup_ratio=0.2,
        weight_decay=_sgd_decay(len(train.labels)) if is_sgd else decay,
        batch_size=batch_size,
        label_smoothing=0.0 if is_of_maps else _LABEL_SMOOTHING,
        augmentation=choose_augmentation(train, passes=passes, symmetry=symmetry),
        averaging_decay=0.99,
        precision=precision,
    )


def _optimizer(is_sgd: bool, nature: str) -> Optimizer:
    if not is_sgd:
        return "adamw"
    return "muon" if nature in _TURNED else "sgd"


def _sgd_decay(examples: int) -> float:
    return _SGD_DECAY_OF_MANY if examples >= _MANY_EXAMPLES else _SGD_DECAY


def _batch_size(samples: int, examples: int) -> int:
    """Return a power of two that leaves enough steps and several in each epoch."""
    size = _LARGEST_BATCH if examples >= _MANY_EXAMPLES else _LARGEST_BATCH // 2
    while size > _SMALLEST_BATCH and (
        samples < size * _STEPS_WANTED or examples < size * _STEPS_AN_EPOCH
    ):
        size //= 2
    return size
