"""Rewrites a graph so that its first layers run patch by patch.

Each patch is cut out of the input, goes through the layers with its own padding, and its result is
put into the whole output. Halos are computed more than once, so it takes longer; what lies between
the layers is as small as a patch, so it takes less RAM.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from hwkd.core.errors import ExportError
from hwkd.core.patches import Part, Patches, Span, Window, parts, spans
from hwkd.qgraph.foreign_text import fresh_name
from hwkd.qgraph.ir import Conv, Crop, Paste, Pool, QuantGraph, QuantOp, QuantTensor, Table


def patched_graphs(graph: QuantGraph, patches: Patches) -> list[QuantGraph]:
    """Return the graph with 1, 2, ... of its first layers run in patches, where that divides.

    Raises:
        ExportError: if there is none.
    """
    stage = _first_layers(graph)
    sizes = [graph.tensors[op.output].shape[2:] for op in stage]
    found = [
        _patched(graph, stage[: index + 1], patches)
        for index, (height, width) in enumerate(sizes)
        if height % patches.rows == 0 and width % patches.columns == 0
    ]
    if not found:
        seen = ", ".join(dict.fromkeys(f"{height}x{width}" for height, width in sizes))
        raise ExportError(
            f"--patch {patches}: divides none of the outputs of the first layers "
            f"({seen or 'they are no image'}); give rows and columns that do"
        )
    return found


def _first_layers(graph: QuantGraph) -> list[Conv | Pool | Table]:
    """Return the layers behind the input that follow each other and keep an image."""
    readers = Counter(name for op in graph.ops for name in op.inputs)
    found: list[Conv | Pool | Table] = []
    name = graph.input
    for op in graph.ops:
        is_layer = isinstance(op, Conv | Table) or (
            isinstance(op, Pool) and op.kind != "global_average"
        )
        is_image = len(graph.tensors[op.output].shape) == 4
        if not (is_layer and is_image and op.inputs[0] == name and readers[name] == 1):
            break
        if name in graph.outputs.values():
            break
        assert isinstance(op, Conv | Pool | Table)
        found.append(op)
        name = op.output
    return found


def _patched(
    graph: QuantGraph, stage: Sequence[Conv | Pool | Table], patches: Patches
) -> QuantGraph:
    tensors = dict(graph.tensors)
    _, _, height, width = tensors[stage[-1].output].shape
    ops: list[QuantOp] = []
    windows = [[_window(op, graph, axis) for op in stage] for axis in (0, 1)]
    for rows in spans(height, patches.rows):
        for columns in spans(width, patches.columns):
            along = parts(windows[0], rows), parts(windows[1], columns)
            ops += _one_patch(tensors, stage, along, (rows, columns))
    return replace(graph, ops=(*ops, *graph.ops[len(stage) :]), tensors=tensors)


def _window(op: Conv | Pool | Table, graph: QuantGraph, axis: int) -> Window:
    size = graph.tensors[op.inputs[0]].shape[2 + axis]
    if isinstance(op, Table):
        return Window(size=size)
    return Window(
        size=size,
        kernel=op.kernel[axis],
        stride=op.stride[axis],
        dilation=op.dilation[axis] if isinstance(op, Conv) else 1,
        pad=op.pads[axis],
    )


def _one_patch(
    tensors: dict[str, QuantTensor],
    stage: Sequence[Conv | Pool | Table],
    along: tuple[Sequence[Part], Sequence[Part]],
    target: tuple[Span, Span],
) -> Iterator[QuantOp]:
    """Yield the operators of one patch and add its tensors."""
    first = along[0][0].span, along[1][0].span
    source = _tensor(tensors, stage[0].inputs[0], first)
    corner = f"{target[0][0]},{target[1][0]}"
    yield Crop(
        name=f"cut {corner}", inputs=(stage[0].inputs[0],), output=source,
        rows=first[0], columns=first[1],
    )  # fmt: skip
    for index, op in enumerate(stage):
        is_last = index + 1 == len(stage)
        after = target if is_last else (along[0][index + 1].span, along[1][index + 1].span)
        made = _tensor(tensors, op.output, after)
        new = replace(op, name=f"{op.name} {corner}", inputs=(source,), output=made)
        if not isinstance(new, Table):
            down, across = along[0][index], along[1][index]
            pads = (down.pad_before, across.pad_before, down.pad_after, across.pad_after)
            new = replace(new, pads=pads)
        yield new
        source = made
    last = stage[-1].output
    yield Paste(
        name=f"put {corner}", inputs=(source,), output=last, rows=target[0], columns=target[1]
    )


def _tensor(tensors: dict[str, QuantTensor], name: str, part: tuple[Span, Span]) -> str:
    """Add a part of a tensor and return its name."""
    whole = tensors[name]
    (top, bottom), (left, right) = part
    new = fresh_name(f"{name}@{top},{left}", tensors)
    shape = (*whole.shape[:2], bottom - top, right - left)
    tensors[new] = replace(whole, name=new, shape=shape)
    return new
