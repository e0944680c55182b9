"""Decides where each element of each tensor lies, so that as little as possible is moved.

`places[name]` has the tensor's logical shape; its values are offsets in memory. A reshape or a
transpose is then the same reshape or transpose of the offsets and costs nothing at run time.
Convolutions want channels last; what an operator cannot read as it lies is copied by a `Relayout`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from hwkd.qgraph.foreign_text import fresh_name
from hwkd.qgraph.ir import (
    Binary,
    Conv,
    ConvTranspose,
    Crop,
    FullyConnected,
    LayerNorm,
    Lookup,
    MatMul,
    Paste,
    Pool,
    QuantGraph,
    QuantOp,
    QuantTensor,
    Relayout,
    ResizeLinear,
    Softmax,
    Table,
    View,
)

Places: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]

# Nested loops of the kernel that copies.
COPY_LOOPS = 5


@dataclass(frozen=True, kw_only=True)
class Arranged:
    """A graph whose tensors have addresses inside their buffers.

    Attributes:
        graph: with copies put in and views taken out.
        places: tensor -> offset of every element.
        buffer_of: tensor -> tensor whose buffer it lies in; a view lies in its source's.
        begins: tensor -> its first byte there, where that is another than the buffer's.
        kept: buffers that hold from one run to the next what they held.
    """

    graph: QuantGraph
    places: Mapping[str, Places]
    buffer_of: Mapping[str, str]
    begins: Mapping[str, int] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()


def row_major(shape: tuple[int, ...]) -> Places:
    """Return offsets in the order of the logical indices."""
    return np.arange(int(np.prod(shape))).reshape(shape)


def channels_last(shape: tuple[int, ...]) -> Places:
    """Return offsets with axis 1 fastest: NHWC for [1, C, H, W]; row-major below three axes."""
    if len(shape) < 3:
        return row_major(shape)
    moved = (shape[0], *shape[2:], shape[1])
    return np.moveaxis(row_major(moved), -1, 1)


def strides_of(places: Places) -> tuple[int, ...] | None:
    """Return the offset step of each axis, None if some axis has no constant step or offset."""
    strides = []
    for axis, size in enumerate(places.shape):
        line = places[tuple(slice(None) if i == axis else 0 for i in range(places.ndim))]
        strides.append(int(line[1] - line[0]) if size > 1 else 0)
    expected = np.zeros((), dtype=np.intp)
    for size, stride in zip(places.shape, strides, strict=True):
        expected = np.add.outer(expected, np.arange(size) * stride)
    return tuple(strides) if np.array_equal(expected, places) else None


def loop_nest(source: Places, target: Places) -> list[tuple[int, int, int]] | None:
    """Write a copy as nested loops.

    Args:
        source: offsets to read, any shape.

    Returns:
        (count, source step, target step), outermost first; None if it is not a regular nest.
    """
    order = np.argsort(target, axis=None)
    steps = np.stack([source.reshape(-1)[order], target.reshape(-1)[order]], axis=1)
    loops: list[tuple[int, int, int]] = []
    while len(steps) > 1:
        step = steps[1] - steps[0]
        breaks = np.nonzero((np.diff(steps, axis=0) != step).any(axis=1))[0]
        count = int(breaks[0]) + 1 if breaks.size else len(steps)
        if len(steps) % count:
            return None
        blocks = steps.reshape(-1, count, 2)
        if (np.diff(blocks, axis=1) != step).any():
            return None
        loops.append((count, int(step[0]), int(step[1])))
        steps = blocks[:, 0]
    return loops[::-1]


def arrange(graph: QuantGraph) -> Arranged:
    """Choose an arrangement for every tensor and put in the copies that it takes.

    Raises:
        ExportError: if an operator's operand cannot be arranged for its kernel.
    """
    return _Arranger(graph).run()


def _wishes(graph: QuantGraph) -> dict[str, Places]:
    """Return, from back to front, how consumers would like tensors to lie."""
    wishes: dict[str, Places] = {}
    for op in reversed(graph.ops):
        source = graph.tensors[op.inputs[0]]
        wish = wishes.get(op.output)
        if isinstance(op, Conv | ConvTranspose | ResizeLinear | Pool | Crop | Paste):
            wish = channels_last(source.shape)
        elif isinstance(op, View) and wish is not None:
            wish = _undo(op, wish, source)
        elif not isinstance(op, Table | Binary | Softmax | LayerNorm):
            wish = None
        if wish is not None:
            wishes.setdefault(source.name, wish)
            if isinstance(op, Binary) and graph.tensors[op.inputs[1]].shape == source.shape:
                wishes.setdefault(op.inputs[1], wish)
    return wishes


def _undo(op: View, places: Places, source: QuantTensor) -> Places:
    if op.permutation is None:
        return places.reshape(source.shape)
    return places.transpose(np.argsort(op.permutation))


class _Arranger:
    def __init__(self, graph: QuantGraph) -> None:
        self._graph = graph
        self._wishes = _wishes(graph)
        self._tensors = dict(graph.tensors)
        self._places: dict[str, Places] = {}
        self._buffer_of: dict[str, str] = {}
        self._ops: list[QuantOp] = []

    def run(self) -> Arranged:
        source = self._tensors[self._graph.input]
        self._put(source.name, self._wishes.get(source.name, channels_last(source.shape)))
        for name in self._graph.constants:
            shape = self._tensors[name].shape
            self._put(name, self._wishes.get(name, channels_last(shape)))
        for op in self._graph.ops:
            if isinstance(op, View):
                self._view(op)
            else:
                placed = self._placed(op)
                self._ops.append(placed)
        outputs = {file: self._readable(name) for file, name in self._graph.outputs.items()}
        graph = replace(self._graph, ops=tuple(self._ops), tensors=self._tensors, outputs=outputs)
        return Arranged(graph=graph, places=self._places, buffer_of=self._buffer_of)

    def _put(self, name: str, places: Places) -> None:
        self._places[name] = places
        self._buffer_of[name] = name

    def _view(self, op: View) -> None:
        places = self._places[op.inputs[0]]
        shape = self._tensors[op.output].shape
        moved = (
            places.reshape(shape) if op.permutation is None else places.transpose(op.permutation)
        )
        self._places[op.output] = moved
        self._buffer_of[op.output] = self._buffer_of[op.inputs[0]]

    def _placed(self, op: QuantOp) -> QuantOp:
        """Return the operator with inputs that lie right; gives its output a place."""
        shape = self._tensors[op.output].shape
        if isinstance(op, Conv | ConvTranspose | ResizeLinear | Pool):
            op = self._reading(op, 0, channels_last(self._tensors[op.inputs[0]].shape))
            self._put(op.output, channels_last(shape))
        elif isinstance(op, FullyConnected):
            if self._tensors[op.inputs[0]].elements != op.weights.shape[1]:
                op = self._reading(op, 0, row_major(self._tensors[op.inputs[0]].shape))
            self._put(op.output, row_major(shape))
        elif isinstance(op, Lookup):
            op = self._reading(op, 0, row_major(self._tensors[op.inputs[0]].shape))
            self._put(op.output, row_major(shape))
        elif isinstance(op, MatMul):
            op = self._with_strides(op)
        elif isinstance(op, Binary):
            op = self._binary(op)
        elif isinstance(op, Softmax):
            op = self._softmax(op)
        elif isinstance(op, LayerNorm):
            if strides_of(as_rows(self._places[op.inputs[0]], op.axis)) is None:
                op = self._reading(op, 0, row_major(shape))
            self._put(op.output, self._places[op.inputs[0]])
        elif isinstance(op, Table):
            self._put(op.output, self._places[op.inputs[0]])
        elif not (isinstance(op, Paste) and op.output in self._places):
            self._put(op.output, self._wishes.get(op.output, channels_last(shape)))
        return op

    def _reading(self, op: Any, position: int, wanted: Places) -> Any:
        """Return the operator reading operand `position` arranged as `wanted`."""
        name = op.inputs[position]
        if np.array_equal(self._places[name], wanted):
            return op
        if name in self._graph.constants and name not in self._wishes:
            self._places[name] = wanted
            return op
        copy = fresh_name(f"{name}@{len(self._ops)}", self._tensors)
        self._tensors[copy] = replace(self._tensors[name], name=copy)
        self._ops.append(Relayout(name=f"{op.name}_relayout", inputs=(name,), output=copy))
        self._put(copy, wanted)
        inputs = (*op.inputs[:position], copy, *op.inputs[position + 1 :])
        return replace(op, inputs=inputs)

    def _with_strides(self, op: MatMul) -> MatMul:
        for position, name in enumerate(op.inputs):
            if strides_of(as_matrices(self._places[name])) is None:
                op = self._reading(op, position, _as_matrices_by_copy(self._places[name]))
        shape = self._tensors[op.output].shape
        wish = self._wishes.get(op.output)
        if wish is None or strides_of(as_matrices(wish)) is None:
            wish = row_major(shape)
        self._put(op.output, wish)
        return op

    def _binary(self, op: Binary) -> Binary:
        whole, other = (self._tensors[name] for name in op.inputs)
        if other.shape == whole.shape:
            op = self._reading(op, 1, self._places[whole.name])
        elif other.elements > 1:
            op = self._reading(op, 0, channels_last(whole.shape))
            is_row = len(other.shape) == len(whole.shape) == 4
            op = self._reading(op, 1, (channels_last if is_row else row_major)(other.shape))
        self._put(op.output, self._places[op.inputs[0]])
        return op

    def _softmax(self, op: Softmax) -> Softmax:
        name = op.inputs[0]
        if strides_of(as_vectors(self._places[name], op.axis)) is None:
            op = self._reading(op, 0, _with_last(op.axis, self._tensors[name].shape))
        self._put(op.output, self._places[op.inputs[0]])
        return op

    def _readable(self, name: str) -> str:
        """Return an output, copied to an order that a firmware can name where it is in none."""
        shape = self._tensors[name].shape
        places = self._places[name]
        if any(
            np.array_equal(places, wanted) for wanted in (row_major(shape), channels_last(shape))
        ):
            return name
        label = "output" if len(self._graph.outputs) == 1 else f"output_{name}"
        op = self._reading(Relayout(name=label, inputs=(name,), output=""), 0, row_major(shape))
        return str(op.inputs[0])


def _with_last(axis: int, shape: tuple[int, ...]) -> Places:
    """Return offsets in the order of the logical indices, but for one axis that is fastest."""
    moved = (*shape[:axis], *shape[axis + 1 :], shape[axis])
    return np.moveaxis(row_major(moved), -1, axis)


def _as_matrices_by_copy(places: Places) -> Places:
    """Return where one copy can put matrices: rows after rows, or columns where that nests less.

    Windows of several heads are cut out of channels, which one loop passes only in their order.
    """
    rows = row_major(places.shape)
    loops = loop_nest(places, rows)
    if loops is not None and len(loops) <= COPY_LOOPS:
        return rows
    return row_major((*places.shape[:-2], *places.shape[:-3:-1])).swapaxes(-1, -2)


def as_matrices(places: Places) -> Places:
    """Return offsets as [batch, rows, columns]."""
    return places.reshape(-1, *places.shape[-2:])


def as_vectors(places: Places, axis: int) -> Places:
    """Return offsets as [vectors, length] for a reduction over `axis`."""
    return np.moveaxis(places, axis, -1).reshape(-1, places.shape[axis])


def as_rows(places: Places, axis: int) -> Places:
    """Return offsets as [rows, length] for what works along the axes from `axis` on."""
    return places.reshape(int(np.prod(places.shape[:axis])), -1)
