"""Turns arranged operators into steps: the constants, the kernel call and the memory of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hwkd.core.c_literal import float_literal
from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.arena import Overlap
from hwkd.deploy.to_c.c_text import Constants, Known, struct
from hwkd.deploy.to_c.layout import Arranged, as_matrices, as_rows, as_vectors, strides_of
from hwkd.deploy.to_c.overlap import lag_bytes
from hwkd.deploy.to_c.step_builder import LAYER_NORM, LOOKUP, RESIZE, CStep, Kernels, StepBuilder
from hwkd.deploy.to_c.weighted_steps import (
    conv_step,
    fully_connected_step,
    transposed_conv_step,
)
from hwkd.qgraph.ir import (
    Binary,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    FullyConnected,
    Keep,
    LayerNorm,
    Lookup,
    MatMul,
    Pad,
    Paste,
    Pool,
    Relayout,
    ResizeLinear,
    RunningMean,
    Slice,
    Softmax,
    Table,
    Taps,
    Upsample,
)
from hwkd.qgraph.requantise import (
    Rounding,
    pool_rows,
    sum_fields,
)


def build_steps(
    arranged: Arranged, rounding: Rounding, kernels: Kernels = "hwkd"
) -> tuple[CStep, ...]:
    """Return the steps of a graph in execution order.

    Args:
        kernels: whose convolutions and fully connected layers to call.

    Raises:
        ExportError: if a scale or a copy is outside what the kernels can do.
    """
    if kernels == "cmsis-nn" and rounding == "float":
        raise ExportError(
            "rounding `float` with CMSIS-NN, which has fixed-point kernels; give q31 or tflite"
        )
    known: Known = {}
    return tuple(
        _step(StepBuilder(arranged, rounding, kernels, index, Constants(known)))
        for index in range(len(arranged.graph.ops))
    )


def _step(step: StepBuilder) -> CStep:
    op = step.op
    _BUILD[type(op)](step, op)
    low, high = getattr(op, "output_range", (-128, 127))
    if (low, high) != (-128, 127):
        elements = step.tensor(op.output).elements
        step.call("hwkd_elementwise", "limits", f"{low}, {high}, {elements}, {{out}}")
    return step.finished()


def _matmul(step: StepBuilder, op: MatMul) -> None:
    tensors = [step.tensor(name) for name in (*op.inputs, op.output)]
    places = [as_matrices(step.arranged.places[tensor.name]) for tensor in tensors]
    strides = [strides_of(item) for item in places]
    assert all(item is not None for item in strides)
    (batch, rows, depth), columns = places[0].shape, places[1].shape[2]
    fields: dict[str, int | str] = {
        "batch": batch, "rows": rows, "depth": depth, "columns": columns,
    }  # fmt: skip
    names = (
        ("a_batch", "a_row", "a_depth"),
        ("b_batch", "b_depth", "b_column"),
        ("c_batch", "c_row", "c_column"),
    )
    for group, steps in zip(names, strides, strict=True):
        fields.update(zip(group, steps or (), strict=True))
    fields["scale"] = f"{{{step.product(tensors, depth)}}}"
    for letter, tensor in zip("abc", tensors, strict=True):
        fields[f"{letter}_zero"] = tensor.zero_point
    name = step.constants.struct("hwkd_matmul", step.symbol("layer"), struct(**fields))
    arguments = f"&{name}, {step.operand(0)}, {step.operand(1)}, {{out}}"
    step.call("hwkd_matmul", "matmul", arguments)


def _binary(step: StepBuilder, op: Binary) -> None:
    whole, other = (step.tensor(name) for name in op.inputs)
    target = step.tensor(op.output)
    if other.elements == 1 and whole.elements > 1:
        raise ExportError(
            f"node {op.name!r}: operand {other.name!r} is one value computed at run time for "
            f"{whole.elements} of {target.name!r}; only one value for each channel is supported"
        )
    fields: dict[str, int | str] = {"elements": whole.elements, "channels": other.elements}
    if op.kind == "add":
        fields["sum"] = f"{{{sum_fields(whole, other, target, step.rounding)}}}"
    else:
        fields["scale"] = f"{{{step.product((whole, other, target), 1)}}}"
        fields.update(a_zero=whole.zero_point, b_zero=other.zero_point, out_zero=target.zero_point)
    name = step.constants.struct(f"hwkd_{op.kind}", step.symbol("layer"), struct(**fields))
    arguments = f"&{name}, {step.operand(0)}, {step.operand(1)}, {{out}}"
    step.call("hwkd_elementwise", op.kind, arguments)
    same = tuple(item.name for item in (whole, other) if item.elements == target.elements)
    step.may_overwrite = same


def _pool(step: StepBuilder, op: Pool) -> None:
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    rows, first_count = pool_rows(op, source, target, step.rounding)
    scales = step.channel_array("scales", rows) if rows else "0"
    geometry = {
        "in_height": source.shape[2], "in_width": source.shape[3],
        "out_height": target.shape[2], "out_width": target.shape[3],
        "kernel_height": op.kernel[0], "kernel_width": op.kernel[1],
        "stride_height": op.stride[0], "stride_width": op.stride[1],
        "pad_top": op.pads[0], "pad_left": op.pads[1],
    }  # fmt: skip
    channels = source.shape[1]
    if op.kind != "global_average":
        sizes = {**geometry, "in_channels": channels, "out_channels": channels}
        step.overlap = Overlap(lag_bytes(sizes, unread_pixels=1))
    layer = struct(
        **geometry,
        channels=channels,
        counts_pads=int(op.counts_pads),
        scales=scales,
        first_count=first_count,
        in_zero=source.zero_point,
        out_zero=target.zero_point,
    )
    name = step.constants.struct("hwkd_pool", step.symbol("layer"), layer)
    function = "global_average" if op.kind == "global_average" else f"{op.kind}_pool"
    step.call("hwkd_pool", function, f"&{name}, {step.operand(0)}, {{out}}")
    if op.table is not None:
        values = step.table_values(op.table, source.name, target.name)
        table = step.constants.int8(step.symbol("table"), values)
        step.call("hwkd_elementwise", "table", f"{table}, {target.elements}, {{out}}, {{out}}")


def _keep(step: StepBuilder, op: Keep) -> None:
    _, channels, _, columns = step.tensor(op.output).shape
    kept, dropped = (channels * count for count in (columns - op.dropped, op.dropped))
    step.call("hwkd_stream", "keep", f"{{out}}, {kept}, {dropped}")
    step.is_partial = True


def _running_mean(step: StepBuilder, op: RunningMean) -> None:
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    rows, _ = pool_rows(op.mean, source, target, step.rounding)
    layer = struct(
        channels=source.shape[1],
        columns=source.shape[3],
        window=op.mean.kernel[1],
        scale=f"{{{rows[0]}}}",
        in_zero=source.zero_point,
        out_zero=target.zero_point,
    )
    name = step.constants.struct("hwkd_running_mean", step.symbol("layer"), layer)
    arguments = f"&{name}, {step.operand(0)}, {{out}}, {step.operand(1)}"
    step.call("hwkd_stream", "running_mean", arguments)


def _softmax(step: StepBuilder, op: Softmax) -> None:
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    vectors = as_vectors(step.arranged.places[source.name], op.axis)
    strides = strides_of(vectors)
    assert strides is not None
    layer = struct(
        outer=vectors.shape[0],
        outer_stride=strides[0],
        length=vectors.shape[1],
        stride=strides[1],
        exponentials=step.constants.floats(
            step.symbol("exponentials"), _exponentials(source.scale, vectors.shape[1])
        ),
        out_steps=float_literal(np.floor(np.float32(1) / target.scale)),
        out_zero=target.zero_point,
    )
    name = step.constants.struct("hwkd_softmax", step.symbol("layer"), layer)
    step.call("hwkd_softmax", "softmax", f"&{name}, {step.operand(0)}, {{out}}")
    step.may_overwrite = (source.name,)


def _layer_norm(step: StepBuilder, op: LayerNorm) -> None:
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    rows = as_rows(step.arranged.places[source.name], op.axis)
    strides = strides_of(rows)
    assert strides is not None
    (count, length), epsilon = rows.shape, np.float64(op.epsilon) / np.float64(source.scale) ** 2
    per_step = np.float64(1) / np.float64(target.scale)
    scales = (op.scales * per_step).astype(np.float32)
    shifts = (op.shifts * per_step).astype(np.float32)
    layer = struct(
        rows=count,
        row_stride=strides[0],
        length=length,
        stride=strides[1],
        scales=step.constants.floats(step.symbol("scales"), scales),
        shifts=step.constants.floats(step.symbol("shifts"), shifts),
        epsilon=float_literal(np.float32(epsilon * length * length)),
        out_zero=target.zero_point,
    )
    name = step.constants.struct("hwkd_layer_norm", step.symbol("layer"), layer)
    step.call(LAYER_NORM, "layer_norm", f"&{name}, {step.operand(0)}, {{out}}")
    step.may_overwrite = (source.name,)


def _lookup(step: StepBuilder, op: Lookup) -> None:
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    features = target.shape[-1]
    layer = struct(
        rows=step.constants.int8(step.symbol("rows"), op.rows.reshape(-1)),
        features=features,
        places=target.elements // features,
        digits=source.shape[-1],
        bits=op.base.bit_length() - 1,
        in_zero=source.zero_point,
    )
    name = step.constants.struct("hwkd_lookup", step.symbol("layer"), layer)
    step.call(LOOKUP, "lookup", f"&{name}, {step.operand(0)}, {{out}}")


def _table(step: StepBuilder, op: Table) -> None:
    values = step.table_values(op.table, op.inputs[0], op.output)
    table = step.constants.int8(step.symbol("table"), values)
    elements = step.tensor(op.output).elements
    arguments = f"{table}, {elements}, {step.operand(0)}, {{out}}"
    step.call("hwkd_elementwise", "table", arguments)
    step.may_overwrite = (op.inputs[0],)


def _concat(step: StepBuilder, op: Concat) -> None:
    start = 0
    for position, (name, table) in enumerate(zip(op.inputs, op.tables, strict=True)):
        size = step.tensor(name).shape[op.axis]
        region: list[slice] = [slice(None)] * len(step.tensor(name).shape)
        region[op.axis] = slice(start, start + size)
        if table is not None:
            table = step.table_values(table, name, op.output)
        step.copy(position, target=tuple(region), table=table)
        start += size


def _pad(step: StepBuilder, op: Pad) -> None:
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    step.call("hwkd_elementwise", "fill", f"{op.value}, {target.elements}, {{out}}")
    region = tuple(
        slice(before, before + size) for before, size in zip(op.before, source.shape, strict=True)
    )
    step.copy(0, target=region)


def _upsample(step: StepBuilder, op: Upsample) -> None:
    sizes = zip(step.tensor(op.inputs[0]).shape, op.factors, strict=True)
    read = np.ix_(*(np.repeat(np.arange(size), factor) for size, factor in sizes))
    table = op.table
    if table is not None:
        table = step.table_values(table, op.inputs[0], op.output)
    step.copy(0, source=read, table=table)


def _resize(step: StepBuilder, op: ResizeLinear) -> None:
    source, target = step.tensor(op.inputs[0]), step.tensor(op.output)
    channels, width = source.shape[1], source.shape[3]
    layer = struct(
        rows=_taps(step, "rows", op.rows, width * channels),
        columns=_taps(step, "columns", op.columns, channels),
        out_height=target.shape[2],
        out_width=target.shape[3],
        channels=channels,
        in_scale=float_literal(source.scale),
        out_scale=float_literal(target.scale),
        in_zero=source.zero_point,
        out_zero=target.zero_point,
    )
    name = step.constants.struct("hwkd_resize", step.symbol("layer"), layer)
    step.call(RESIZE, "resize", f"&{name}, {step.operand(0)}, {{out}}")
    if op.table is not None and step.rounding == "tflite":
        values = step.table_values(op.table, source.name, target.name)
        table = step.constants.int8(step.symbol("table"), values)
        step.call("hwkd_elementwise", "table", f"{table}, {target.elements}, {{out}}, {{out}}")


def _taps(step: StepBuilder, kind: str, taps: Taps, stride: int) -> str:
    """Define what the rows or columns of a resized map read; return the name."""
    if step.rounding != "tflite":
        places = zip(taps.low, taps.high, taps.low_weights, taps.high_weights, strict=True)
        rows = [
            f"{low * stride}, {high * stride}, {float_literal(of_low)}, {float_literal(of_high)}"
            for low, high, of_low, of_high in places
        ]
        return step.constants.structs("hwkd_taps", step.symbol(kind), rows, row_bytes=16)
    rows = [f"{low * stride}, {high * stride}, {weight}" for low, high, weight in taps.fixed]
    return step.constants.structs("hwkd_taps", step.symbol(kind), rows, row_bytes=12)


def _slice(step: StepBuilder, op: Slice) -> None:
    sizes = step.tensor(op.output).shape
    region = tuple(slice(start, start + size) for start, size in zip(op.starts, sizes, strict=True))
    table = op.table
    if table is not None:
        table = step.table_values(table, op.inputs[0], op.output)
    step.copy(0, source=region, table=table)


def _relayout(step: StepBuilder, _: Relayout) -> None:
    step.copy(0)


def _crop(step: StepBuilder, op: Crop) -> None:
    step.copy(0, source=_region(op))


def _paste(step: StepBuilder, op: Paste) -> None:
    step.copy(0, target=_region(op))
    step.is_partial = op != step.last_writer_of(op.output)


def _region(op: Crop | Paste) -> tuple[slice, ...]:
    return slice(None), slice(None), slice(*op.rows), slice(*op.columns)


def _exponentials(scale: np.float32, length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return exp(scale * (i - 255)) for 0..255, as large as a float32 sum of `length` allows.

    The factor is the one of ONNX Runtime's QLinearSoftmax, so that its roundings are met as well.
    """
    headroom = np.log(np.float64(np.float32(np.finfo(np.float32).max) / np.float32(length))) - 5.0
    shift = max(0.0, float(headroom)) / float(scale)
    steps = np.arange(256, dtype=np.float64) - 255.0
    return np.asarray(np.exp((steps + shift) * float(scale)), dtype=np.float32)


_BUILD: dict[type, Callable[[StepBuilder, Any], None]] = {
    Conv: conv_step,
    FullyConnected: fully_connected_step,
    MatMul: _matmul,
    Binary: _binary,
    Pool: _pool,
    Softmax: _softmax,
    Table: _table,
    Concat: _concat,
    Pad: _pad,
    ConvTranspose: transposed_conv_step,
    ResizeLinear: _resize,
    Upsample: _upsample,
    Slice: _slice,
    Lookup: _lookup,
    LayerNorm: _layer_norm,
    Relayout: _relayout,
    Crop: _crop,
    Paste: _paste,
    Keep: _keep,
    RunningMean: _running_mean,
}
