"""Views of made-up networks: every signal of both sides, with the leaves that gradients reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hwkd.core.signals import Batch, Views
from hwkd.distill.method import Method, RunShapes, ViewShapes

SQUARE = ((4, 8, 8), (6, 4, 4), (8, 2, 2))
TEACHER_SQUARE = ((8, 8, 8), (6, 4, 4), (12, 4, 4))
TALL = ((4, 9, 3), (6, 5, 2), (8, 3, 1))
TEACHER_WIDE = ((8, 3, 7), (6, 5, 2), (12, 2, 4))
SERIES = ((4, 12), (6, 6), (8, 3))
TEACHER_SERIES = ((8, 10), (6, 6), (12, 4))


@dataclass
class Fake:
    """A network that is nothing but its views and the leaves they depend on."""

    views: Views
    leaves: list[Tensor] = field(default_factory=list)

    def gradients(self) -> list[Tensor]:
        return [leaf.grad for leaf in self.leaves if leaf.grad is not None]


def fake_network(
    seed: int,
    *,
    batch: int = 8,
    classes: int = 5,
    dim: int = 6,
    maps: tuple[tuple[int, ...], ...] = SQUARE,
    weights: tuple[tuple[int, ...], ...] = ((6, 5), (4, 3, 3, 3)),
    logit_scale: float = 1.0,
    feature_scale: float = 1.0,
    dtype: torch.dtype = torch.float32,
) -> Fake:
    generator = torch.Generator().manual_seed(seed)

    def leaf(*shape: int, scale: float = 1.0) -> Tensor:
        values = torch.randn(*shape, generator=generator) * scale
        return values.to(dtype).requires_grad_()

    inputs = leaf(batch, 7)
    hidden = leaf(7, classes)
    offset = leaf(batch, classes, scale=logit_scale)
    embedding = leaf(batch, dim, scale=feature_scale)
    features = [leaf(batch, *shape, scale=feature_scale) for shape in maps]
    before = [leaf(batch, *shape, scale=feature_scale) for shape in maps]
    scores = [leaf(batch, 2, 4, 4) for _ in range(2)]
    values = [leaf(batch, 2, 4, 3, scale=feature_scale) for _ in range(2)]
    matrices = [leaf(*shape, scale=feature_scale) for shape in weights]
    views = Views(
        logits=offset + (inputs.tanh() @ hidden).tanh(),
        embedding=embedding,
        features=tuple(features),
        preactivations=tuple(before),
        attention=tuple(s.softmax(-1) for s in scores),
        values=tuple(values),
        weights=tuple(matrices),
        inputs=inputs,
    )
    leaves = [hidden, offset, embedding, *features, *before, *scores, *values, *matrices]
    return Fake(views, leaves)


def copy_of(network: Fake) -> Fake:
    """Return a network with equal views that shares no leaf."""
    copies: dict[int, Tensor] = {}

    def fresh(tensor: Tensor) -> Tensor:
        copies[id(tensor)] = tensor.detach().clone().requires_grad_()
        return copies[id(tensor)]

    views = network.views.map(fresh)
    return Fake(views, list(copies.values()))


def fake_batch(batch: int = 8, classes: int = 5, samples: int = 32) -> Batch:
    generator = torch.Generator().manual_seed(1)
    return Batch(
        inputs=torch.zeros(batch, 7),
        labels=torch.randint(classes, (batch,), generator=generator),
        sample_ids=torch.randperm(samples, generator=generator)[:batch],
        epoch_ratio=0.5,
    )


def run_shapes(student: Fake, teacher: Fake, batch: Batch, **sizes: Any) -> RunShapes:
    logits = student.views.logits
    assert logits is not None
    return RunShapes(
        student=ViewShapes.of(student.views),
        teacher=ViewShapes.of(teacher.views),
        samples=sizes.get("samples", 32),
        classes=logits.shape[-1],
        batch=len(batch.labels),
    )


def total(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([value.float() for value in terms.values()]).sum()


def small(method_class: type[Method]) -> Method:
    """Configure a method for a batch of eight: its defaults, with small widths and counts."""
    options = {"negatives": 4, "dim": 8, "neighbours": 3, "width": 8}
    known = method_class.__dataclass_fields__
    return method_class(**{name: value for name, value in options.items() if name in known})
