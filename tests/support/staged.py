"""A student whose stages are tapped, and what a scheme trains it with."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from hwkd.core.student import Layer, Layers
from hwkd.core.teaching import TrainingSet
from hwkd.engine.arms.scheme_stages import SchemeData
from hwkd.tasks.classes_head import ClassesHead
from hwkd.train.batches import TensorBatches
from hwkd.train.config import TrainConfig

CLASSES = 4


def student() -> Layers:
    """Return a small convolution student with two stages."""

    def conv(name: str, source: str, channels: int, size: int, stride: int) -> Layer:
        return Layer(
            name=name, kind="conv", inputs=(source,), shape=(channels, size, size), kernel=(3, 3),
            stride=(stride, stride), pads=(1, 1, 1, 1), norm=True, activation="relu",
        )  # fmt: skip

    layers = (
        conv("stem", "input", 4, 6, 1),
        conv("first", "stem", 4, 3, 2),
        conv("second", "first", 8, 3, 1),
        Layer(name="pool", kind="global_avg_pool", inputs=("second",), shape=(8, 1, 1)),
        Layer(name="embedding", kind="reshape", inputs=("pool",), shape=(8,)),
        Layer(name="logits", kind="linear", inputs=("embedding",), shape=(CLASSES,)),
    )
    taps = {"stage1": "first", "stage2": "second", "embedding": "embedding"}
    return Layers(input_shape=(1, 6, 6), layers=layers, taps=taps)


def data(samples: int = 64) -> SchemeData:
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(samples) % CLASSES
    inputs = torch.randn(samples, 1, 6, 6, generator=generator) + labels[:, None, None, None]
    training = TrainingSet(
        copies=[inputs], labels=labels, head=ClassesHead.numbered(CLASSES), batch_size=16
    )
    return SchemeData(
        training=training, batches=TensorBatches([inputs], labels), held_inputs=inputs[:24],
        held_labels=labels[:24],
    )  # fmt: skip


def config(**changes) -> TrainConfig:
    return replace(TrainConfig(epochs=4, batch_size=16, learning_rate=3e-3, seed=5), **changes)


def state_equal(ours: nn.Module, theirs: nn.Module) -> bool:
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
