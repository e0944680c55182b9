"""Memory of runtimes that write an operator's output over the input that it reads.

A window operator writes a few rows below the rows that it still reads, so its output lies a fixed
distance below its input. Operators in a row that do so make a chain: their tensors keep these
distances, the chain drifts downwards, and the memory that it takes is that of its whole way. What a
planner can choose is where to end a chain by laying an output elsewhere.

Source:
    offsets of tensors and working memory in generated network.c files of X-CUBE-AI 8 and ST Edge AI
    Core 3. With nothing fitted they give the published activation RAM of MobileNetV1 (7.3) and of
    the ssd and tiny_yolo networks (8.1) within 1%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.kinds import kind_of
from hwkd.core.memory_model import MemoryModel
from hwkd.cost.memory_chains import Step, best_chains, longest_chains
from hwkd.cost.memory_scratch import is_depthwise

# Convolutions over so few channels read the image as it is; others read a copy with its padding.
_MOST_CHANNELS_WITHOUT_COPY = 4
_NO_PADS = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """What is in RAM when.

    Attributes:
        sizes: tensor that exists -> bytes.
        last: tensor -> index of the last operator during which it exists.
        alive: for each operator the bytes of all tensors that exist while it runs.
        scratch: operator -> working memory, rows that wait for a pooling included.
        streamed: convolutions whose rows the pooling after them takes as they come.
    """

    sizes: Mapping[str, int]
    last: Mapping[str, int]
    alive: Sequence[int]
    scratch: Mapping[str, int]
    streamed: Mapping[str, int]


def live_bytes(graph: OpGraph, model: MemoryModel, element_bytes: int, lives: Lives) -> list[int]:
    """Return for each operator the bytes that it, its chain and what waits take together.

    Args:
        graph: after fusion, operators in their order.
        model: names the rule for each kind, and how chains are cut.
        element_bytes: 1 or 4.
    """
    kept_apart, scratch = 0, lives.scratch
    if model.scratch_apart_ratio:
        kept_apart = round(model.scratch_apart_ratio * max(_own_scratch(graph, lives), default=0))
        scratch = {}
    steps = _steps(graph, model, element_bytes, lives, scratch)
    sizes = best_chains(steps) if model.cuts_chains else longest_chains(steps)
    found: dict[int, int] = {}
    for step, size in zip(steps, sizes, strict=True):
        index = step.place
        if size > found.get(index, 0):
            found[index] = size
    return [found.get(index, alive) + kept_apart for index, alive in enumerate(lives.alive)]


def padded_copies(graph: OpGraph, model: MemoryModel) -> int:
    """Return how many operators read a copy of their input with its padding."""
    if not model.copies_to_pad:
        return 0
    return sum([_reads_copy(op, graph.tensors[op.inputs[0]], model) for op in graph.ops])


def _own_scratch(graph: OpGraph, lives: Lives) -> list[int]:
    """Return the working memory of operators that do not run inside the one before."""
    pooled = {op.outputs[0] for op in graph.ops if op.name in lives.streamed}
    return [
        lives.scratch.get(op.name, 0) for op in graph.ops if not pooled.intersection(op.inputs[:1])
    ]


def _steps(
    graph: OpGraph,
    model: MemoryModel,
    element_bytes: int,
    lives: Lives,
    scratch_of: Mapping[str, int],
) -> list[Step]:
    """Return the steps of all operators: mostly one, two where one reads a copy with padding."""
    ops, tensors = graph.ops, graph.tensors
    sizes, alive, streamed = lives.sizes, lives.alive, lives.streamed
    limit = model.in_place_limit_bytes
    found: list[Step] = []
    pooled = ""
    for index, op in enumerate(ops):
        is_pooled = op.inputs[0] == pooled  # it runs inside the convolution before it
        pool = ops[index + 1] if op.name in streamed else None
        pooled = op.outputs[0] if pool else ""
        if is_pooled:
            continue
        rule = model.in_place.get(op.kind)
        target = (pool or op).outputs[0]
        source = _dying_input(op, index, graph, lives) if rule else None
        read, written = sizes[source] if source else 0, sizes[target]
        held = alive[index] - read - written
        before, after, top = tensors[op.inputs[0]], tensors[target], op.pads[0]
        row = _row(before)
        if op.pads != _NO_PADS and _reads_copy(op, before, model):
            row, rows = _padded(op, before.shape)
            copied = before.shape[0] * rows * row * element_bytes
            drop = copied - read if rule == "slide" and source else None
            copy = f"{target} with padding"
            apart = read + copied + held
            found.append(Step(index, source, copy, read, copied, drop, 0, held, apart))
            source = copy if source or model.slides_over_copies else None
            read, top = copied, 0
        drop = None
        if source is not None and (limit is None or (read <= limit and written <= limit)):
            if model.depthwise_over_input and is_depthwise(op, before, after):
                drop = 0
            elif rule == "slide" and len(before.shape) > 2 and kind_of(op.kind).is_window:
                stride = op.stride[0] * (pool.stride[0] if pool else 1)
                drop = element_bytes * (_ahead(row, after, stride) + top * row)
            elif rule == "slide":
                drop = written - read
            elif rule == "overwrite_same":
                drop = 0 if read == written else None
            elif rule == "overwrite" or _is_equal(op, tensors):
                drop = 0
        scratch = scratch_of.get(op.name, 0)
        apart = read + written + scratch + held
        found.append(Step(index, source, target, read, written, drop, scratch, held, apart))
    return found


def _dying_input(op: Op, index: int, graph: OpGraph, lives: Lives) -> str | None:
    """Return the largest input that nobody needs afterwards."""
    if len(op.inputs) == 1:
        name = op.inputs[0]
        return name if lives.last.get(name) == index and name not in graph.outputs else None
    dying = [
        name for name in op.inputs if lives.last.get(name) == index and name not in graph.outputs
    ]
    return max(dying, key=lives.sizes.__getitem__) if dying else None


def _reads_copy(op: Op, before: Tensor, model: MemoryModel) -> bool:
    """Tell whether a window's input is copied with its padding before it runs."""
    if op.pads == _NO_PADS or not (model.copies_to_pad and kind_of(op.kind).is_window):
        return False
    is_dense = op.kind == "Conv" and op.groups == 1
    is_image = len(before.shape) > 2
    return is_image and not (is_dense and before.shape[1] <= _MOST_CHANNELS_WITHOUT_COPY)


