"""The networks of a teacher whose outputs are maps: of classes, of cells of things, of pictures."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from hwkd.core.head import OutputKind
from hwkd.train.teacher_blocks import ConvNorm, Residual

# Maps of classes are half as high and wide as a picture that has at least so many pixels a side.
_HALVED_FROM = 32
_SMALLEST_SIDE, _MOST_LEVELS = 4, 5


def maps_net(
    input_shape: tuple[int, ...], width: int, num_outputs: int, kind: OutputKind
) -> ClassMapNet | CellNet | PictureNet:
    """Build the network for outputs of a kind that are maps.

    Args:
        input_shape: without batch: (channels, height, width).
    """
    if kind.of_squares:
        return ClassMapNet(input_shape, width, num_outputs)
    make = CellNet if kind.cell_pixels > 1 else PictureNet
    return make(input_shape[0], width, num_outputs)


class ClassMapNet(nn.Module):
    """Down to a few positions a side and up again; every level adds what it says of the classes.

    What is done at the size of the picture costs more than all that is done below it: of 64x64 and
    at width 32 a core trains 500 pictures a second, 830 in half precision; of a network that began
    at that size and went down to a quarter of it alone, 38 and 81.
    """

    def __init__(self, input_shape: tuple[int, ...], width: int, num_outputs: int) -> None:
        """Create as many levels as the picture can be halved, five at most."""
        super().__init__()
        channels, side = input_shape[0], min(input_shape[1:])
        self._stride = stride = 2 if side >= _HALVED_FROM else 1
        side //= stride
        widths = [max(4, width // 2)]
        while len(widths) < _MOST_LEVELS and side // 2 >= _SMALLEST_SIDE:
            widths.append(min(2 * widths[-1], 4 * width))
            side //= 2
        ins = [channels, *widths]
        self.down = nn.ModuleList(
            nn.Sequential(
                ConvNorm(ins[level], wide, (3, 3), (stride, stride) if level == 0 else (2, 2)),
                *[Residual(wide, (3, 3))] * (level > 1),
            )
            for level, wide in enumerate(widths)
        )
        up = list(pairwise(widths))
        self.narrow = nn.ModuleList(ConvNorm(wide, fine, (1, 1), (1, 1)) for fine, wide in up)
        self.join = nn.ModuleList(ConvNorm(fine, fine, (3, 3), (1, 1)) for fine, _ in up)
        self.says = nn.ModuleList(nn.Conv2d(wide, num_outputs, 1) for wide in widths[1:])
        self.classifier = nn.Conv2d(widths[0], num_outputs, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits of the size of the picture."""
        return functional.interpolate(self._logits(inputs), inputs.shape[2:])

    def before_repeats(self, x: Tensor) -> Tensor | None:
        """Return logits of which each is for a square of the picture; None if they are not."""
        return None if any(size % self._stride for size in x.shape[2:]) else self._logits(x)

    def _logits(self, x: Tensor) -> Tensor:
        seen: list[Tensor] = []
        for halve in self.down:
            x = halve(x)
            seen.append(x)
        said: Tensor | None = None
        for level in range(len(seen) - 2, -1, -1):
            size = seen[level].shape[2:]
            here = self.says[level](x) if said is None else said + self.says[level](x)
            said = functional.interpolate(here, size)
            x = seen[level] + functional.interpolate(self.narrow[level](x), size)
            x = self.join[level](x)
        logits: Tensor = self.classifier(x)
        return logits if said is None else logits + said


class PictureNet(nn.Module):
    """Down to a quarter of the height and width, and up again beside what was seen on the way."""

    def __init__(self, channels: int, width: int, num_outputs: int) -> None:
        """Create the layers."""
        super().__init__()
        window, whole, half = (3, 3), (1, 1), (2, 2)
        self.first = nn.Sequential(
            ConvNorm(channels, width, window, whole), Residual(width, window)
        )
        self.second = nn.Sequential(
            ConvNorm(width, 2 * width, window, half), Residual(2 * width, window)
        )
        self.third = nn.Sequential(
            ConvNorm(2 * width, 4 * width, window, half), Residual(4 * width, window),
            ConvNorm(4 * width, 2 * width, window, whole),
        )  # fmt: skip
        self.up = ConvNorm(2 * width, width, window, whole)
        self.last = ConvNorm(width, width, window, whole)
        self.classifier = nn.Conv2d(width, num_outputs, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a map of the size of the picture."""
        whole = self.first(inputs)
        half = self.second(whole)
        half = half + functional.interpolate(self.third(half), half.shape[2:])
        whole = whole + functional.interpolate(self.up(half), whole.shape[2:])
        logits: Tensor = self.classifier(self.last(whole))
        return logits


class CellNet(nn.Module):
    """Down to a sixteenth of the height and width, and up to an eighth beside what was seen there.

    The step from an eighth on gives each cell a view of things that are larger than it.
    """

    def __init__(self, channels: int, width: int, num_outputs: int) -> None:
        """Create the layers."""
        super().__init__()
        window, whole, half = (3, 3), (1, 1), (2, 2)
        self.eighth = nn.Sequential(
            ConvNorm(channels, width, window, half), ConvNorm(width, width, window, half),
            Residual(width, window), ConvNorm(width, 2 * width, window, half),
            Residual(2 * width, window),
        )  # fmt: skip
        self.sixteenth = nn.Sequential(
            ConvNorm(2 * width, 4 * width, window, half), Residual(4 * width, window),
            Residual(4 * width, window), ConvNorm(4 * width, 2 * width, whole, whole),
        )  # fmt: skip
        self.last = ConvNorm(2 * width, 2 * width, window, whole)
        self.classifier = nn.Conv2d(2 * width, num_outputs, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a map of an eighth of the height and width."""
        fine = self.eighth(inputs)
        seen = fine + functional.interpolate(self.sixteenth(fine), fine.shape[2:])
        logits: Tensor = self.classifier(self.last(seen))
        return logits
