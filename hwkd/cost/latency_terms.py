"""What an operator costs cycles for: how much of each kind of work it does.

The same function feeds the fit and the estimate, so what is fitted is what is predicted. Amounts
follow what published kernels do (CMSIS-NN `arm_convolve_s8`, `arm_nn_mat_mult_nt_t_s8`: a column
buffer filled tap by tap, inner loops of 16 and of 4 products); coefficients say how many cycles
each takes. The amounts are named in `hwkd.core.device.WORK`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from math import log
from typing import NamedTuple, TypeAlias

from hwkd.core.graph import Op, Tensor
from hwkd.core.kinds import kind_of
from hwkd.core.registry import Registry


class Work(NamedTuple):
    """One operator as the latency model sees it.

    Attributes:
        op_class: key of `hwkd.core.device.WORK`.
        amounts: one for each amount of that class, in its order.
        size: multiply-accumulates, or elements where there are none.
        depth: contraction length of one output element; 1 where there is none.
        form: kind, kernel and data that kernels tell apart, for what was timed and what was not.
        is_stand_in: no class of its own was measured; `op_class` is the nearest one.
    """

    op_class: str
    amounts: tuple[float, ...]
    size: float
    depth: float
    form: str
    is_stand_in: bool = False


# Weights up to this many bytes stay in the caches and buffers that every core has; from twenty
# times as many on they are read again for each pair of pixels. Between them the share grows with
# the logarithm. Networks of ST's model zoo: 4 KiB fits better than 8, 16 (its cache) or 32 KiB.
_CACHED_WEIGHTS = 4096
_STREAMED_LOG = 3.0
# Up to this many input channels a convolution reads an image, with kernels of its own.
IMAGE_CHANNELS = 4

Rule: TypeAlias = Callable[[Op, Mapping[str, Tensor]], Work]

# Class of work that rows of `hwkd.core.kinds` name -> what counts it.
WORK_RULES: Registry[Rule] = Registry("class of work")


def op_work(op: Op, tensors: Mapping[str, Tensor]) -> Work | None:
    """Return the work of an operator, or None for a kind that no class covers.

    Args:
        tensors: shapes of its inputs and outputs, NCHW.
    """
    rule = kind_of(op.kind).work
    return WORK_RULES.get(rule)(op, tensors) if rule else None


@WORK_RULES.register("conv")
def _conv(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    shape = tensors[op.outputs[0]].shape
    height, width = height_and_width(shape)
    pixels = shape[0] * height * width
    outputs = shape[1] * pixels
    macs = op.macs
    depth = macs // outputs
    if op.groups > 1:
        is_grouped = depth > op.kernel[0] * op.kernel[1]  # several channels in each group
        form = _window_form("depthwise", op.kernel, False)
        return Work("depthwise", (macs, outputs, 1), macs, depth, form, is_grouped)
    streamed = _streamed_macs(op)
    remainder = outputs * (depth % 4)
    if op.kernel == (1, 1) and op.stride == (1, 1):
        blocks = outputs * (depth // 16)
        quads = outputs * (depth % 16 // 4)
        work = (macs, blocks, quads, remainder, outputs, op.weights, streamed, 1)
        return Work("pointwise", work, macs, depth, "pointwise")
    taps = pixels * op.kernel[0] * op.kernel[1]
    inside = _taps_inside(op, shape) if any(op.pads) else taps
    in_channels = depth // (op.kernel[0] * op.kernel[1])
    amounts = (
        macs, outputs * (depth // 4), remainder, outputs, pixels, inside, taps - inside,
        inside * in_channels, inside * (in_channels % 4), (taps - inside) * in_channels,
        op.weights, streamed, 1,
    )  # fmt: skip
    is_image = in_channels <= IMAGE_CHANNELS
    return Work("conv", amounts, macs, depth, _window_form("conv", op.kernel, is_image))


def _streamed_macs(op: Op) -> float:
    """Return the multiply-accumulates whose weights come from flash or RAM again and again."""
    if op.weights <= _CACHED_WEIGHTS:
        return 0.0
    return op.macs * min(log(op.weights / _CACHED_WEIGHTS) / _STREAMED_LOG, 1.0)


@cache
def _window_form(op_class: str, kernel: tuple[int, int], is_image: bool) -> str:
    """Return, for example, "depthwise 5x5": libraries have kernels of their own for few sizes."""
    side = max(kernel)
    size = next((f"{n}x{n}" for n in (1, 3, 5, 7) if side <= n), "larger")
    return f"{op_class} {size}{' image' if is_image else ''}"


def _taps_inside(op: Op, out_shape: tuple[int, ...]) -> int:
    """Count the (output, kernel) position pairs that read the image and not its padding."""
    top, left, bottom, right = op.pads
    height, width = height_and_width(out_shape)
    rows = height * op.kernel[0]
    columns = width * op.kernel[1]
    rows -= _outside(top, op.kernel[0], op.stride[0])
    rows -= _outside(bottom, op.kernel[0], op.stride[0])
    columns -= _outside(left, op.kernel[1], op.stride[1])
    columns -= _outside(right, op.kernel[1], op.stride[1])
    return out_shape[0] * max(rows, 0) * max(columns, 0)


def height_and_width(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the spatial size; a signal (N, C, T) has height 1."""
    return (shape[2], shape[3]) if len(shape) == 4 else (1, shape[-1])