def _is_equal(op: Op, tensors: Mapping[str, Tensor]) -> bool:
    """Tell that no input is broadcast."""
    wanted = tensors[op.outputs[0]].elements
    return all(tensors[name].elements == wanted for name in op.inputs)


def _padded(op: Op, shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the elements of one row of an image with its padding, and how many rows."""
    top, left, bottom, right = op.pads
    rows = shape[2] + top + bottom if len(shape) > 3 else 1
    return shape[1] * (shape[-1] + left + right), rows


def _ahead(row_before: int, after: Tensor, stride: int) -> int:
    """Return by how many elements a result must start below the input that it is written over.

    One row at least, and more the longer an output grows beyond its input.

    Args:
        row_before: elements of one row of the input.

    Source:
        offsets in the memory map of a generated network.c (three pooled 3x3 convolutions on
        64x64x1): 896 bytes between output and input for 31x31x32 -> 14x14x64, 27,776 for
        64x64x1 -> 31x31x32.
    """
    shape = after.shape
    rows = shape[2] if len(shape) > 3 else 1
    row = _row(after)
    further = row * (rows + 1) - row_before * stride * rows
    return row if row > further else further


def _row(tensor: Tensor) -> int:
    """Return elements of one row of an image, all of them where a view hides its rows.

    A time series keeps its shape (1, channels, time) when the reshape to an image is a view.
    """
    shape = tensor.shape
    return shape[1] * shape[-1] if len(shape) > 2 else tensor.elements
