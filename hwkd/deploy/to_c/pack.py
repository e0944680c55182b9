"""Weights and biases in the order in which the kernels read them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from hwkd.deploy.to_c.layout import Places
from hwkd.qgraph.ir import Conv, ConvTranspose, FullyConnected, Weighted

_Int8: TypeAlias = np.ndarray[Any, np.dtype[np.int8]]
_Int32: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

# Order of a block's inputs in the first and the second word: see hwkd_kernels.h.
_BLOCK_INPUTS = (0, 2, 1, 3)


def rows_of_inputs(op: Conv | FullyConnected, places: Places) -> _Int8:
    """Return weights as [out channels, inputs] in the order in which inputs lie in memory.

    Args:
        op: a convolution without groups, or a fully connected layer.
        places: offsets of the operator's input tensor.
    """
    if isinstance(op, Conv):
        return np.asarray(op.weights.transpose(0, 2, 3, 1).reshape(len(op.weights), -1))
    inputs = op.weights.shape[1]
    if places.size != inputs:
        return op.weights
    rows = np.empty_like(op.weights)
    rows[:, places.reshape(-1)] = op.weights
    return rows


def packed_dense(rows: _Int8) -> _Int8:
    """Return [out channels, inputs] as blocks of 2 channels x 4 inputs, padded with zeros."""
    channels, inputs = rows.shape
    padded = np.zeros((channels + channels % 2, inputs + -inputs % 4), np.int8)
    padded[:channels, :inputs] = rows
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 4, 4)
    return blocks[..., _BLOCK_INPUTS].transpose(0, 2, 3, 1).reshape(-1)


def plain_grouped(op: Conv | ConvTranspose) -> _Int8:
    """Return weights as [out channel][kernel h][kernel w][in channels / groups]."""
    return np.asarray(op.weights.transpose(0, 2, 3, 1).reshape(-1))


def blocked_depthwise(op: Conv) -> _Int8:
    """Return depthwise weights as [block of 4 channels][tap][4], padded with zero channels."""
    channels = len(op.weights)
    taps = op.weights.reshape(channels, -1)
    padded = np.zeros((channels + -channels % 4, taps.shape[1]), np.int8)
    padded[:channels] = taps
    return padded.reshape(-1, 4, taps.shape[1]).transpose(0, 2, 1).reshape(-1)


def folded_bias(op: Weighted, input_zero: int) -> _Int32:
    """Return the bias minus what the input's zero point adds to every product.

    Which products a transposed convolution adds depends on the place: its kernel takes the zero
    point out itself.
    """
    if isinstance(op, ConvTranspose):
        return op.bias
    rows = op.weights.reshape(len(op.weights), -1).astype(np.int64)
    sums = rows.sum(axis=1)
    if op.weight_zeros is not None:
        sums -= rows.shape[1] * op.weight_zeros.astype(np.int64)
    return np.asarray(op.bias - input_zero * sums, dtype=np.int32)
