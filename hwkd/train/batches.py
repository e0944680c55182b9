"""Batches from resident tensors: one gather draws, shifts and mirrors a whole batch.

Where a pixel comes from is arithmetic on indices, so augmentation costs no copy of the data and no
loop over samples: under a tenth of a step of the smallest networks
(benchmarks/speed/training_speed.py).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hwkd.train.augment import Augmentation

__all__ = ["BatchMaker", "in_fast_layout"]


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
            seed: of the amounts.
        """
        self._augmentation = augmentation
        self._generator = torch.Generator().manual_seed(seed)

    def draw(self, inputs: Tensor, sample_ids: Tensor) -> Tensor:
        """Return a batch, shape [batch, *input_shape]; images are in the channels-last layout.

        Args:
            inputs: shape [samples, *input_shape]; images fastest in the channels-last layout.
            sample_ids: shape [batch], on the device of `inputs`.
        """
        what = self._augmentation
        if not any(what.shift) and not what.mirror:
            batch = in_fast_layout(inputs.index_select(0, sample_ids))
        elif inputs.dim() == 4:
            batch = self._moved_images(inputs, sample_ids)
        else:
            batch = self._moved_signals(inputs, sample_ids)
        if what.noise > 0.0:
            noise = torch.empty_like(batch, device="cpu").normal_(generator=self._generator)
            batch = batch.add(noise.to(batch.device), alpha=what.noise)
        return batch

    def _moved_images(self, inputs: Tensor, sample_ids: Tensor) -> Tensor:
        samples, channels, height, width = inputs.shape
        count = len(sample_ids)
        down, right = self._augmentation.shift or (0, 0)
        rows = self._positions(count, height, down)
        columns = self._positions(count, width, right)
        if self._augmentation.mirror:
            flipped = torch.rand(count, 1, generator=self._generator) < 0.5
            columns = torch.where(flipped, columns.flip(-1), columns)
        rows, columns = rows.to(inputs.device), columns.to(inputs.device)
        pixels = ((sample_ids * height)[:, None] + rows)[:, :, None] * width + columns[:, None, :]
        # Of single values, a flat gather is twice as fast as one of rows.
        by_pixel = inputs.permute(0, 2, 3, 1).reshape(samples * height * width, channels)
        table = by_pixel.view(-1) if channels == 1 else by_pixel
        picked = table.index_select(0, pixels.view(-1)).view(count, height, width, channels)
        return picked.permute(0, 3, 1, 2)

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
        moves = torch.randint(-most, most + 1, (count, 1), generator=self._generator)
        return (places + moves).clamp_(0, size - 1)
