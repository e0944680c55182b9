"""What the networks of teachers are made of."""

from __future__ import annotations

from torch import Tensor, nn


class ConvNorm(nn.Sequential):
    """A convolution, its normalisation and a rectifier."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel: tuple[int, int], stride: tuple[int, int]
    ) -> None:
        """Create the layers."""
        super().__init__(
            nn.Conv2d(
                channels_in,
                channels_out,
                kernel,
                stride,
                padding=(kernel[0] // 2, kernel[1] // 2),
                bias=False,
            ),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class Residual(nn.Module):
    """What two convolutions add to their input."""

    def __init__(self, channels: int, kernel: tuple[int, int]) -> None:
        """Create the layers."""
        super().__init__()
        self.first = ConvNorm(channels, channels, kernel, (1, 1))
        self.second = ConvNorm(channels, channels, kernel, (1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a map of the same size."""
        outputs: Tensor = inputs + self.second(self.first(inputs))
        return outputs
