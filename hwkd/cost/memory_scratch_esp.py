"""Working memory of esp-nn's vector kernels on the ESP32-S3: aligned copies of inputs and filters.

Source:
    espressif/esp-nn, src/convolution/esp_nn_conv_esp32s3.c and
    esp_nn_depthwise_conv_s8_esp32s3.c, functions esp_nn_get_..._scratch_size_esp32s3.
"""

from __future__ import annotations

from collections.abc import Mapping

from hwkd.core.graph import Op, Tensor

_ALIGNMENT_BYTES = 32


def esp_nn_conv_bytes(op: Op, tensors: Mapping[str, Tensor]) -> int:
    """Return what esp-nn asks for to run an int8 convolution."""
    before, after = tensors[op.inputs[0]].shape, tensors[op.outputs[0]].shape
    channels = before[1]
    if op.groups > 1:
        is_plain = op.groups == channels == after[1] and op.kernel == (3, 3) and channels % 8 == 0
        return _depthwise_3x3(op, before, after) if is_plain else _ALIGNMENT_BYTES
    if op.kernel == (1, 1) and op.stride == (1, 1) and not any(op.pads):
        return _pointwise(before, after)
    height, width = op.kernel
    row, filters = width * channels, after[1]
    if row < 16 <= row * height:
        window = _up(row * height, 16)
        return filters * (4 + window) + window + 2 * 16 + _ALIGNMENT_BYTES
    top, left = op.pads[:2]
    copied = _grown(before, 2 * top, 2 * left) if top or left else 0
    copied += height * width * _up(channels, 16) * filters
    copied += _up(row, 16) * height * filters
    bottom, right = (max(grow, 0) for grow in _overhang(op, before, after))
    if bottom or right:
        copied += _grown(before, bottom, right)
    return copied + 4 * filters + _ALIGNMENT_BYTES


def _depthwise_3x3(op: Op, before: tuple[int, ...], after: tuple[int, ...]) -> int:
    channels = before[1]
    filters = 9 * channels
    if channels % 16:  # runs with 16-bit copies of filter and input
        return 2 * (filters + _grown(before, 0, 0)) + 16
    top, left = op.pads[:2]
    rows, columns = (2 * top, 2 * left) if top or left else _overhang(op, before, after)
    return filters + 16 + (_grown(before, rows, columns) if rows or columns else 0)


def _pointwise(before: tuple[int, ...], after: tuple[int, ...]) -> int:
    channels, pixels = _up(before[1], 8), before[2] * before[3]
    copied = 0 if before[1] % 8 == 0 else pixels * channels
    transposed = 2 * 8 * channels if pixels >= 8 else 0
    return copied + channels * after[1] + transposed + _ALIGNMENT_BYTES


def _overhang(op: Op, before: tuple[int, ...], after: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns by which the last window reaches past the input."""
    return (
        after[2] * op.stride[0] + op.kernel[0] - 1 - before[2],
        after[3] * op.stride[1] + op.kernel[1] - 1 - before[3],
    )


def _grown(shape: tuple[int, ...], rows: int, columns: int) -> int:
    return shape[1] * (shape[2] + rows) * (shape[3] + columns)


def _up(value: int, multiple: int) -> int:
    return value + -value % multiple
