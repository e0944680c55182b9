"""Convolutions and fully connected layers as C: the kernel, its constants and working memory."""

from __future__ import annotations

from typing import Any

from hwkd.core.line_buffer import DEPTHWISE_BLOCK
from hwkd.deploy.to_c.arena import Overlap
from hwkd.deploy.to_c.c_text import struct
from hwkd.deploy.to_c.cmsis_nn import cmsis_fields, cmsis_scratch_bytes, takes_cmsis
from hwkd.deploy.to_c.overlap import lag_bytes, lines_of, runs_in_place
from hwkd.deploy.to_c.pack import (
    blocked_depthwise,
    packed_dense,
    plain_grouped,
    rows_of_inputs,
)
from hwkd.deploy.to_c.step_builder import (
    INSTRUCTION_SETS,
    OFFSET_CONV,
    TRANSPOSED_CONV,
    StepBuilder,
)
from hwkd.qgraph.ir import (
    Conv,
    ConvTranspose,
    FullyConnected,
    Weighted,
)

_INT16_BYTES = 2
_PIXELS_AT_ONCE = {"portable": 2, "dsp": 4}
_OFFSET_BYTES = 4
_VECTOR_BYTES = 16
# Helium reads weights 32 bytes at a time; a channel pair is a multiple of 8 bytes long.
_WEIGHT_SLACK_BYTES = 24


def conv_step(step: StepBuilder, op: Conv) -> None:
    """Add a convolution."""
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    geometry = {
        "in_height": source.shape[2], "in_width": source.shape[3],
        "in_channels": source.shape[1],
        "out_height": target.shape[2], "out_width": target.shape[3],
        "out_channels": target.shape[1],
        "kernel_height": op.kernel[0], "kernel_width": op.kernel[1],
        "stride_height": op.stride[0], "stride_width": op.stride[1],
        "dilation_height": op.dilation[0], "dilation_width": op.dilation[1],
        "pad_top": op.pads[0], "pad_left": op.pads[1],
    }  # fmt: skip
    if _with_cmsis(step, op, geometry):
        return
    if op.weight_zeros is not None:
        _with_weight_zeros(step, op, geometry, plain_grouped(op))
    elif op.groups == 1:
        _dense(step, op, geometry)
    else:
        _grouped(step, op, geometry)


def fully_connected_step(step: StepBuilder, op: FullyConnected) -> None:
    """Add a fully connected layer."""
    source = step.tensor(op.inputs[0])
    outputs, inputs = op.weights.shape
    rows = source.elements // inputs
    geometry = {
        "in_height": 1, "in_width": rows, "in_channels": inputs,
        "out_height": 1, "out_width": rows, "out_channels": outputs,
        "kernel_height": 1, "kernel_width": 1, "stride_height": 1, "stride_width": 1,
        "dilation_height": 1, "dilation_width": 1, "pad_top": 0, "pad_left": 0,
    }  # fmt: skip
    if op.weight_zeros is not None:
        rows_in_place = rows_of_inputs(op, step.arranged.places[op.inputs[0]])
        _with_weight_zeros(step, op, geometry, rows_in_place.reshape(-1))
    elif not _with_cmsis(step, op, geometry):
        _dense(step, op, geometry)


def transposed_conv_step(step: StepBuilder, op: ConvTranspose) -> None:
    """Add a transposed convolution."""
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    geometry = {
        "in_height": source.shape[2], "in_width": source.shape[3],
        "in_channels": source.shape[1],
        "out_height": target.shape[2], "out_width": target.shape[3],
        "out_channels": target.shape[1],
        "kernel_height": op.weights.shape[2], "kernel_width": op.weights.shape[3],
        "stride_height": op.stride[0], "stride_width": op.stride[1],
        "dilation_height": 1, "dilation_width": 1, "pad_top": op.cut[0], "pad_left": op.cut[1],
    }  # fmt: skip
    layer = _grouped_layer(step, op, geometry, plain_grouped(op))
    step.call(TRANSPOSED_CONV, "transposed_conv", f"&{layer}, {step.operand(0)}, {{out}}")


def _with_cmsis(step: StepBuilder, op: Conv | FullyConnected, geometry: dict[str, int]) -> bool:
    """Call CMSIS-NN if it was asked for and has a kernel."""
    rows = geometry["out_height"] * geometry["out_width"]
    wrapper = takes_cmsis(op, rows) if step.library == "cmsis-nn" else None
    if wrapper is None:
        return False
    tensors = (step.tensor(op.inputs[0]), step.tensor(op.output))
    places = step.arranged.places[op.inputs[0]]
    fields = cmsis_fields(step.constants, step.index, op, places, tensors, step.rounding)
    scratch = cmsis_scratch_bytes(wrapper, op)
    step.scratch.update((name, scratch[name]) for name in INSTRUCTION_SETS)
    layer = struct(**fields, **geometry, scratch_bytes=max(scratch.values()))
    name = step.constants.struct("hwkd_cmsis_layer", step.symbol("layer"), layer)
    arguments = f"&{name}, {step.operand(0)}, {{out}}, {{scratch}}"
    step.call("hwkd_cmsis_nn", f"cmsis_{wrapper}", arguments)
    return True