def channels_of(tensor: Tensor) -> int:
    """Return the channels of an image or signal, or the length of a vector."""
    return tensor.shape[1] if len(tensor.shape) > 1 else 1


def _outside(pad: int, kernel: int, stride: int) -> int:
    """Count kernel positions over one side's padding: pad, pad - stride, ... for each output."""
    if pad <= stride:  # one output at most; by far the most frequent case
        return min(pad, kernel)
    outputs = -(-pad // stride)
    whole = max(-(-(pad - kernel) // stride), 0)  # of them reach over the padding with every tap
    left = outputs - whole
    over = pad - whole * stride
    return whole * kernel + left * over - stride * (left * (left - 1) // 2)


@WORK_RULES.register("dense")
def _matmul(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    outputs = tensors[op.outputs[0]].elements
    name = "dense" if op.weights else "matmul"
    return Work(name, (op.macs, outputs, 1), op.macs, op.macs // outputs, op.kind)


@WORK_RULES.register("pool")
def _pool(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    outputs = tensors[op.outputs[0]].elements
    window = op.kernel[0] * op.kernel[1]
    return Work("pool", (outputs * window, outputs, 1), outputs * window, window, op.kind)


@WORK_RULES.register("mean")
def _global_pool(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    outputs = tensors[op.outputs[0]].elements
    inputs = tensors[op.inputs[0]].elements
    form = "ReduceMean" if op.kind == "GlobalAveragePool" else op.kind  # one kernel
    return Work("mean", (inputs, outputs, 1), inputs, inputs // outputs, form)


@WORK_RULES.register("transposed")
def _transposed_conv(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    """Count it as a depthwise convolution: no inputs are gathered for many outputs at once."""
    outputs = tensors[op.outputs[0]].elements
    form = _window_form("depthwise", op.kernel, False)
    return Work("depthwise", (op.macs, outputs, 1), op.macs, max(op.macs // outputs, 1), form, True)


@WORK_RULES.register("resize")
def _resize(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    """Count repeated values as a copy, values between others as an average of four."""
    outputs = tensors[op.outputs[0]].elements
    if not op.macs:
        return Work("copy", (outputs, 1), outputs, 1, op.kind)
    taps = op.macs // outputs
    return Work("pool", (op.macs, outputs, 1), op.macs, taps, f"{op.kind} linear")


def _per_element(name: str) -> Rule:
    def rule(op: Op, tensors: Mapping[str, Tensor]) -> Work:
        elements = tensors[op.outputs[0]].elements
        return Work(name, (elements, 1), elements, 1, op.kind)

    return rule


@WORK_RULES.register("elementwise")
def _elementwise(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    elements = tensors[op.outputs[0]].elements
    form = op.kind
    for name in op.inputs:
        if tensors[name].elements != elements:
            form = f"{op.kind} broadcast"
    return Work("elementwise", (elements, 1), elements, 1, form)


@WORK_RULES.register("lookup")
def _lookup(op: Op, tensors: Mapping[str, Tensor]) -> Work:
    """Count rows of a table as a copy."""
    elements = tensors[op.outputs[0]].elements
    return Work("copy", (elements, 1), elements, 1, op.kind, True)


for _name in ("activation", "copy", "softmax"):
    WORK_RULES.register(_name)(_per_element(_name))
# Two passes over a vector, as a softmax, whose price it has: nobody timed it.
WORK_RULES.register("normalisation")(_per_element("softmax"))
