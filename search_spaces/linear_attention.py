"""Linear-attention students: a convolutional stem, then attention whose cost grows linearly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.core.layers_builder import LayersBuilder, is_tiny, max_stages
from hwkd.core.room import WHOLE, Room
from hwkd.core.stem import append_stem, choose_activation, choose_stem, choose_stem_window
from hwkd.core.student import Activation, Chooser, Layers, ParamValue, StudentSpec


@dataclass(frozen=True)
class LinearAttentionSpace:
    """Separable convolutions down to a small map, then blocks of linear attention and feed-forward.

    Queries and keys pass a ReLU, values meet keys first, and the normalisation follows the
    attention instead of dividing inside it (TransNormer, arXiv:2210.10340): matrix products,
    additions and convolutions are all that runs. The ReLU is capped at 6, because three factors
    multiply: without the cap a deviation in the input comes back cubed from every block. A
    depthwise convolution before each attention tells positions apart (arXiv:2102.10882).
    """

    name: str = "linear_attention"
    summary: str = "convolutional stem, then linear attention without division"

    def suggest(
        self,
        chooser: Chooser,
        *,
        input_shape: tuple[int, ...],
        num_outputs: int,
        room: Room = WHOLE,
    ) -> StudentSpec:
        """Sample the stem, dimensions, heads, depth and feed-forward width."""
        halvings = max(1, max_stages(input_shape) - 1)
        tiny = is_tiny(input_shape)
        stem_low, stem_high, dim_low, dim_high = (4, 12, 8, 32) if tiny else (8, 24, 16, 56)
        params: dict[str, ParamValue] = {
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
        params |= choose_stem_window(chooser, room)
        return StudentSpec(
            space=self.name, params=params, input_shape=input_shape, num_outputs=num_outputs
        )

    def layers(self, spec: StudentSpec) -> Layers:
        """Describe the network of a spec."""
        p = spec.params
        activation = cast(Activation, p["activation"])
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
            x = _attention(builder, x, name, heads=int(p["heads"]), key_dim=int(p["key_dim"]))
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


def _attention(builder: LayersBuilder, source: str, name: str, *, heads: int, key_dim: int) -> str:
    """Append (values x keys') x queries, a normalised projection and the skip connection."""
    dim, height, width = builder.shape(source)
    positions = height * width
    keys_shape = (heads, key_dim, positions)
    queries = builder.conv(source, f"{name}_query", heads * key_dim, activation="relu6")
    queries = builder.reshape(queries, f"{name}_query_heads", keys_shape)
    keys = builder.conv(source, f"{name}_key", heads * key_dim, activation="relu6")
    keys = builder.reshape(keys, f"{name}_key_heads", keys_shape)
    keys = builder.transpose(keys, f"{name}_key_transposed", (0, 2, 1))
    values = builder.conv(source, f"{name}_value", dim)
    values = builder.reshape(values, f"{name}_value_heads", (heads, dim // heads, positions))
    memory = builder.matmul(values, keys, f"{name}_memory")
    mixed = builder.matmul(memory, queries, f"{name}_mixed")
    mixed = builder.reshape(mixed, f"{name}_mixed_map", (dim, height, width))
    projected = builder.conv(mixed, f"{name}_projected", dim)
    return builder.add(source, projected, f"{name}_attention_skip")


SEARCH_SPACES.register("linear_attention")(LinearAttentionSpace())
