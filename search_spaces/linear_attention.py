"""Attention students: a convolutional stem, then attention, linear or inside windows."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Literal, TypeAlias

from hwkd.core.attention import append_linear_attention
from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, is_tiny, max_stages
from hwkd.core.room import Room
from hwkd.core.space import Params, Space, activation_of
from hwkd.core.stem import append_stem, choose_activation, choose_stem, choose_stem_window
from hwkd.core.student import Activation, Chooser, Layers, StudentSpec

Attention: TypeAlias = Literal["linear", "local"]

_WINDOWS = (2, 4, 8)


@dataclass(frozen=True, kw_only=True)
class AttentionSpace(Space):
    """Separable convolutions down to a small map, then blocks of attention and feed-forward.

    A depthwise convolution before each attention tells positions apart (arXiv:2102.10882).

    Attributes:
        attention: "linear": queries and keys pass a ReLU, values meet keys first, and the
            normalisation follows the attention instead of dividing inside it (TransNormer,
            arXiv:2210.10340): matrix products, additions and convolutions are all that runs. The
            ReLU is capped at 6, because three factors multiply: without the cap a deviation in the
            input comes back cubed from every block. "local": softmax attention inside windows that
            tile the map (arXiv:2103.14030, without shifts: the depthwise convolution joins
            windows); where a window holds the map, of all positions.
    """

    attention: Attention

    def choose(self, chooser: Chooser, input_shape: tuple[int, ...], room: Room) -> Params:
        """Sample the stem, dimensions, heads, depth and feed-forward width."""
        halvings = max(1, max_stages(input_shape) - 1)
        tiny = is_tiny(input_shape)
        stem_low, stem_high, dim_low, dim_high = (4, 12, 8, 32) if tiny else (8, 24, 16, 56)
        params: Params = {
            **choose_activation(chooser, room),
            **choose_stem(chooser, room, input_shape, (stem_low, stem_high)),
            "stem_kernel": chooser.categorical("stem_kernel", (3, 5)),
            "halvings": chooser.integer("halvings", 1, halvings),
            "convs_per_halving": chooser.integer("convs_per_halving", 1, room.most(1, 2)),
            "dim": chooser.integer("dim", *room.widths(dim_low, dim_high, step=8), step=8),
            "heads": chooser.categorical("heads", (1, 2, 4)[: room.most(1, 3)]),
            "key_dim": chooser.categorical("key_dim", (4, 8, 16)[: room.most(1, 3)]),
            "blocks": chooser.integer("blocks", 1, room.most(1, 3)),
            "kernel": chooser.categorical("kernel", (3, 5)),
            "feed_forward_ratio": chooser.integer("feed_forward_ratio", 1, room.most(1, 3)),
        }
        if self.attention == "local":
            params["window"] = chooser.categorical("window", _WINDOWS)
        params |= choose_stem_window(chooser, room)
        return params

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p = spec.params
        activation = activation_of(spec)
        dim, kernel = int(p["dim"]), int(p["kernel"])
        builder = LayersBuilder(spec.input_shape)
        x = append_stem(builder, spec, kernel=int(p["stem_kernel"]))
        halvings = int(p["halvings"])
        for step in range(1, halvings + 1):
            # Widths grow in equal steps from the stem's to the attention's.
            stem = int(p["stem_channels"])
            channels = stem + (dim - stem) * step // halvings
            for index in range(1, int(p["convs_per_halving"]) + 1):
                name = f"down{step}_conv{index}"
                x = _separable(builder, x, name, channels, index == 1, activation)
            builder.tap(f"stage{step}", x)
        for block in range(1, int(p["blocks"]) + 1):
            name = f"block{block}"
            local = builder.depthwise(x, f"{name}_local", kernel=kernel)
            x = builder.add(x, local, f"{name}_local_skip")
            heads, key_dim = int(p["heads"]), int(p["key_dim"])
            if self.attention == "linear":
                mixed = append_linear_attention(builder, x, name, heads=heads, key_dim=key_dim)
            else:
                window = int(p["window"])
                mixed = _local(builder, x, name, heads=heads, key_dim=key_dim, window=window)
            projected = builder.conv(mixed, f"{name}_projected", dim)
            x = builder.add(x, projected, f"{name}_attention_skip")
            hidden = int(p["feed_forward_ratio"]) * dim
            wide = builder.conv(x, f"{name}_expand", hidden, activation=activation)
            narrow = builder.conv(wide, f"{name}_reduce", dim)
            x = builder.add(x, narrow, f"{name}_skip")
            builder.tap(f"stage{halvings + block}", x)
        builder.classifier(x, spec.num_outputs)
        return builder.build()


def _separable(
    builder: LayersBuilder,
    source: str,
    name: str,
    channels: int,
    halves: bool,
    activation: Activation,
) -> str:
    """Append a depthwise and a pointwise convolution, with a skip when the shape is kept."""
    x = builder.depthwise(
        source, f"{name}_spatial", kernel=3, stride=2 if halves else 1, activation=activation
    )
    if halves:
        return builder.conv(x, f"{name}_project", channels, activation=activation)
    x = builder.conv(x, f"{name}_project", channels)
    return builder.add(source, x, f"{name}_skip", activation=activation)


def _local(
    builder: LayersBuilder, source: str, name: str, *, heads: int, key_dim: int, window: int
) -> str:
    """Append values x softmax(queries' x keys)' inside windows, a map of the source's shape.

    No layer divides by the root of the key dimension: the normalisation of the queries learns it.
    """
    dim, height, width = builder.shape(source)
    sides = _side(height, window), _side(width, window)
    parts = {"query": key_dim, "key": key_dim, "value": dim // heads}
    tiles = {
        part: _tiled(builder, builder.conv(source, f"{name}_{part}", heads * depth), depth, sides)
        for part, depth in parts.items()
    }
    queries = builder.transpose(tiles["query"], f"{name}_query_transposed", (0, 2, 1))
    scores = builder.matmul(queries, tiles["key"], f"{name}_scores")
    weights = builder.softmax(scores, f"{name}_weights")
    weights = builder.transpose(weights, f"{name}_weights_transposed", (0, 2, 1))
    mixed = builder.matmul(tiles["value"], weights, f"{name}_mixed")
    return _untiled(builder, mixed, (dim, height, width), sides)


def _side(size: int, window: int) -> int:
    """Return the divisor of a size that is nearest to a window, in ratio; 1 only of 1."""
    divisors = [side for side in range(2, size + 1) if size % side == 0]
    return min(divisors, key=lambda side: abs(log(side / window)), default=1)


def _tiled(builder: LayersBuilder, source: str, depth: int, sides: tuple[int, int]) -> str:
    """Append the map of several heads as (windows x heads, depth, positions of a window)."""
    channels, height, width = builder.shape(source)
    down, right = height // sides[0], width // sides[1]
    x = source
    if down > 1:
        x = builder.reshape(x, f"{source}_rows", (channels, down, sides[0], width))
        x = builder.transpose(x, f"{source}_by_row", (1, 0, 2, 3))
    if right > 1:
        x = builder.reshape(x, f"{source}_columns", (channels * height, right, sides[1]))
        x = builder.transpose(x, f"{source}_by_column", (1, 0, 2))
    windows = down * right * channels // depth
    return builder.reshape(x, f"{source}_heads", (windows, depth, sides[0] * sides[1]))


def _untiled(
    builder: LayersBuilder, source: str, shape: tuple[int, int, int], sides: tuple[int, int]
) -> str:
    """Append the map that windows came from; the reverse of `_tiled`."""
    channels, height, width = shape
    down, right = height // sides[0], width // sides[1]
    x = source
    if right > 1:
        x = builder.reshape(x, f"{source}_columns", (right, channels * height, sides[1]))
        x = builder.transpose(x, f"{source}_side_by_side", (1, 0, 2))
    if down > 1:
        x = builder.reshape(x, f"{source}_rows", (down, channels, sides[0], width))
        x = builder.transpose(x, f"{source}_stacked", (1, 0, 2, 3))
    return builder.reshape(x, f"{source}_map", shape)


SEARCH_SPACES.register("linear_attention")(
    AttentionSpace(
        name="linear_attention",
        summary="convolutional stem, then linear attention without division",
        attention="linear",
        is_default=True,
    )
)
SEARCH_SPACES.register("local_attention")(
    AttentionSpace(
        name="local_attention",
        summary="convolutional stem, then softmax attention inside windows (only when named)",
        attention="local",
        is_default=False,
    )
)
