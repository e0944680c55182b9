"""Pooling and means over axes of ONNX as windows that slide over planes."""

from __future__ import annotations

from math import prod
from typing import Literal, TypeAlias

import onnx

from hwkd.qgraph.elementwise import rescale_table
from hwkd.qgraph.ir import Pool, QuantOp, View
from hwkd.qgraph.segment import Range, Segment

PoolKind: TypeAlias = Literal["max", "average", "global_average"]
_Pads: TypeAlias = tuple[int, int, int, int]


def window_pads(
    node: onnx.NodeProto, segment: Segment, sizes: tuple[int, ...], taps: tuple[int, ...]
) -> _Pads:
    """Return (top, left, bottom, right) of a window over a plane, SAME written out.

    Args:
        node: with the attributes strides, dilations, pads and auto_pad.

    Raises:
        ExportError: if they are negative or no known form.
    """
    how = segment.attribute(node, "auto_pad", "NOTSET")
    if how == "VALID":
        return 0, 0, 0, 0
    if how == "NOTSET":
        pads = tuple(segment.attribute(node, "pads", (0, 0, 0, 0)))
    else:
        strides = segment.attribute(node, "strides", (1, 1))
        dilations = segment.attribute(node, "dilations", (1, 1))
        spans = [
            max((-(-size // stride) - 1) * stride + (tap - 1) * dilation + 1 - size, 0)
            for size, tap, stride, dilation in zip(sizes, taps, strides, dilations, strict=True)
        ]
        small, large = [span // 2 for span in spans], [span - span // 2 for span in spans]
        pads = (*small, *large) if how == "SAME_UPPER" else (*large, *small)
    if len(pads) != 4 or min(pads) < 0:
        raise segment.refuse(node, f"padding {list(pads)}, expected four numbers from 0")
    return int(pads[0]), int(pads[1]), int(pads[2]), int(pads[3])


def convert_pool(
    kind: PoolKind, node: onnx.NodeProto, segment: Segment, limits: Range
) -> list[QuantOp]:
    """Return the pooling of planes, shape [1, channels, height, width].

    Raises:
        ExportError: if the window has a form without kernel.
    """
    source, target = segment.tensor(node, 0), segment.output
    if len(source.shape) != 4:
        raise segment.refuse(node, f"input of {len(source.shape)} axes; 3 and 4 are supported")
    if segment.attribute(node, "ceil_mode", 0) or any(
        step != 1 for step in segment.attribute(node, "dilations", ())
    ):
        raise segment.refuse(node, "ceil_mode or dilations")
    is_global = kind == "global_average"
    kernel = tuple(segment.attribute(node, "kernel_shape", source.shape[2:]))
    pads = (0, 0, 0, 0) if is_global else window_pads(node, segment, source.shape[2:], kernel)
    down, across = segment.attribute(node, "strides", (1, 1))
    return [
        Pool(
            name=node.name or node.output[0],
            inputs=(source.name,),
            output=target.name,
            kind=kind,
            kernel=(int(kernel[0]), int(kernel[1])),
            stride=(int(down), int(across)),
            pads=pads,
            counts_pads=bool(segment.attribute(node, "count_include_pad", 0)),
            output_range=limits,
            table=rescale_table(source, target) if kind == "max" else None,
        )
    ]


def convert_mean(node: onnx.NodeProto, segment: Segment, limits: Range) -> list[QuantOp]:
    """Return a mean over any axes as the average of whole planes, one for each element kept.

    Raises:
        ExportError: if the axes are computed at run time.
    """
    source, target = segment.tensor(node, 0), segment.output
    rank = len(source.shape)
    reduced = _reduced_axes(node, segment, rank)
    if not reduced:
        raise segment.refuse(node, "a mean over no axis; leave it out")
    name = node.name or node.output[0]
    ops: list[QuantOp] = []
    plane = source
    if rank != 4 or reduced != (2, 3):
        kept = tuple(axis for axis in range(rank) if axis not in reduced)
        permutation = (*kept, *reduced)
        if permutation != tuple(range(rank)):
            moved = segment.new_tensor("moved", source, tuple(source.shape[i] for i in permutation))
            ops.append(
                View(
                    name=f"{name}_moved", inputs=(source.name,), output=moved.name,
                    permutation=permutation,
                )
            )  # fmt: skip
            plane = moved
        flat = (
            1, prod(source.shape[i] for i in kept), 1, prod(source.shape[i] for i in reduced)
        )  # fmt: skip
        shaped = segment.new_tensor("plane", source, flat)
        ops.append(View(name=f"{name}_plane", inputs=(plane.name,), output=shaped.name))
        plane = shaped
    means = target
    if target.shape != (1, plane.shape[1], 1, 1):
        means = segment.new_tensor("means", target, (1, plane.shape[1], 1, 1))
    ops.append(
        Pool(
            name=name, inputs=(plane.name,), output=means.name, kind="global_average",
            kernel=(plane.shape[2], plane.shape[3]), stride=(1, 1), pads=(0, 0, 0, 0),
            output_range=limits,
        )
    )  # fmt: skip
    if means is not target:
        ops.append(View(name=f"{name}_shape", inputs=(means.name,), output=target.name))
    return ops


def _reduced_axes(node: onnx.NodeProto, segment: Segment, rank: int) -> tuple[int, ...]:
    """Return the axes in order, counted from 0; all of them where the file names none."""
    axes = segment.attribute(node, "axes", None)
    if len(node.input) > 1 and node.input[1]:
        if node.input[1] not in segment.arrays:
            raise segment.refuse(node, "its axes are computed at run time; make them constants")
        axes = segment.arrays[node.input[1]].reshape(-1)
    if axes is None or len(axes) == 0:
        return () if segment.attribute(node, "noop_with_empty_axes", 0) else tuple(range(rank))
    return tuple(sorted({int(axis) % rank for axis in axes}))
