"""What is read from a network during a step: the vocabulary between taps, losses and teachers."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hwkd.core.boxes import is_mirror_image

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Signal(StrEnum):
    """A kind of tensor that a loss may ask for; the value is the field of `Views` that holds it."""

    LOGITS = "logits"
    EMBEDDING = "embedding"
    FEATURES = "features"
    PREACTIVATIONS = "preactivations"
    ATTENTION = "attention"
    VALUES = "values"
    WEIGHTS = "weights"
    INPUTS = "inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What one network shows for one batch; what nobody asked for is None or empty.

    Attributes:
        logits: shape [batch, classes] (sequences: [batch, tokens, classes]), before softmax.
        embedding: shape [batch, dim], the vector before the classifier.
        features: per stage from the input on, shape [batch, channels, height, width],
            [batch, channels, time] or [batch, dim]; after the activation.
        preactivations: like `features`, before the activation.
        attention: per layer, shape [batch, heads, queries, keys], rows summing to 1.
        values: per layer, shape [batch, heads, tokens, dim].
        weights: per layer, shape [out, in, ...]; with gradient on the student's side.
        inputs: shape [batch, *input_shape]; a leaf that requires a gradient and that `logits` were
            computed from, so that a loss can differentiate the logits by it.
    """

    logits: Tensor | None = None
    embedding: Tensor | None = None
    features: tuple[Tensor, ...] = ()
    preactivations: tuple[Tensor, ...] = ()
    attention: tuple[Tensor, ...] = ()
    values: tuple[Tensor, ...] = ()
    weights: tuple[Tensor, ...] = ()
    inputs: Tensor | None = None

    def need(self, signal: Signal) -> Tensor:
        """Return a single-tensor signal.

        Raises:
            ValueError: if it was not tapped; the run refuses that before it starts.
        """
        tensor = getattr(self, signal.value)
        if tensor is None:
            raise ValueError(f"{signal.value} was not tapped")
        found: Tensor = tensor
        return found

    def map(self, change: Callable[[Tensor], Tensor]) -> Views:
        """Return a copy with `change` applied to every tensor (a cast, a detach, a move)."""
        changed: dict[str, Any] = {}
        for entry in fields(self):
            content = getattr(self, entry.name)
            if isinstance(content, tuple):
                changed[entry.name] = tuple(change(tensor) for tensor in content)
            elif content is not None:
                changed[entry.name] = change(content)
        return replace(self, **changed)


@dataclass(slots=True, kw_only=True)
class Batch:
    """What one step of a training sees.

    Attributes:
        inputs: shape [batch, *input_shape].
        labels: class indices, shape [batch], int64, values, shape [batch, outputs], or class
            indices at each position, shape [batch, height, width]; -1 marks a sample without one.
        sample_ids: shape [batch], rows of the training split; the key into cached teacher outputs.
        copy: index of the augmented copy of the data that `inputs` come from.
        epoch_ratio: how much of the training is done, 0 to 1; the loop sets it.
        positions: where in its picture each position comes from, counted row after row, shape
            [batch, height, width]; None where labels are no maps, or nothing was moved.
    """

    inputs: Tensor
    labels: Tensor
    sample_ids: Tensor
    copy: int = 0
    epoch_ratio: float = 0.0
    positions: Tensor | None = None


def moved(
    maps: Tensor, positions: Tensor | None, *, mirror_swaps: tuple[int, int] | None = None
) -> Tensor:
    """Return maps, shape [batch, ..., height, width], moved as the inputs of a batch are.

    Maps may be coarser than the inputs, whose moves are then whole positions of theirs.

    Args:
        positions: see `Batch.positions`.
        mirror_swaps: see `hwkd.core.head.OutputKind`.
    """
    if positions is None:
        return maps
    is_mirrored = is_mirror_image(positions)
    side = positions.shape[-1] // maps.shape[-1]
    if side > 1:
        width = positions.shape[-1]
        rows = positions[:, ::side, 0] // width // side
        columns = positions[:, 0, ::side] % width // side
        positions = rows[:, :, None] * maps.shape[-1] + columns[:, None, :]
    flat = maps.flatten(-2)
    places = positions.view(len(positions), *(1,) * (flat.dim() - 2), -1)
    shown = flat.gather(-1, places.expand(flat.shape)).view(maps.shape)
    return shown if mirror_swaps is None else swapped(shown, is_mirrored, mirror_swaps)


def swapped(maps: Tensor, chosen: Tensor, outputs: tuple[int, int]) -> Tensor:
    """Return maps, [batch, outputs, height, width], with two outputs of the chosen exchanged."""
    order = list(range(maps.shape[1]))
    first, second = outputs
    order[first], order[second] = order[second], order[first]
    return maps[:, order].where(chosen[:, None, None, None], maps)
