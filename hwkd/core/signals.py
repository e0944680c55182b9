"""What is read from a network during a step: the vocabulary between taps, losses and teachers."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from hwkd.core.boxes import Moves, moved_edges

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


def moved(maps: Tensor, positions: Tensor | None, *, edges: int = 0) -> Tensor:
    """Return maps, shape [batch, ..., height, width], moved as the inputs of a batch are.

    Maps may be coarser than the inputs, whose moves are then whole positions of theirs.

    Args:
        positions: see `Batch.positions`.
        edges: how many outputs, the last, are edges of boxes; see `hwkd.core.head.OutputKind`.
    """
    if positions is None:
        return maps
    places, side = positions, positions.shape[-1] // maps.shape[-1]
    if side > 1:
        width, coarse = positions.shape[-1], positions[:, ::side, ::side]
        places = coarse // width // side * maps.shape[-1] + coarse % width // side
    flat = maps.flatten(-2)
    places = places.reshape(len(places), *(1,) * (flat.dim() - 2), -1)
    shown = flat.gather(-1, places.expand(flat.shape)).view(maps.shape)
    return moved_edges(shown, Moves.of(positions)) if edges else shown
