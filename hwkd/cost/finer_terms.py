"""Amounts of work that only a runtime whose kernels were counted tells apart: hwkd's own C.

Published fits know a class such as "copy" or "pool" from few rows. The C's kernels differ inside
such a class by factors, as the counted instructions show: a copy by the stretches that it moves one
by one, a row of a softmax by its pass for the largest value. Where a fit has a finer class the
operator is priced by it, anywhere else by the class of `hwkd.cost.latency_terms`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from math import prod

from hwkd.core.graph import Op, Tensor
from hwkd.core.kinds import kind_of
from hwkd.core.line_buffer import DEPTHWISE_BLOCK, line_buffer
from hwkd.cost.dense_terms import gathered_work, listed_work
from hwkd.cost.latency_terms import Work, channels_of, height_and_width, op_work

# Taps that the kernel runs without a loop.
_UNROLLED_TAPS = 9

_Tensors = Mapping[str, Tensor]
_Rule = Callable[[Op, _Tensors], Work | None]


def priced_work(op: Op, tensors: _Tensors, priced: Container[str]) -> Work | None:
    """Return the work of an operator in the finest class that a fit has.

    Args:
        tensors: shapes of its inputs and outputs, NCHW.
        priced: operator classes that have cycles.

    Returns:
        None for a kind that no class covers.
    """
    for name, rule in _FINER.get(kind_of(op.kind).work, {}).items():
        work = rule(op, tensors) if name in priced else None
        if work is not None:
            return work
    return op_work(op, tensors)


def _move(op: Op, tensors: _Tensors) -> Work | None:
    """Count bytes moved, looked up in a table of scales or filled, and stretches of a copy."""
    if op.macs:
        return None
    target, sources = tensors[op.outputs[0]], [tensors[name] for name in op.inputs]
    rule = _MOVES.get(op.kind)
    if rule is None:
        return None
    moved, runs = rule(sources, target)
    looked_up = moved if op.kind == "Concat" else 0
    filled = target.elements if op.kind == "Pad" else 0
    return Work("move", (moved, looked_up, filled, runs, len(sources)), moved, 1, op.kind)


def _repeated(sources: list[Tensor], target: Tensor) -> tuple[int, int]:
    """Every position of the larger map is a stretch of channels."""
    del sources
    return target.elements, target.elements // channels_of(target)


def _cut(sources: list[Tensor], target: Tensor) -> tuple[int, int]:
    return target.elements, _stretches(target, sources[0])


def _joined(sources: list[Tensor], target: Tensor) -> tuple[int, int]:
    return sum(s.elements for s in sources), sum(_stretches(s, target) for s in sources)


def _surrounded(sources: list[Tensor], target: Tensor) -> tuple[int, int]:
    return sources[0].elements, _stretches(sources[0], target)


def _permuted(sources: list[Tensor], target: Tensor) -> tuple[int, int]:
    """No two neighbours stay neighbours; the shortest axis is the innermost loop."""
    del sources
    sides = [size for size in target.shape if size > 1]
    return target.elements, target.elements // min(sides, default=1)


# Kind -> elements that are copied and stretches that they come in, channels last in memory.
_MOVES: Mapping[str, Callable[[list[Tensor], Tensor], tuple[int, int]]] = {
    "Resize": _repeated, "Slice": _cut, "Concat": _joined, "Pad": _surrounded,
    "Transpose": _permuted,
}  # fmt: skip


def _stretches(part: Tensor, whole: Tensor) -> int:
    """Count the pieces in which a part lies in a whole that is larger along some axes."""
    inner, outer = (
        (*shape[2:], shape[1]) if len(shape) > 2 else shape[1:]
        for shape in (part.shape, whole.shape)
    )
    if len(inner) != len(outer):
        return 1
    for axis in range(len(inner) - 1, -1, -1):
        if inner[axis] != outer[axis]:
            return prod(inner[:axis])
    return 1


def _is_depthwise(op: Op, target: Tensor) -> bool:
    return op.weights == op.groups * op.kernel[0] * op.kernel[1] == op.macs // prod(
        target.shape[2:]
    ) and op.groups == channels_of(target)


def _lined(op: Op, tensors: _Tensors) -> Work | None:
    """Count a depthwise convolution of the C: four channels at a time, out of a line buffer."""
    target = tensors[op.outputs[0]]
    if op.groups == 1 or not _is_depthwise(op, target):
        return None
    out = height_and_width(target.shape)
    under = [step * (side - 1) + 1 for side, step in zip(op.kernel, op.dilation, strict=True)]
    over = (op.pads[0] + op.pads[2], op.pads[1] + op.pads[3])
    image = [
        (size - 1) * step + window - pad
        for size, step, window, pad in zip(out, op.stride, under, over, strict=True)
    ]
    size = {
        "in": (image[0], image[1]), "out": out, "kernel": op.kernel, "stride": op.stride,
        "dilation": op.dilation,
    }  # fmt: skip
    lines = line_buffer(size)
    rows, columns = (1, 0) if lines.is_turned else (0, 1)
    blocks = -(-op.groups // DEPTHWISE_BLOCK)
    taps, pixels = op.kernel[0] * op.kernel[1], out[0] * out[1]
    refills = -(-out[rows] // (lines.ahead + 1))
    width = (out[columns] - 1) * op.stride[columns] + under[columns]
    moved = refills * max(lines.span - op.stride[rows], 0) * width
    # A column of pixels is one run; anywhere else each row is.
    runs = refills if out[columns] == 1 else out[rows]
    is_nine = taps == _UNROLLED_TAPS
    amounts = (
        0 if is_nine else taps * pixels, taps * pixels if is_nine else 0, pixels,
        image[0] * image[1], moved, runs, taps, 1,
    )  # fmt: skip
    form = op_work(op, tensors)
    assert form is not None
    return form._replace(op_class="lined", amounts=(*(blocks * part for part in amounts), 1))


def _grouped(op: Op, tensors: _Tensors) -> Work | None:
    """Count a convolution in groups that is not depthwise, output by output."""
    target = tensors[op.outputs[0]]
    if op.groups == 1 or _is_depthwise(op, target):
        return None
    taps = target.elements * op.kernel[0] * op.kernel[1]
    depth = op.macs // target.elements
    amounts = (op.macs, taps, target.elements, 1)
    return Work("grouped", amounts, op.macs, depth, "Conv in groups")


def _transposed(op: Op, tensors: _Tensors) -> Work:
    """Count products, taps that meet an input, and outputs."""
    target = tensors[op.outputs[0]]
    depth = op.weights // (channels_of(target) * op.kernel[0] * op.kernel[1])
    amounts = (op.macs, op.macs // max(depth, 1), target.elements, 1)
    per_output = max(op.macs // target.elements, 1)
    return Work("transposed", amounts, op.macs, per_output, "ConvTranspose")


def _largest(op: Op, tensors: _Tensors) -> Work | None:
    """Count values that are compared, and places of a window that a loop over channels reads."""
    work = op_work(op, tensors)
    if op.kind != "MaxPool" or work is None:
        return None
    taps, outputs, calls = work.amounts
    amounts = (taps, taps / channels_of(tensors[op.outputs[0]]), outputs, calls)
    return work._replace(op_class="max_pool", amounts=amounts)


def _between(op: Op, tensors: _Tensors) -> Work | None:
    """Count values between others, and positions whose four weights are computed once."""
    if not op.macs:
        return None
    outputs = tensors[op.outputs[0]].elements
    pixels = outputs // channels_of(tensors[op.outputs[0]])
    return Work("resize", (outputs, pixels, 1), op.macs, op.macs // outputs, f"{op.kind} linear")


def _rows(name: str) -> _Rule:
    def rule(op: Op, tensors: _Tensors) -> Work:
        target = tensors[op.outputs[0]]
        return Work(name, (target.elements, target.elements // target.shape[-1], 1),
                    target.elements, 1, op.kind)  # fmt: skip

    return rule


def _looked_up(op: Op, tensors: _Tensors) -> Work:
    """Count values that are copied, digits that say which, and rows."""
    target, digits = tensors[op.outputs[0]], tensors[op.inputs[0]].elements
    rows = target.elements // target.shape[-1]
    amounts = (target.elements, digits, rows, 1)
    return Work("lookup", amounts, target.elements, 1, op.kind)


def _product(op: Op, tensors: _Tensors) -> Work | None:
    """Count products, and how often the smaller operand begins anew."""
    if op.kind != "Mul" or len(op.inputs) != 2:
        return None
    outputs = tensors[op.outputs[0]].elements
    smaller = min(tensors[name].elements for name in op.inputs)
    form = "Mul" if smaller == outputs else "Mul broadcast"
    return Work("product", (outputs, outputs // smaller, 1), outputs, 1, form)


# Rule of `hwkd.core.kinds` -> finer classes of `hwkd.core.device.WORK` and what counts them.
_FINER: Mapping[str, Mapping[str, _Rule]] = {
    "conv": {
        "lined": _lined,
        "grouped": _grouped,
        "gathered": gathered_work,
        "listed": listed_work,
    },
    "dense": {"listed": listed_work},
    "transposed": {"transposed": _transposed},
    "copy": {"move": _move},
    "resize": {"move": _move, "resize": _between},
    "pool": {"max_pool": _largest},
    "elementwise": {"product": _product},
    "softmax": {"softmax_rows": _rows("softmax_rows")},
    "lookup": {"lookup": _looked_up},
    "normalisation": {"layer_norm": _rows("layer_norm")},
}
# Classes that a fit may have beside those of `hwkd.cost.latency_terms`.
FINER_CLASSES = frozenset(name for rules in _FINER.values() for name in rules)
