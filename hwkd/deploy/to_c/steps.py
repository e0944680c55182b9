"""Turns arranged operators into steps: the constants, the kernel call and the memory of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from hwkd.core.c_literal import float_literal
from hwkd.core.core_file import InstructionSet
from hwkd.core.errors import ExportError
from hwkd.deploy.to_c.c_text import Constants, struct
from hwkd.deploy.to_c.cmsis_nn import cmsis_fields, cmsis_scratch_bytes, takes_cmsis
from hwkd.deploy.to_c.layout import Arranged, as_matrices, as_vectors, loop_nest, strides_of
from hwkd.deploy.to_c.overlap import lag_bytes
from hwkd.deploy.to_c.pack import (
    blocked_depthwise,
    folded_bias,
    packed_dense,
    plain_grouped,
    rows_of_inputs,
)
from hwkd.qgraph.ir import (
    Binary,
    Concat,
    Conv,
    FullyConnected,
    MatMul,
    Pad,
    Pool,
    QuantOp,
    QuantTensor,
    Relayout,
    Softmax,
    Table,
    op_macs,
)
from hwkd.qgraph.requantise import (
    Rounding,
    accumulator_scales,
    channel_fields,
    pool_rows,
    product_fields,
    sum_fields,
)
from hwkd.qgraph.tflite_rounding import table_form

__all__ = [
    "INSTRUCTION_SETS",
    "KERNELS",
    "OFFSET_CONV",
    "CStep",
    "InstructionSet",
    "Kernels",
    "build_steps",
]

INSTRUCTION_SETS: tuple[InstructionSet, ...] = ("portable", "dsp", "helium")
Kernels: TypeAlias = Literal["hwkd", "cmsis-nn"]
KERNELS: tuple[Kernels, ...] = ("hwkd", "cmsis-nn")

# Has a header of its own: few networks need it, and the others' files stay as they are.
OFFSET_CONV = "hwkd_offset_conv"
_INT16_BYTES = 2
_PIXELS_AT_ONCE = {"portable": 2, "dsp": 4}
_OFFSET_BYTES = 4
_VECTOR_BYTES = 16
# Helium reads weights 32 bytes at a time; a channel pair is a multiple of 8 bytes long.
_WEIGHT_SLACK_BYTES = 24
# sizeof(hwkd_channel)
_CHANNEL_BYTES: dict[Rounding, int] = {"float": 8, "q31": 12, "tflite": 12}
_COPY_LOOPS = 5
# An int8 product is at most 128 * 255 with the zero point taken out, or both factors' so.
_LARGEST_PRODUCT, _LARGEST_OFFSET_PRODUCT = 128 * 255, 255 * 255


@dataclass(frozen=True, kw_only=True)
class CStep:
    """One operator as C.

    Attributes:
        name: of the ONNX node.
        kind: operator class, for people.
        constants: definitions that go before the code.
        calls: C statements with the fields {in0}, {in1}, ... of `inputs`, {out} and {scratch}.
        kernels: source files needed, without suffix.
        inputs: tensors in the arena that it reads.
        output: tensor that it writes.
        scratch_bytes: working memory for each instruction set.
        may_overwrite: inputs whose place the output may take.
        lag_bytes: the output may lie over the first input when it begins so far below it; None
            where the two must lie apart.
        macs: multiply-accumulates.
    """

    name: str
    kind: str
    constants: Constants
    calls: tuple[str, ...]
    kernels: frozenset[str]
    inputs: tuple[str, ...]
    output: str
    scratch_bytes: dict[InstructionSet, int]
    may_overwrite: tuple[str, ...] = ()
    lag_bytes: int | None = None
    macs: int = 0


def build_steps(
    arranged: Arranged, rounding: Rounding, kernels: Kernels = "hwkd"
) -> tuple[CStep, ...]:
    """Return the steps of a graph in execution order.

    Args:
        arranged: the graph with places for its tensors.
        rounding: of accumulators.
        kernels: whose convolutions and fully connected layers to call.

    Raises:
        ExportError: if a scale or a copy is outside what the kernels can do.
    """
    if kernels == "cmsis-nn" and rounding == "float":
        raise ExportError(
            "rounding `float` with CMSIS-NN, which has fixed-point kernels; give q31 or tflite"
        )
    return tuple(
        _Builder(arranged, rounding, kernels, index, op).step()
        for index, op in enumerate(arranged.graph.ops)
    )


class _Builder:
    """Builds one step; used once."""

    def __init__(
        self, arranged: Arranged, rounding: Rounding, kernels: Kernels, index: int, op: QuantOp
    ) -> None:
        self._arranged = arranged
        self._rounding = rounding
        self._library = kernels
        self._index = index
        self._op = op
        self._constants = Constants()
        self._calls: list[str] = []
        self._kernels: set[str] = set()
        self._scratch: dict[InstructionSet, int] = {}
        self._may_overwrite: tuple[str, ...] = ()
        self._lag_bytes: int | None = None

    def step(self) -> CStep:
        build: dict[type, Callable[[Any], None]] = {
            Conv: self._conv,
            FullyConnected: self._fully_connected,
            MatMul: self._matmul,
            Binary: self._binary,
            Pool: self._pool,
            Softmax: self._softmax,
            Table: self._table,
            Concat: self._concat,
            Pad: self._pad,
            Relayout: self._relayout,
        }
        op = self._op
        build[type(op)](op)
        self._limits(getattr(op, "output_range", (-128, 127)))
        constants = self._arranged.graph.constants
        return CStep(
            name=op.name,
            kind=type(op).__name__,
            constants=self._constants,
            calls=tuple(self._calls),
            kernels=frozenset(self._kernels),
            inputs=tuple(name for name in op.inputs if name not in constants),
            output=op.output,
            scratch_bytes={name: self._scratch_of(name) for name in INSTRUCTION_SETS},
            may_overwrite=self._may_overwrite,
            lag_bytes=self._lag_bytes,
            macs=op_macs(op, self._arranged.graph),
        )

    def _scratch_of(self, name: InstructionSet) -> int:
        """Return working memory; Helium cores run the DSP kernels where they have none."""
        fallback = self._scratch.get("dsp", 0) if name == "helium" else 0
        return self._scratch.get(name, fallback)

    def _tensor(self, name: str) -> QuantTensor:
        return self._arranged.graph.tensors[name]

    def _symbol(self, kind: str) -> str:
        return f"{kind}_{self._index}"

    def _call(self, kernel: str, function: str, arguments: str) -> None:
        self._kernels.add(kernel)
        self._calls.append(f"hwkd_run_{function}({arguments});")

    def _operand(self, position: int) -> str:
        """Return how a call names an operand: a place in the arena or a constant array."""
        constants = self._arranged.graph.constants
        name = self._op.inputs[position]
        values = constants.get(name)
        if values is None:
            # By number: a tensor's name may be anything, also `out`, `scratch` or a brace.
            earlier = sum(other not in constants for other in self._op.inputs[:position])
            return f"{{in{earlier}}}"
        placed = np.empty(values.size, np.int8)
        placed[self._arranged.places[name].reshape(-1)] = values.reshape(-1)
        return self._constants.int8(self._symbol("operand"), placed)

    def _limits(self, limits: tuple[int, int]) -> None:
        if limits == (-128, 127):
            return
        elements = self._tensor(self._op.output).elements
        self._call("hwkd_elementwise", "limits", f"{limits[0]}, {limits[1]}, {elements}, {{out}}")

    def _channels(self, op: Conv | FullyConnected, depth: int) -> str:
        source, target = self._tensor(op.inputs[0]), self._tensor(op.output)
        biases = folded_bias(op, source.zero_point)
        scales = accumulator_scales(op, source, target, self._rounding)
        product = _LARGEST_PRODUCT if op.weight_zeros is None else _LARGEST_OFFSET_PRODUCT
        rows = []
        for bias, raw_bias, scale in zip(biases, op.bias, scales, strict=True):
            largest = depth * product + abs(int(raw_bias))
            fields = channel_fields(scale, self._rounding, largest=largest)
            rows.append(f"{bias}, {fields}")
        return self._channel_array("channels", rows)

    def _channel_array(self, kind: str, rows: Sequence[str]) -> str:
        size = _CHANNEL_BYTES[self._rounding]
        return self._constants.structs("hwkd_channel", self._symbol(kind), rows, row_bytes=size)

    def _conv(self, op: Conv) -> None:
        source, target = self._tensor(op.inputs[0]), self._tensor(op.output)
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
        if self._with_cmsis(op, geometry):
            return
        if op.weight_zeros is not None:
            self._with_weight_zeros(op, geometry, plain_grouped(op))
        elif op.groups == 1:
            self._dense(op, geometry)
        else:
            self._grouped(op, geometry)

    def _with_cmsis(self, op: Conv | FullyConnected, geometry: dict[str, int]) -> bool:
        """Call CMSIS-NN if it was asked for and has a kernel."""
        rows = geometry["out_height"] * geometry["out_width"]
        wrapper = takes_cmsis(op, rows) if self._library == "cmsis-nn" else None
        if wrapper is None:
            return False
        tensors = (self._tensor(op.inputs[0]), self._tensor(op.output))
        places = self._arranged.places[op.inputs[0]]
        fields = cmsis_fields(self._constants, self._index, op, places, tensors, self._rounding)
        scratch = cmsis_scratch_bytes(wrapper, op)
        self._scratch.update((name, scratch[name]) for name in INSTRUCTION_SETS)
        layer = struct(**fields, **geometry, scratch_bytes=max(scratch.values()))
        name = self._constants.struct("hwkd_cmsis_layer", self._symbol("layer"), layer)
        arguments = f"&{name}, {self._operand(0)}, {{out}}, {{scratch}}"
        self._call("hwkd_cmsis_nn", f"cmsis_{wrapper}", arguments)
        return True

    def _dense(self, op: Conv | FullyConnected, geometry: dict[str, int]) -> None:
        rows = rows_of_inputs(op, self._arranged.places[op.inputs[0]])
        inputs = rows.shape[1]
        depth = inputs + -inputs % 4
        layer = struct(
            weights=self._constants.int8(
                self._symbol("weights"), packed_dense(rows), slack_bytes=_WEIGHT_SLACK_BYTES
            ),
            channels=self._channels(op, inputs),
            **geometry,
            depth=depth,
            in_zero=self._tensor(op.inputs[0]).zero_point,
            out_zero=self._tensor(op.output).zero_point,
        )
        name = self._constants.struct("hwkd_conv", self._symbol("layer"), layer)
        pixels = geometry["out_height"] * geometry["out_width"]
        is_pointwise = inputs == geometry["in_channels"] and all(
            geometry[f"stride_{axis}"] == 1 and geometry[f"out_{axis}"] == geometry[f"in_{axis}"]
            for axis in ("height", "width")
        )
        kernel = "pointwise" if is_pointwise else "conv"
        if is_pointwise and pixels == 1:
            kernel = "fully_connected"
        else:
            self._lag_bytes = lag_bytes(geometry)
        lanes = 4 if pixels > 2 else 1
        self._scratch["dsp"] = _INT16_BYTES * depth * (1 if kernel == "fully_connected" else lanes)
        vector_depth = depth + -depth % _VECTOR_BYTES
        self._scratch["helium"] = vector_depth * (1 if kernel == "fully_connected" else 4)
        if kernel == "conv":
            self._scratch["helium"] += depth
            self._scratch["dsp"] = _INT16_BYTES * depth * _PIXELS_AT_ONCE["dsp"] + depth
            self._scratch["portable"] = depth * _PIXELS_AT_ONCE["portable"]
        self._call(f"hwkd_{kernel}", kernel, f"&{name}, {self._operand(0)}, {{out}}, {{scratch}}")

    def _fully_connected(self, op: FullyConnected) -> None:
        source = self._tensor(op.inputs[0])
        outputs, inputs = op.weights.shape
        rows = source.elements // inputs
        geometry = {
            "in_height": 1, "in_width": rows, "in_channels": inputs,
            "out_height": 1, "out_width": rows, "out_channels": outputs,
            "kernel_height": 1, "kernel_width": 1, "stride_height": 1, "stride_width": 1,
            "dilation_height": 1, "dilation_width": 1, "pad_top": 0, "pad_left": 0,
        }  # fmt: skip
        if op.weight_zeros is not None:
            rows_in_place = rows_of_inputs(op, self._arranged.places[op.inputs[0]])
            self._with_weight_zeros(op, geometry, rows_in_place.reshape(-1))
        elif not self._with_cmsis(op, geometry):
            self._dense(op, geometry)

    def _with_weight_zeros(
        self, op: Conv | FullyConnected, geometry: dict[str, int], weights: Any
    ) -> None:
        layer = self._grouped_layer(op, geometry, weights, op.groups if isinstance(op, Conv) else 1)
        assert op.weight_zeros is not None
        zeros = self._constants.int32(self._symbol("weight_zeros"), op.weight_zeros)
        arguments = f"&{layer}, {zeros}, {self._operand(0)}, {{out}}"
        self._call(OFFSET_CONV, "offset_conv", arguments)

    def _grouped(self, op: Conv, geometry: dict[str, int]) -> None:
        is_depthwise = op.groups == geometry["in_channels"] == geometry["out_channels"]
        weights = blocked_depthwise(op) if is_depthwise else plain_grouped(op)
        self._lag_bytes = lag_bytes(geometry)
        name = self._grouped_layer(op, geometry, weights, op.groups)
        if not is_depthwise:
            arguments = f"&{name}, {self._operand(0)}, {{out}}"
            self._call("hwkd_grouped_conv", "grouped_conv", arguments)
            return
        tables = 2 * _OFFSET_BYTES * op.kernel[0] * op.kernel[1]
        padding = op.groups + -op.groups % 4
        self._scratch["portable"] = tables + padding
        self._scratch["helium"] = tables + padding
        self._scratch["dsp"] = tables + padding + _INT16_BYTES * len(weights)
        arguments = f"&{name}, {self._operand(0)}, {{out}}, {{scratch}}"
        self._call("hwkd_depthwise", "depthwise", arguments)

    def _grouped_layer(
        self, op: Conv | FullyConnected, geometry: dict[str, int], weights: Any, groups: int
    ) -> str:
        layer = struct(
            weights=self._constants.int8(self._symbol("weights"), weights),
            channels=self._channels(op, int(op.weights[0].size)),
            **geometry,
            groups=groups,
            in_zero=self._tensor(op.inputs[0]).zero_point,
            out_zero=self._tensor(op.output).zero_point,
        )
        return self._constants.struct("hwkd_grouped_conv", self._symbol("layer"), layer)

    def _product(self, ends: Sequence[QuantTensor], terms: int) -> str:
        """Return the channel of a sum of products of two tensors; its bias is unused."""
        first, second, target = ends
        return product_fields(first, second, target, self._rounding, terms=terms)

    def _matmul(self, op: MatMul) -> None:
        tensors = [self._tensor(name) for name in (*op.inputs, op.output)]
        places = [as_matrices(self._arranged.places[tensor.name]) for tensor in tensors]
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
        fields["scale"] = f"{{{self._product(tensors, depth)}}}"
        for letter, tensor in zip("abc", tensors, strict=True):
            fields[f"{letter}_zero"] = tensor.zero_point
        name = self._constants.struct("hwkd_matmul", self._symbol("layer"), struct(**fields))
        arguments = f"&{name}, {self._operand(0)}, {self._operand(1)}, {{out}}"
        self._call("hwkd_matmul", "matmul", arguments)

    def _binary(self, op: Binary) -> None:
        whole, other = (self._tensor(name) for name in op.inputs)
        target = self._tensor(op.output)
        if other.elements == 1 and whole.elements > 1:
            self._scalar_operand(op, whole, other, target)
            return
        fields: dict[str, int | str] = {"elements": whole.elements, "channels": other.elements}
        if op.kind == "add":
            fields["sum"] = f"{{{sum_fields(whole, other, target, self._rounding)}}}"
        else:
            fields["scale"] = f"{{{self._product((whole, other, target), 1)}}}"
            fields.update(
                a_zero=whole.zero_point, b_zero=other.zero_point, out_zero=target.zero_point
            )
        name = self._constants.struct(f"hwkd_{op.kind}", self._symbol("layer"), struct(**fields))
        arguments = f"&{name}, {self._operand(0)}, {self._operand(1)}, {{out}}"
        self._call("hwkd_elementwise", op.kind, arguments)
        same = tuple(item.name for item in (whole, other) if item.elements == target.elements)
        self._may_overwrite = same

    def _scalar_operand(
        self, op: Binary, whole: QuantTensor, other: QuantTensor, target: QuantTensor
    ) -> None:
        raise ExportError(
            f"node {op.name!r}: operand {other.name!r} is one value computed at run time for "
            f"{whole.elements} of {target.name!r}; only one value for each channel is supported"
        )

    def _pool(self, op: Pool) -> None:
        source, target = self._tensor(op.inputs[0]), self._tensor(op.output)
        rows, first_count = pool_rows(op, source, target, self._rounding)
        scales = self._channel_array("scales", rows) if rows else "0"
        geometry = {
            "in_height": source.shape[2], "in_width": source.shape[3],
            "out_height": target.shape[2], "out_width": target.shape[3],
            "kernel_height": op.kernel[0], "kernel_width": op.kernel[1],
            "stride_height": op.stride[0], "stride_width": op.stride[1],
            "pad_top": op.pads[0], "pad_left": op.pads[1],
        }  # fmt: skip
        channels = source.shape[1]
        if op.kind != "global_average":
            self._lag_bytes = lag_bytes(
                {**geometry, "in_channels": channels, "out_channels": channels}
            )
        layer = struct(
            **geometry,
            channels=channels,
            counts_pads=int(op.counts_pads),
            scales=scales,
            first_count=first_count,
            in_zero=source.zero_point,
            out_zero=target.zero_point,
        )
        name = self._constants.struct("hwkd_pool", self._symbol("layer"), layer)
        function = "global_average" if op.kind == "global_average" else f"{op.kind}_pool"
        self._call("hwkd_pool", function, f"&{name}, {self._operand(0)}, {{out}}")
        if op.table is not None:
            values = self._table_values(op.table, source.name, target.name)
            table = self._constants.int8(self._symbol("table"), values)
            self._call("hwkd_elementwise", "table", f"{table}, {target.elements}, {{out}}, {{out}}")

    def _softmax(self, op: Softmax) -> None:
        source, target = self._tensor(op.inputs[0]), self._tensor(op.output)
        vectors = as_vectors(self._arranged.places[source.name], op.axis)
        strides = strides_of(vectors)
        assert strides is not None
        layer = struct(
            outer=vectors.shape[0],
            outer_stride=strides[0],
            length=vectors.shape[1],
            stride=strides[1],
            exponentials=self._constants.floats(
                self._symbol("exponentials"), _exponentials(source.scale, vectors.shape[1])
            ),
            out_steps=float_literal(np.floor(np.float32(1) / target.scale)),
            out_zero=target.zero_point,
        )
        name = self._constants.struct("hwkd_softmax", self._symbol("layer"), layer)
        self._call("hwkd_softmax", "softmax", f"&{name}, {self._operand(0)}, {{out}}")
        self._may_overwrite = (source.name,)

    def _table(self, op: Table) -> None:
        values = self._table_values(op.table, op.inputs[0], op.output)
        table = self._constants.int8(self._symbol("table"), values)
        elements = self._tensor(op.output).elements
        arguments = f"{table}, {elements}, {self._operand(0)}, {{out}}"
        self._call("hwkd_elementwise", "table", arguments)
        self._may_overwrite = (op.inputs[0],)

    def _table_values(self, table: Any, source: str, target: str) -> Any:
        """Return a table as the rounding's peer computes it."""
        if self._rounding != "tflite":
            return table
        form = table_form(table, self._tensor(source), self._tensor(target))
        return table if form is None else form[1]

    def _concat(self, op: Concat) -> None:
        start = 0
        for position, (name, table) in enumerate(zip(op.inputs, op.tables, strict=True)):
            size = self._tensor(name).shape[op.axis]
            region: list[slice] = [slice(None)] * len(self._tensor(name).shape)
            region[op.axis] = slice(start, start + size)
            if table is not None:
                table = self._table_values(table, name, op.output)
            self._copy(position, tuple(region), table)
            start += size

    def _pad(self, op: Pad) -> None:
        source, target = self._tensor(op.inputs[0]), self._tensor(op.output)
        self._call("hwkd_elementwise", "fill", f"{op.value}, {target.elements}, {{out}}")
        region = tuple(
            slice(before, before + size)
            for before, size in zip(op.before, source.shape, strict=True)
        )
        self._copy(0, region, None)

    def _relayout(self, op: Relayout) -> None:
        self._copy(0, (slice(None),) * len(self._tensor(op.output).shape), None)

    def _copy(self, position: int, region: tuple[slice, ...], table: Any) -> None:
        """Emit a copy of operand `position` to a region of the output."""
        source = self._arranged.places[self._op.inputs[position]]
        target = self._arranged.places[self._op.output][region]
        loops = loop_nest(source, target)
        if loops is None or len(loops) > _COPY_LOOPS:
            raise ExportError(
                f"node {self._op.name!r} ({type(self._op).__name__}): moving shape "
                f"{list(source.shape)} takes more than {_COPY_LOOPS} loops"
            )
        nest = [(1, 0, 0)] * (_COPY_LOOPS - len(loops)) + loops
        values: Sequence[str] = [
            f"{{{', '.join(str(level[field]) for level in nest)}}}" for field in range(3)
        ]
        mapping = "0"
        if table is not None:
            mapping = self._constants.int8(f"{self._symbol('table')}_{position}", table)
        layer = struct(
            counts=values[0],
            in_strides=values[1],
            out_strides=values[2],
            out_offset=int(target.min()),
            table=mapping,
        )
        name = self._constants.struct("hwkd_copy", f"{self._symbol('copy')}_{position}", layer)
        self._call("hwkd_copy", "copy", f"&{name}, {self._operand(position)}, {{out}}")


def _exponentials(scale: np.float32, length: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return exp(scale * (i - 255)) for 0..255, as large as a float32 sum of `length` allows.

    The factor is the one of ONNX Runtime's QLinearSoftmax, so that its roundings are met as well.
    """
    headroom = np.log(np.float64(np.float32(np.finfo(np.float32).max) / np.float32(length))) - 5.0
    shift = max(0.0, float(headroom)) / float(scale)
    steps = np.arange(256, dtype=np.float64) - 255.0
    return np.asarray(np.exp((steps + shift) * float(scale)), dtype=np.float32)
