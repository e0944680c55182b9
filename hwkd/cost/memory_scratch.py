"""Working memory that an operator's kernel needs while it runs, by the rules of each library."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hwkd.core.graph import Op, Tensor
from hwkd.core.line_buffer import DEPTHWISE_BLOCK, line_buffer
from hwkd.core.memory_model import MemoryModel, ScratchRule
from hwkd.cost.memory_scratch_esp import esp_nn_conv_bytes

Tensors = Mapping[str, Tensor]


def scratch_bytes(op: Op, tensors: Tensors, model: MemoryModel, element_bytes: int) -> int:
    """Return the working memory of one operator, unaligned.

    Args:
        model: names the rule for each kind.
        element_bytes: 1 or 4; the rules are for int8 kernels, float kernels need none.
    """
    rule = model.scratch.get(op.kind)
    if rule is None or element_bytes != 1:
        return 0
    if op.facts is not None and op.facts.computes_in not in (None, "int8"):
        return 0
    return _RULES[rule](op, tensors)


def _cmsis_conv(op: Op, tensors: Tensors) -> int:
    """Two columns of the input as 16-bit values for a dense kernel, one for a depthwise one.

    Source:
        ARM-software/CMSIS-NN, arm_convolve_get_buffer_sizes_s8.c and
        arm_depthwise_conv_get_buffer_sizes_s8.c, branches for the DSP extension.
    """
    channels = tensors[op.inputs[0]].shape[1]
    height, width = op.kernel
    if op.groups > 1 and op.groups == channels:
        is_direct = op.kernel == (3, 3) and max(op.pads[:2]) <= 1
        fits = op.dilation == (1, 1) and tensors[op.outputs[0]].shape[1] == channels
        return 0 if is_direct or not fits else 2 * channels * height * width
    if op.kernel == (1, 1) and not any(op.pads):
        return 0
    columns = height * width * channels // op.groups
    return 2 * 2 * (columns + -columns % 4)


def _cmsis_average_pool(op: Op, tensors: Tensors) -> int:
    """One 32-bit sum for each channel (CMSIS-NN, arm_avgpool_get_buffer_sizes_s8.c)."""
    return 4 * tensors[op.inputs[0]].shape[1]


def _tflm_mean(op: Op, tensors: Tensors) -> int:
    """A 32-bit sum for each output, an index and the axes (two 16-byte blocks).

    Source:
        tensorflow/tflite-micro, tensorflow/lite/micro/kernels/reduce_common.cc, and measured.
    """
    return 4 * tensors[op.outputs[0]].elements + 32


def _tflm_transposed(op: Op, tensors: Tensors) -> int:
    """A 32-bit sum for each output (tensorflow/lite/micro/kernels/transpose_conv.cc)."""
    return 4 * tensors[op.outputs[0]].elements


def _x_cube_conv(op: Op, tensors: Tensors) -> int:
    """Columns and requantisation tables, by the sizes that X-CUBE-AI writes into network.c.

    Source:
        "..._scratch0_array" declarations of generated network.c files for int8 networks, for
        example a 96x96 MobileNetV1 x0.25: depthwise 297, 593, 1185 bytes for 8, 16, 32 channels;
        pointwise 192, 384, 448 bytes for 8->16, 16->32, 32->32; dense 3x3 6144, 7168, 9216 bytes
        for 32, 64, 128 output channels, 292 and 548 for 1->8 and 1->16; 6176 for 10x4, 1->64.
    """
    after = tensors[op.outputs[0]].shape[1]
    window = op.kernel[0] * op.kernel[1]
    # From the weights: a view may hide the channels of the tensor that is read.
    before = op.weights // (after * window) or tensors[op.inputs[0]].shape[-1]
    if op.groups > 1:
        return (4 * window + 1) * after + 1
    if window == 1:
        return 4 * before + 10 * after
    if op.kernel == (3, 3) and before > 4:
        return 5120 + 32 * after
    depth = window * before
    return 4 * depth + (2 * depth + 14) * after


def _x_cube_dense(op: Op, tensors: Tensors) -> int:
    """The input as 16-bit values and five for each output, of weights with a scale each.

    Source:
        "gemm_..._scratch0_array" declarations of generated network.c files, which count 16-bit
        values: 730, 448, 224, 112 and 46 for 90->128, 128->64, 64->32, 32->16 and 16->6; 192 for
        32->32. Weights that share one scale (TensorFlow Lite's until 2023) need the input alone.
    """
    after = tensors[op.outputs[0]].elements
    return 2 * (op.macs // after + 5 * after)


def _hwkd_conv(op: Op, tensors: Tensors) -> int:
    """Columns of four pixels as 16-bit values; of a depthwise one lines, and a table of its taps.

    Source:
        hwkd/deploy/to_c/weighted_steps.py, cores with the DSP extension, which need the most.
    """
    before, after = tensors[op.inputs[0]], tensors[op.outputs[0]]
    window = op.kernel[0] * op.kernel[1]
    if op.groups > 1:
        if not is_depthwise(op, before, after):
            return 0
        ends = {"in": _image(before), "out": _image(after)}
        own = {"kernel": op.kernel, "stride": op.stride, "dilation": op.dilation}
        return (4 + 2 * DEPTHWISE_BLOCK) * window + line_buffer({**ends, **own}).size_bytes
    depth = op.macs // after.elements
    depth += -depth % 4
    pixels = after.elements // after.shape[1]
    if op.kind != "Conv" or pixels == 1:
        return 2 * depth
    columns = 2 * depth * (4 if pixels > 2 else 1)
    is_pointwise = window == 1 and op.stride == (1, 1) and not any(op.pads)
    if is_pointwise:
        return columns
    is_wide = before.shape[1] % 4 == 0 and op.dilation == (1, 1)
    return 8 * depth if is_wide else 9 * depth


def is_depthwise(op: Op, before: Tensor, after: Tensor) -> bool:
    """Tell a convolution of each channel by itself."""
    return 1 < op.groups == before.shape[1] == after.shape[1]


def _image(tensor: Tensor) -> tuple[int, int]:
    """Return height and width; a signal is one row."""
    return tensor.shape[-2] if len(tensor.shape) > 3 else 1, tensor.shape[-1]


_RULES: Mapping[ScratchRule, Callable[[Op, Tensors], int]] = {
    "cmsis_conv": _cmsis_conv,
    "cmsis_average_pool": _cmsis_average_pool,
    "esp_nn_conv": esp_nn_conv_bytes,
    "hwkd_conv": _hwkd_conv,
    "tflm_mean": _tflm_mean,
    "tflm_transposed": _tflm_transposed,
    "x_cube_conv": _x_cube_conv,
    "x_cube_dense": _x_cube_dense,
}