def _dense(step: StepBuilder, op: Conv | FullyConnected, geometry: dict[str, int]) -> None:
    rows = rows_of_inputs(op, step.arranged.places[op.inputs[0]])
    inputs = rows.shape[1]
    depth = inputs + -inputs % 4
    layer = struct(
        weights=step.constants.int8(
            step.symbol("weights"), packed_dense(rows), slack_bytes=_WEIGHT_SLACK_BYTES
        ),
        channels=step.channels(op, inputs),
        **geometry,
        depth=depth,
        in_zero=step.tensor(op.inputs[0]).zero_point,
        out_zero=step.tensor(op.output).zero_point,
    )
    name = step.constants.struct("hwkd_conv", step.symbol("layer"), layer)
    pixels = geometry["out_height"] * geometry["out_width"]
    is_pointwise = inputs == geometry["in_channels"] and all(
        geometry[f"stride_{axis}"] == 1 and geometry[f"out_{axis}"] == geometry[f"in_{axis}"]
        for axis in ("height", "width")
    )
    kernel = "pointwise" if is_pointwise else "conv"
    if is_pointwise and pixels == 1:
        kernel = "fully_connected"
    else:
        unread = _PIXELS_AT_ONCE["portable"] if is_pointwise else 0
        step.overlap = Overlap(lag_bytes(geometry, unread))
    lanes = 4 if pixels > 2 else 1
    step.scratch["dsp"] = _INT16_BYTES * depth * (1 if kernel == "fully_connected" else lanes)
    vector_depth = depth + -depth % _VECTOR_BYTES
    step.scratch["helium"] = vector_depth * (1 if kernel == "fully_connected" else 4)
    if kernel == "conv":
        step.scratch["helium"] += depth
        step.scratch["dsp"] = _INT16_BYTES * depth * _PIXELS_AT_ONCE["dsp"]
        if (
            geometry["in_channels"] % 4
            or max(geometry["dilation_height"], geometry["dilation_width"]) > 1
        ):
            step.scratch["dsp"] += depth  # a pixel as it lies, before it is widened
        step.scratch["portable"] = depth * _PIXELS_AT_ONCE["portable"]
    step.call(f"hwkd_{kernel}", kernel, f"&{name}, {step.operand(0)}, {{out}}, {{scratch}}")


def _with_weight_zeros(
    step: StepBuilder, op: Conv | FullyConnected, geometry: dict[str, int], weights: Any
) -> None:
    layer = _grouped_layer(step, op, geometry, weights)
    assert op.weight_zeros is not None
    zeros = step.constants.int32(step.symbol("weight_zeros"), op.weight_zeros)
    arguments = f"&{layer}, {zeros}, {step.operand(0)}, {{out}}"
    step.call(OFFSET_CONV, "offset_conv", arguments)


def _grouped(step: StepBuilder, op: Conv, geometry: dict[str, int]) -> None:
    is_depthwise = op.groups == geometry["in_channels"] == geometry["out_channels"]
    weights = blocked_depthwise(op) if is_depthwise else plain_grouped(op)
    if not is_depthwise:
        step.overlap = Overlap(lag_bytes(geometry, unread_pixels=1))
        name = _grouped_layer(step, op, geometry, weights)
        arguments = f"&{name}, {step.operand(0)}, {{out}}"
        step.call("hwkd_grouped_conv", "grouped_conv", arguments)
        return
    lines, geometry = lines_of(geometry)
    if runs_in_place(geometry, lines):
        step.overlap = Overlap(0, is_exact=True)
    name = _grouped_layer(step, op, geometry, weights, lines.ahead)
    taps = op.kernel[0] * op.kernel[1]
    for instruction_set in INSTRUCTION_SETS:
        step.scratch[instruction_set] = _OFFSET_BYTES * taps + lines.size_bytes
    step.scratch["dsp"] += _INT16_BYTES * DEPTHWISE_BLOCK * taps
    arguments = f"&{name}, {step.operand(0)}, {{out}}, {{scratch}}"
    step.call("hwkd_depthwise", "depthwise", arguments)


def _grouped_layer(
    step: StepBuilder,
    op: Weighted,
    geometry: dict[str, int],
    weights: Any,
    ahead: int = -1,
) -> str:
    """Define the description of a convolution with groups; `ahead` is of a depthwise one."""
    groups = op.groups if isinstance(op, Conv) else 1
    last_block = -groups % DEPTHWISE_BLOCK if ahead >= 0 else 0
    layer = struct(
        weights=step.constants.int8(step.symbol("weights"), weights),
        channels=step.channels(op, int(op.weights[0].size), repeated=last_block),
        **geometry,
        groups=groups,
        ahead=max(ahead, 0),
        in_zero=step.tensor(op.inputs[0]).zero_point,
        out_zero=step.tensor(op.output).zero_point,
    )
    return step.constants.struct("hwkd_grouped_conv", step.symbol("layer"), layer)
