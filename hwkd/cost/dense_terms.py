"""Amounts of work of the dense layers of hwkd's own C, as its loops run over them.

Other stacks' dense layers are counted as CMSIS-NN's are, in `hwkd.cost.latency_terms`. The C lists
the inputs of four output pixels and multiplies them with each row of weights at once; what the
listing takes depends on how much of a window is one stretch of memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hwkd.core.graph import Op, Tensor
from hwkd.cost.latency_terms import Work, channels_of, height_and_width, op_work

# Output pixels that share one pass over the weights.
_PIXELS_AT_ONCE = 4


def listed_work(op: Op, tensors: Mapping[str, Tensor]) -> Work | None:
    """Count a dense layer whose inputs lie as they are multiplied: by pixel, or a vector."""
    form = op_work(op, tensors)
    if form is None or form.op_class not in ("pointwise", "dense"):
        return None
    depth = int(form.depth)
    channels = op.weights // depth
    pixels = tensors[op.outputs[0]].elements // channels
    amounts = (*_products(channels, pixels, depth, (2,)), pixels * depth, 1)
    return form._replace(op_class="listed", amounts=amounts)


def gathered_work(op: Op, tensors: Mapping[str, Tensor]) -> Work | None:
    """Count a dense convolution of the C: the inputs of four pixels are listed, then multiplied.

    Where channels come in fours, cores with DSP instructions widen inputs as they list them.
    """
    form = op_work(op, tensors)
    if form is None or form.op_class != "conv":
        return None
    target = tensors[op.outputs[0]]
    channels, depth = channels_of(target), int(form.depth)
    pixels = target.elements // channels
    inputs = depth // (op.kernel[0] * op.kernel[1])
    products, window = _products(channels, pixels, depth, (1, 2)), _window_reads(op, tensors)
    is_narrow = inputs % 4 > 0 or op.dilation != (1, 1)
    amounts = (
        *products, window.rows, window.pieces, window.inside * inputs, window.outside * inputs,
        is_narrow * window.rows, is_narrow * window.pieces, is_narrow * pixels * depth, 1,
    )  # fmt: skip
    name = "Conv dilated" if op.dilation != (1, 1) else form.form
    return form._replace(op_class="gathered", amounts=amounts, form=name)


def _products(channels: int, pixels: int, depth: int, few: tuple[int, ...]) -> tuple[int, ...]:
    """Count what pixels times rows of weights take, from products of four pixels to single pixels.

    Four pixels share a pass over the weights. Cores with DSP instructions run the last three as
    four and the last one or two alone, for four channels at once and then for two; others run
    pairs. Helium multiplies sixteen inputs at once.

    Args:
        few: how many last pixels Helium runs as four.
    """
    fours, left = divmod(pixels, _PIXELS_AT_ONCE)
    alone = left if left < _PIXELS_AT_ONCE - 1 else 0
    passes = fours + (left > alone)
    quads, pairs = -(-depth // 4), -(-channels // 2)
    sixteens, rest = channels * -(-quads // 4), channels * (quads % 4)
    single = 4 * channels * quads
    return (
        _PIXELS_AT_ONCE * fours * single, left * single if left > alone else 0,
        passes * sixteens, passes * rest, passes * pairs,
        alone * single, alone * 4 * quads * (channels % 4), alone * sixteens,
        alone * pairs, channels * pixels, pixels, single if left in few else 0,
    )  # fmt: skip


class _WindowReads(NamedTuple):
    """What all windows of a convolution read.

    Attributes:
        rows: of the kernel, over all output pixels.
        pieces: taps that are copied one by one; a row that lies in the image whole is one copy.
        inside, outside: taps that read the image and its padding.
    """

    rows: int
    pieces: int
    inside: int
    outside: int


def _window_reads(op: Op, tensors: Mapping[str, Tensor]) -> _WindowReads:
    (height, width), (kernel_rows, kernel_columns) = (
        height_and_width(tensors[op.outputs[0]].shape), op.kernel
    )  # fmt: skip
    image = height_and_width(tensors[op.inputs[0]].shape)
    down, across = (
        [
            range(
                max(-(-(before - tap * step) // stride), 0),
                max(min((size - 1 + before - tap * step) // stride + 1, outputs), 0),
            )
            for tap in range(kernel)
        ]
        for before, size, outputs, kernel, stride, step in zip(
            op.pads[:2], image, (height, width), op.kernel, op.stride, op.dilation, strict=True
        )
    )
    rows_inside = sum(map(len, down))
    inside = rows_inside * sum(map(len, across))
    whole = 0
    if op.dilation[1] == 1:
        whole = max(min(one.stop for one in across) - max(one.start for one in across), 0)
    pixels = height * width
    return _WindowReads(
        rows=pixels * kernel_rows,
        pieces=rows_inside * (width - whole) * kernel_columns,
        inside=inside,
        outside=pixels * kernel_rows * kernel_columns - inside,
    )
