"""Operators that move and repeat values and compute none: views, borders, stretches, sizes."""

from __future__ import annotations

import numpy as np
import onnx

from hwkd.qgraph.elementwise import rescale_table
from hwkd.qgraph.encodings import dequantised
from hwkd.qgraph.interpolation import convert_linear
from hwkd.qgraph.ir import Concat, Lookup, Pad, QuantOp, Slice, Upsample, View
from hwkd.qgraph.segment import Range, Segment
from hwkd.trace.repeats import REPEATS_ONLY, repeats


def convert_view(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return what gives the same values in the same scale another shape or order.

    Raises:
        ExportError: if it has a form without kernel.
    """
    segment.refuse_limits(node, limits)
    source, target = segment.tensor(node, 0), segment.output
    permutation = None
    if node.op_type == "Transpose":
        axes = range(len(source.shape))
        permutation = tuple(segment.attribute(node, "perm", tuple(reversed(axes))))
    return [
        View(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            permutation=permutation,
        )
    ]


def convert_concat(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return tensors side by side along an axis.

    Raises:
        ExportError: if it has a form without kernel.
    """
    segment.refuse_limits(node, limits)
    sources = [segment.tensor(node, position) for position in range(len(node.input))]
    return [
        Concat(
            name=node.name or node.output[0],
            inputs=tuple(source.name for source in sources),
            output=segment.output.name,
            axis=segment.attribute(node, "axis", 0) % len(segment.output.shape),
            tables=tuple(rescale_table(source, segment.output) for source in sources),
        )
    ]


def convert_pad(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a border of one value.

    Raises:
        ExportError: if it has a form without kernel.
    """
    segment.refuse_limits(node, limits)
    source, target = segment.tensor(node, 0), segment.output
    if segment.attribute(node, "mode", "constant") != "constant":
        raise segment.refuse(node, "only the mode `constant` is supported")
    if rescale_table(source, target) is not None:
        raise segment.refuse(node, "input and output have different scales")
    if node.input[1] not in segment.arrays:
        raise segment.refuse(node, "the sizes are computed at run time; make them constants")
    pads = segment.arrays[node.input[1]].astype(int)
    if (pads < 0).any() or (len(node.input) > 3 and node.input[3]):
        raise segment.refuse(node, "negative pads or a list of axes")
    value = 0.0
    if len(node.input) > 2 and node.input[2]:
        given = segment.scalar(node.input[2])
        if given is None:
            raise segment.refuse(node, "the border's value is not a constant")
        value = float(given)
    step = np.rint(np.float32(value) / target.scale) + target.zero_point
    return [
        Pad(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            before=tuple(int(size) for size in pads[: len(source.shape)]),
            value=int(np.clip(step, -128, 127)),
        )
    ]


def convert_resize(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a map that is made larger by repeated or interpolated values.

    Raises:
        ExportError: if it has a form without kernel.
    """
    segment.refuse_limits(node, limits)
    source, target = segment.tensor(node, 0), segment.output
    attributes = {item.name: segment.attribute(node, item.name, None) for item in node.attribute}
    scales = segment.arrays.get(node.input[2]) if len(node.input) > 2 else None
    factors = repeats(
        attributes, source.shape, target.shape, () if scales is None else scales.tolist()
    )
    if factors is None and attributes.get("mode") == "linear":
        return convert_linear(node, segment, attributes)
    if factors is None:
        raise segment.refuse(node, REPEATS_ONLY)
    return [
        Upsample(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            factors=factors,
            table=rescale_table(source, target),
        )
    ]


def convert_lookup(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return rows of a table that whole numbers name, digit by digit.

    Raises:
        ExportError: if it has a form without kernel.
    """
    segment.refuse_limits(node, limits)
    table, digits = segment.constants.get(node.input[0]), segment.bases.get(node.input[1])
    if table is None or segment.attribute(node, "batch_dims", 0):
        raise segment.refuse(node, "looks up what is no quantised constant")
    source, target = segment.tensor(node, 1), segment.output
    sizes, features = table.values.shape[:-1], table.values.shape[-1]
    if sizes != (digits,) * source.shape[-1]:
        raise segment.refuse(
            node, f"a table of {list(sizes)} rows for {source.shape[-1]} digits; expected a Mod by "
            "one of these before it, all alike"
        )  # fmt: skip
    values = dequantised(table.values, table.encoding)
    steps = np.rint(values / target.scale) + target.zero_point
    return [
        Lookup(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            rows=np.clip(steps, -128, 127).astype(np.int8).reshape(-1, features),
            base=sizes[0],
        )
    ]


def convert_slice(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a stretch of a tensor, in steps of 1.

    Raises:
        ExportError: if it has a form without kernel.
    """
    segment.refuse_limits(node, limits)
    source, target = segment.tensor(node, 0), segment.output
    given = [segment.arrays.get(name) for name in node.input[1:] if name]
    if len(given) < 2 or any(values is None for values in given):
        raise segment.refuse(node, "the sizes are computed at run time; make them constants")
    starts, _, *others = (
        [int(value) for value in values] for values in given if values is not None
    )
    axes = others[0] if others else range(len(starts))
    if any(step != 1 for step in (others[1] if len(others) > 1 else ())):
        raise segment.refuse(node, "takes every second value or fewer; steps of 1 are supported")
    kept = [0] * len(source.shape)
    for start, axis in zip(starts, axes, strict=True):
        size = source.shape[axis]
        kept[axis] = min(max(start + size * (start < 0), 0), size)
    return [
        Slice(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            starts=tuple(kept),
            table=rescale_table(source, target),
        )
    ]
