"""The network that hwkd trains when the user brings no teacher: a small residual network.

Residual blocks after He et al. 2016 (arXiv:1512.03385) without the large-image stem: one strided
convolution brings any input down to 8 to 20 positions a side, so that training costs about the same
per example whatever the input size.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwkd.core.boxes import mirrored_edges
from hwkd.core.head import OutputKind
from hwkd.train.teacher_blocks import ConvNorm, Residual
from hwkd.train.teacher_maps import maps_net

_LONGEST_SIDE_AFTER_STEM = 20
_LONGEST_TIME_AFTER_STEM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherNetConfig:
    """Size of the network.

    Attributes:
        width: channels of the first stage; the second has twice as many.
    """

    width: int = 32
    blocks: tuple[int, int] = (1, 1)


class _TeacherNet(nn.Module):
    def __init__(self, body: nn.Sequential, channels: int, num_outputs: int) -> None:
        super().__init__()
        self.body = body
        self.classifier = nn.Linear(channels, num_outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        images = inputs.unsqueeze(2) if inputs.dim() == 3 else inputs
        features = self.body(images)
        # Mean and maximum together: what an image is made of and what is in it somewhere.
        logits: Tensor = self.classifier(features.mean((2, 3)) + features.amax((2, 3)))
        return logits


class MirrorAveraged(nn.Module):
    """Logits averaged over an image and its mirror image, for networks trained on both.

    One more pass, which the logit cache makes once, is worth about .003 on Fashion-MNIST.
    """

    def __init__(self, net: nn.Module, kind: OutputKind | None = None) -> None:
        """Wrap a trained network; the kind says what else a mirror image changes."""
        super().__init__()
        self.net = net
        self._has_edges = kind is not None and bool(kind.edges)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits, shape [batch, classes] or [batch, classes, height, width]."""
        # First, since taps read the first pass: features are those of the picture as it is.
        plain: Tensor = self.net(inputs)
        mirrored: Tensor = self.net(inputs.flip(-1))
        if mirrored.dim() == 4:
            mirrored = mirrored.flip(-1)
        if self._has_edges:
            mirrored = mirrored_edges(mirrored)
        logits: Tensor = (plain + mirrored) / 2
        return logits


def build_teacher_net(
    input_shape: tuple[int, ...],
    num_outputs: int,
    config: TeacherNetConfig,
    *,
    kind: OutputKind | None = None,
) -> nn.Module:
    """Build the network with weights from torch's current generator.

    Args:
        input_shape: without batch: (channels, height, width) or (channels, time).
        kind: of the outputs, where they may be maps.
    """
    if kind is not None and kind.of_maps:
        net = maps_net(input_shape, config.width, num_outputs, kind)
        kind.begin(net.classifier.bias)
        return _in_fast_layout(net)
    is_image = len(input_shape) == 3
    longest = _LONGEST_SIDE_AFTER_STEM if is_image else _LONGEST_TIME_AFTER_STEM
    stride = 1
    while max(input_shape[1:]) / stride > longest:
        stride *= 2
    size = 3 if stride == 1 else 2 * stride + 1

    # Of a kernel or a stride: signals are images of height 1.
    def window(length: int) -> tuple[int, int]:
        return (length, length) if is_image else (1, length)

    narrow, wide = config.width, 2 * config.width
    body = nn.Sequential(
        ConvNorm(input_shape[0], narrow, window(size), window(stride)),
        *(Residual(narrow, window(3)) for _ in range(config.blocks[0])),
        ConvNorm(narrow, wide, window(3), window(2)),
        *(Residual(wide, window(3)) for _ in range(config.blocks[1])),
    )
    return _in_fast_layout(_TeacherNet(body, wide, num_outputs))


def _in_fast_layout(net: nn.Module) -> nn.Module:
    # Convolutions run fastest in this layout; torch's types leave `memory_format` out of `to`.
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net
