"""Methods that compare chosen layer pairs one by one, with or without adapters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from hwkd.core.signals import Batch, Signal, Views
from hwkd.distill.adapters import describe_map_adapter, resolve_map_adapters
from hwkd.distill.kernels import as_maps, at_least_float32, pool_to_common_size
from hwkd.distill.method import LossMethod, RunShapes, Shape, TrainedMethod, ViewShapes, pair_term


def tapped(views: Views, signal: Signal) -> tuple[Tensor, ...]:
    """Return the layers of a signal; an embedding counts as one layer."""
    content: Tensor | tuple[Tensor, ...] | None = getattr(views, signal.value)
    if content is None:
        return ()
    return content if isinstance(content, tuple) else (content,)


def shapes_of_signal(shapes: ViewShapes, signal: Signal) -> tuple[Shape, ...]:
    """Return the shapes of a signal's layers, batch left out."""
    if signal is Signal.EMBEDDING:
        return () if shapes.embedding is None else (shapes.embedding,)
    found: tuple[Shape, ...] = getattr(shapes, signal.value)
    return found


def pooled_maps(student: Views, teacher: Views) -> list[tuple[Tensor, Tensor]]:
    """Return the maps of every layer pair, in float32 or better, pooled to a common size."""
    pairs = zip(student.features, teacher.features, strict=True)
    maps = [at_least_float32(as_maps(s), as_maps(t.detach())) for s, t in pairs]
    return [pool_to_common_size(*pair) for pair in maps]


class PairMethod(LossMethod):
    """Sum of one comparison per layer pair; each pair is a term of its own."""

    signal: ClassVar[Signal] = Signal.FEATURES

    @abstractmethod
    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Return a scalar for one pair, at least float32; the teacher carries no gradient."""

    def __call__(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        """Return one term per layer pair."""
        del batch
        pairs = zip(tapped(student, self.signal), tapped(teacher, self.signal), strict=True)
        return {
            pair_term(self.name, index): self.compare(*at_least_float32(ours, theirs.detach()))
            for index, (ours, theirs) in enumerate(pairs)
        }


class AdaptedPairMethod(TrainedMethod):
    """One comparison per layer pair of maps, the student's brought to the teacher's channels."""

    signal: ClassVar[Signal] = Signal.FEATURES
    adapter_norm: ClassVar[bool] = False
    adapter_relu: ClassVar[bool] = False

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the adapter."""
        return describe_map_adapter(channels, teacher_channels)

    @abstractmethod
    def compare(self, student: Tensor, teacher: Tensor, pair: int, pairs: int) -> Tensor:
        """Return a scalar for maps of equal channel count; `pair` counts from 0.

        The maps have a common size if the method `pools`.
        """

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the comparison with one adapter per pair."""
        adapters = resolve_map_adapters(
            shapes_of_signal(shapes.student, self.signal),
            shapes_of_signal(shapes.teacher, self.signal),
            norm=self.adapter_norm,
            relu=self.adapter_relu,
        )
        return _AdaptedPairs(self, adapters)


class _AdaptedPairs(nn.Module):
    def __init__(self, method: AdaptedPairMethod, adapters: nn.ModuleList) -> None:
        super().__init__()
        self.method = method
        self.adapters = adapters

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        ours: Sequence[Tensor] = tapped(student, self.method.signal)
        theirs: Sequence[Tensor] = tapped(teacher, self.method.signal)
        terms = {}
        for index, adapter in enumerate(self.adapters):
            maps, target = at_least_float32(
                as_maps(adapter(ours[index])), as_maps(theirs[index].detach())
            )
            if self.method.pools:
                maps, target = pool_to_common_size(maps, target)
            terms[pair_term(self.method.name, index)] = self.method.compare(
                maps, target, index, len(self.adapters)
            )
        return terms


class ConsecutivePairMethod(TrainedMethod):
    """One comparison per two consecutive layers; adapters give the teacher's channel counts."""

    pools = False

    def connector(self, channels: int, teacher_channels: int) -> str:
        """Name the adapter."""
        return describe_map_adapter(channels, teacher_channels)

    @abstractmethod
    def compare(self, student: tuple[Tensor, Tensor], teacher: tuple[Tensor, Tensor]) -> Tensor:
        """Return a scalar for two maps of each side, of equal channel counts."""

    def refusal(self, shapes: RunShapes) -> str | None:
        """Refuse fewer than two layer pairs."""
        pairs = len(shapes.student.features)
        if pairs < 2:
            return f"it compares consecutive layers and got {pairs} layer pair; give 2 or more"
        return None

    def build(self, shapes: RunShapes) -> nn.Module:
        """Return the comparison with one adapter per layer."""
        adapters = resolve_map_adapters(shapes.student.features, shapes.teacher.features)
        return _ConsecutivePairs(self, adapters)


class _ConsecutivePairs(nn.Module):
    def __init__(self, method: ConsecutivePairMethod, adapters: nn.ModuleList) -> None:
        super().__init__()
        self.method = method
        self.adapters = adapters

    def forward(self, student: Views, teacher: Views, batch: Batch) -> dict[str, Tensor]:
        del batch
        adapted = (adapter(f) for adapter, f in zip(self.adapters, student.features, strict=True))
        ours = at_least_float32(*adapted)
        theirs = at_least_float32(*(features.detach() for features in teacher.features))
        return {
            pair_term(self.method.name, i): self.method.compare(
                (ours[i], ours[i + 1]), (theirs[i], theirs[i + 1])
            )
            for i in range(len(ours) - 1)
        }
