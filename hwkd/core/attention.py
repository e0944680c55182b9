"""Attention whose cost grows with the positions and not with their square."""

from __future__ import annotations

from hwkd.core.layers_builder import LayersBuilder


def append_linear_attention(
    builder: LayersBuilder, source: str, name: str, *, heads: int, key_dim: int
) -> str:
    """Append (values x keys') x queries, a map of the source's shape.

    Source:
        TransNormer, arXiv:2210.10340, where a normalisation follows in place of a division.
    """
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
    return builder.reshape(mixed, f"{name}_mixed_map", (dim, height, width))
