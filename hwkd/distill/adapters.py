"""Maps a student's features to a teacher's shape; owned by the run, never part of the student.

An adapter is resolved from shapes: nothing where they agree, a 1 x 1 convolution for maps and a
linear layer for vectors where the channel counts differ. Heights and widths are pooled apart by the
losses.
"""

from __future__ import annotations

from torch import Tensor, nn

from hwkd.distill.kernels import as_maps
from hwkd.distill.method import Method, Shape


class MapAdapter(nn.Module):
    """1 x 1 convolution from the student's to the teacher's channels, with BN and ReLU if asked."""

    def __init__(
        self, in_channels: int, out_channels: int, *, norm: bool = False, relu: bool = False
    ) -> None:
        """Create the adapter.

        Args:
            in_channels: of the student's map.
            out_channels: of the teacher's map.
            norm: batch normalisation follows; the convolution keeps its bias either way.
            relu: the teacher's map is never negative.
        """
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1)
        self.norm = nn.BatchNorm2d(out_channels) if norm else nn.Identity()
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return maps of shape [batch, out_channels, height, width]."""
        maps = as_maps(features).to(self.conv.weight.dtype)
        adapted: Tensor = self.relu(self.norm(self.conv(maps)))
        return adapted


class VectorAdapter(nn.Module):
    """Linear layer between embeddings of different length; identity for equal lengths."""

    def __init__(self, in_features: int, out_features: int) -> None:
        """Create the adapter."""
        super().__init__()
        self.linear = (
            nn.Identity() if in_features == out_features else nn.Linear(in_features, out_features)
        )

    def forward(self, embedding: Tensor) -> Tensor:
        """Return embeddings of shape [batch, out_features]."""
        if isinstance(self.linear, nn.Linear):
            embedding = embedding.to(self.linear.weight.dtype)
        adapted: Tensor = self.linear(embedding)
        return adapted


def resolve_map_adapters(
    student: tuple[Shape, ...],
    teacher: tuple[Shape, ...],
    *,
    norm: bool = False,
    relu: bool = False,
) -> nn.ModuleList:
    """Return one adapter per layer pair: identity for equal channel counts, else a 1 x 1 map.

    Args:
        student: shapes without batch, channels first.
        teacher: the same for the teacher.
        norm: see `MapAdapter`.
        relu: see `MapAdapter`.
    """
    return nn.ModuleList(
        nn.Identity()
        if ours[0] == theirs[0]
        else MapAdapter(ours[0], theirs[0], norm=norm, relu=relu)
        for ours, theirs in zip(student, teacher, strict=True)
    )


def describe_map_adapter(channels: int, teacher_channels: int) -> str:
    """Return what `resolve_map_adapters` puts between two maps; empty for equal channel counts."""
    return "" if channels == teacher_channels else f"1x1 conv {channels}→{teacher_channels}"


def describe_adapter(method: Method, student: Shape, teacher: Shape) -> str:
    """Return what connects two layers, for the table of layer pairs."""
    connector = method.connector(student[0], teacher[0])
    steps = [connector] if connector else []
    ours, theirs = (1, 1, *student[1:])[-2:], (1, 1, *teacher[1:])[-2:]
    if method.pools and ours != theirs:
        common = tuple(min(pair) for pair in zip(ours, theirs, strict=True))
        steps.append(f"pool to {common[0]}x{common[1]}")
    return " + ".join(steps) or "identity"
