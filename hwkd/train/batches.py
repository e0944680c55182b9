"""Where the batches of a training come from, and the source that most trainings have.

Of resident tensors one gather draws, shifts and mirrors a whole batch. Where a pixel comes from is
arithmetic on indices, so augmentation costs no copy of the data and no loop over samples: under a
tenth of a step of the smallest networks (benchmarks/speed/training_speed.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from hwkd.core.boxes import moved_boxes
from hwkd.core.signals import Batch, moved
from hwkd.train.augment import Augmentation, Draws, beside, either_sign, kept_by_mask, relighting
from hwkd.train.config import TrainConfig
from hwkd.train.seeding import derive_seed
from hwkd.train.symmetry import places_of_turns
from hwkd.train.variation import Variation, variation_of


class BatchStream(Protocol):
    """The batches of one training, which the seed of its configuration names."""

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, >= 1."""
        ...

    @property
    def plain_batches(self) -> int:
        """How many different batches `plain` can give, >= 1."""
        ...

    def epoch(self, number: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, counted from 0; epochs are asked for in order."""
        ...

    def state(self) -> Mapping[str, Tensor]:
        """Return, between two epochs, the tensors that a checkpoint must hold."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore `state`: the next epoch is the one that would have followed."""
        ...

    def plain(self, count: int) -> Iterator[Tensor]:
        """Yield inputs that nothing happened to, spread over the data, for batch statistics."""
        ...


class BatchSource(Protocol):
    """Where the batches of trainings come from; it is the same before and after each."""

    @property
    def device(self) -> torch.device:
        """Where the batches are."""
        ...

    def stream(self, config: TrainConfig) -> BatchStream:
        """Start the batches of a training.

        Args:
            config: batch size, samples in an epoch, augmentation and seed; the same configuration
                gives the same batches on every machine.
        """
        ...


def in_fast_layout(inputs: Tensor) -> Tensor:
    """Return images in the channels-last layout, others as they are.

    Convolutions of few channels run up to twice as fast on CPUs in this layout.
    """
    return inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


class BatchMaker:
    """Draws augmented batches; the same seed draws the same on every machine."""

    def __init__(self, augmentation: Augmentation, *, seed: int) -> None:
        """Keep what may happen.

        Args:
            augmentation: of every sample, drawn anew at each use.
        """
        self._augmentation = augmentation
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, inputs: Tensor, sample_ids: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return a batch, shape [batch, *input_shape]; images are in the channels-last layout.

        Args:
            inputs: shape [samples, *input_shape]; images fastest in the channels-last layout.
            sample_ids: shape [batch], on the device of `inputs`.

        Returns:
            The batch, and of images that moved where in its own each pixel comes from, counted row
            after row, shape [batch, height, width].
        """
        what, positions = self._augmentation, None
        variation = variation_of(what, inputs.shape[1])
        if variation is not None:
            batch = self._varied(inputs.index_select(0, sample_ids), variation)
        elif not what.moves_pixels:
            batch = in_fast_layout(inputs.index_select(0, sample_ids))
        elif inputs.dim() == 4:
            height, width = inputs.shape[2:]
            positions = self._moves(len(sample_ids), height, width).to(inputs.device)
            batch = _picked(inputs, sample_ids, positions)
        else:
            batch = self._moved_signals(inputs, sample_ids)
        if what.inverted:
            drawn = torch.rand(len(batch), generator=self.generator).numpy()
            signs = torch.from_numpy(either_sign(drawn, batch.dim()))
            batch = batch * signs.to(batch.device)
        if what.noise > 0.0:
            noise = torch.empty_like(batch, device="cpu").normal_(generator=self.generator)
            batch = batch.add(noise.to(batch.device), alpha=what.noise)
        if what.light > 0.0:
            normal = torch.randn(2, len(batch), generator=self.generator).numpy()
            added, factor = relighting(normal, what.light, batch.dim())
            batch = batch.add(torch.from_numpy(added).to(batch.device))
            batch = batch.mul_(torch.from_numpy(factor).to(batch.device))
        for axis, most in zip((-2, -1), what.masks, strict=False):
            widths, places = torch.rand(2, len(batch), generator=self.generator).numpy()
            kept = kept_by_mask(widths, places, size=batch.shape[axis], most=most)
            batch = batch * torch.from_numpy(beside(kept, axis, batch.dim())).to(batch.device)
        if what.dropped_ratio > 0.0:
            drawn = torch.rand(len(batch), batch.shape[-1], generator=self.generator).numpy()
            shown = (drawn >= what.dropped_ratio).astype(np.float32)
            batch = batch * torch.from_numpy(beside(shown, -1, batch.dim())).to(batch.device)
        return batch, positions

    def _moves(self, count: int, height: int, width: int) -> Tensor:
        """Return where each pixel of shifted, mirrored and turned pictures comes from."""
        down, right = self._augmentation.shift or (0, 0)
        rows = self._positions(count, height, down)
        columns = self._positions(count, width, right)
        if self._augmentation.mirror:
            flipped = torch.rand(count, 1, generator=self.generator) < 0.5
            columns = torch.where(flipped, columns.flip(-1), columns)
        if self._augmentation.flip:
            flipped = torch.rand(count, 1, generator=self.generator) < 0.5
            rows = torch.where(flipped, rows.flip(-1), rows)
        places = rows[:, :, None] * width + columns[:, None, :]
        if self._augmentation.transposed:
            is_chosen = torch.rand(count, 1, 1, generator=self.generator) < 0.5
            places = places.transpose(1, 2).where(is_chosen, places)
        directions = self._augmentation.directions
        if directions == 1:
            return places
        turns = torch.randint(directions, (count,), generator=self.generator).numpy()
        turned = places_of_turns(height, width, directions=directions)[turns]
        return places.flatten(1).gather(1, torch.from_numpy(turned)).view_as(places)

    def _varied(self, batch: Tensor, variation: Variation) -> Tensor:
        even = torch.rand(len(batch), variation.even_draws, generator=self.generator)
        normal = torch.randn(len(batch), variation.normal_draws, generator=self.generator)
        draws = Draws(even=even.numpy(), normal=normal.numpy())
        return in_fast_layout(variation.vary(batch, self._augmentation, draws))

    def _moved_signals(self, inputs: Tensor, sample_ids: Tensor) -> Tensor:
        picked = inputs.index_select(0, sample_ids)
        if len(self._augmentation.shift) != 1:
            raise ValueError(
                f"augmentation ({self._augmentation.describe()}) does not fit inputs of shape "
                f"{tuple(inputs.shape[1:])}"
            )
        times = self._positions(len(picked), picked.shape[-1], self._augmentation.shift[0])
        return picked.gather(2, times.to(inputs.device)[:, None, :].expand(picked.shape))

    def _positions(self, count: int, size: int, most: int) -> Tensor:
        """Return where each position comes from, shape [count, size]; the border is repeated."""
        places = torch.arange(size)
        if most == 0:
            return places.expand(count, size)
        step = self._augmentation.cells or 1
        most //= step
        moves = torch.randint(-most, most + 1, (count, 1), generator=self.generator) * step
        return (places + moves).clamp_(0, size - 1)


def _picked(inputs: Tensor, sample_ids: Tensor, positions: Tensor) -> Tensor:
    """Return pictures of the pixels at `positions`, in the channels-last layout."""
    samples, channels, height, width = inputs.shape
    pixels = (sample_ids * (height * width))[:, None, None] + positions
    # Of single values, a flat gather is twice as fast as one of rows.
    by_pixel = inputs.permute(0, 2, 3, 1).reshape(samples * height * width, channels)
    table = by_pixel.view(-1) if channels == 1 else by_pixel
    picked = table.index_select(0, pixels.reshape(-1)).view(*positions.shape, channels)
    return picked.permute(0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class TensorBatches:
    """Batches from data that is in memory; see `BatchSource`.

    Attributes:
        copies: augmented versions of the inputs, each [samples, *input_shape]; epoch number e uses
            copy e modulo their number. One copy is the data as it is, which the configuration's
            augmentation moves about in every batch.
        labels: targets of the samples, on the same device.
    """

    copies: Sequence[Tensor]
    labels: Tensor

    @property
    def device(self) -> torch.device:
        """That of the labels."""
        return self.labels.device

    def stream(self, config: TrainConfig) -> BatchStream:
        """Start the batches of a training."""
        return _TensorStream(self, config)


@dataclass(frozen=True, slots=True)
class SubsetBatches:
    """Batches of some of the samples, which are known when the training begins.

    Attributes:
        source: of all samples.
        chosen: returns the samples; their numbers stay those in `source`.
    """

    source: TensorBatches
    chosen: Callable[[], Tensor]

    @property
    def device(self) -> torch.device:
        """That of the source."""
        return self.source.device

    def stream(self, config: TrainConfig) -> BatchStream:
        """Start the batches of a training."""
        ids = self.chosen()
        copies = [copy.index_select(0, ids) for copy in self.source.copies]
        part = TensorBatches(copies, self.source.labels.index_select(0, ids))
        return _SubsetStream(part, config, ids)


class _TensorStream:
    def __init__(self, source: TensorBatches, config: TrainConfig) -> None:
        self._source = source
        self._samples = len(source.labels)
        drawn = min(self._samples, config.samples_per_epoch or self._samples)
        self.batch_size = max(2, min(config.batch_size, drawn))
        self.steps_per_epoch = max(1, drawn // self.batch_size)
        self.plain_batches = max(1, self._samples // self.batch_size)
        self._order = torch.Generator().manual_seed(config.seed)
        self._maker = BatchMaker(config.augmentation, seed=derive_seed(config.seed, "augment"))

    def epoch(self, number: int) -> Iterator[Batch]:
        labels = self._source.labels
        order = torch.randperm(self._samples, generator=self._order).to(labels.device)
        copy = number % len(self._source.copies)
        inputs = in_fast_layout(self._source.copies[copy])
        for step in range(self.steps_per_epoch):
            sample_ids = order[step * self.batch_size : (step + 1) * self.batch_size]
            drawn, positions = self._maker.draw(inputs, sample_ids)
            # Class maps, boxes, and pictures, in this order; see `hwkd.core.head.Head`.
            positions = positions if labels.dim() >= 3 else None
            is_of_boxes = labels.dim() == 3 and labels.is_floating_point()
            move = moved_boxes if is_of_boxes else moved
            yield Batch(
                inputs=drawn,
                labels=move(labels.index_select(0, sample_ids), positions),
                sample_ids=sample_ids,
                copy=copy,
                positions=positions,
            )

    def state(self) -> Mapping[str, Tensor]:
        return {"order": self._order.get_state(), "augment": self._maker.generator.get_state()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self._order.set_state(state["order"])
        self._maker.generator.set_state(state["augment"])

    def plain(self, count: int) -> Iterator[Tensor]:
        # Every n-th sample, because data may be sorted by class.
        for start in range(count):
            yield in_fast_layout(self._source.copies[0][start :: self.plain_batches])


class _SubsetStream(_TensorStream):
    def __init__(self, source: TensorBatches, config: TrainConfig, ids: Tensor) -> None:
        super().__init__(source, config)
        self._ids = ids

    def epoch(self, number: int) -> Iterator[Batch]:
        for batch in super().epoch(number):
            batch.sample_ids = self._ids.index_select(0, batch.sample_ids)
            yield batch
