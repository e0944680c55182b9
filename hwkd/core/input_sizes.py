"""How far an input may be thinned out before a network looks at it, and how often afterwards."""

from __future__ import annotations

from math import prod

# A stem that leaves more positions than this (64 x 64) costs more than any microcontroller has.
_MAX_POSITIONS_AFTER_STEM = 4096
_MAX_TINY_POSITIONS = 256


def stem_stride(input_shape: tuple[int, ...]) -> int:
    """Return the smallest power of two that leaves a stem of at most 4096 positions.

    Images up to 64 x 64 keep their full resolution at first; 96 x 96 is halved.
    """
    axes = len(input_shape) - 1
    stride = 1
    while prod(input_shape[1:]) > _MAX_POSITIONS_AFTER_STEM * stride**axes:
        stride *= 2
    return stride


def max_stages(input_shape: tuple[int, ...]) -> int:
    """Return how many stages, each after the first halving the map, suit an input: 1 to 4."""
    longest = max(input_shape[1:]) // stem_stride(input_shape)
    return max(1, min(4, longest.bit_length() - 1))


def is_tiny(input_shape: tuple[int, ...]) -> bool:
    """Tell whether an input has at most 256 positions (16 x 16): half the channels suffice."""
    return prod(input_shape[1:]) <= _MAX_TINY_POSITIONS
