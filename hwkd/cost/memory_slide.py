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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.kinds import kind_of
from hwkd.core.memory_model import MemoryModel

# Convolutions over so few channels read the image as it is; others read a copy with its padding.
_MOST_CHANNELS_WITHOUT_COPY = 4


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


@dataclass(slots=True)
class _Step:
    """One operator, or the copy with padding that comes before it; sizes in bytes.

    Attributes:
        source: tensor that the output may lie over; None where there is none.
        drop: how far the target starts below the source; None where they must lie apart.
        held: what else exists.
    """

    index: int
    source: str | None
    target: str
    read: int
    written: int
    drop: int | None
    scratch: int
    held: int

    @property
    def apart(self) -> int:
        """What it takes with its target elsewhere."""
        return self.read + self.written + self.scratch + self.held


def live_bytes(graph: OpGraph, model: MemoryModel, element_bytes: int, lives: Lives) -> list[int]:
    """Return for each operator the bytes that it, its chain and what waits take together.

    Args:
        graph: after fusion, operators in their order.
        model: names the rule for each kind, and how chains are cut.
        element_bytes: 1 or 4.
    """
    steps: list[_Step] = []
    pooled = ""
    for index, op in enumerate(graph.ops):
        if not op.inputs or op.inputs[0] != pooled:  # else it runs inside the convolution before it
            steps += _steps_of(index, graph, model, element_bytes, lives)
        pooled = op.outputs[0] if op.name in lives.streamed else ""
    kept_apart = 0
    if model.scratch_apart_ratio:
        kept_apart = round(model.scratch_apart_ratio * max([s.scratch for s in steps], default=0))
        for step in steps:
            step.scratch = 0
    found: dict[int, int] = {}
    for chain in _best_chains(steps) if model.cuts_chains else _longest_chains(steps):
        for step, size in zip(chain, _costs(chain), strict=True):
            found[step.index] = max(size, found.get(step.index, 0))
    return [found.get(index, alive) + kept_apart for index, alive in enumerate(lives.alive)]


def padded_copies(graph: OpGraph, model: MemoryModel) -> int:
    """Return how many operators read a copy of their input with its padding."""
    if not model.copies_to_pad:
        return 0
    return sum([_reads_copy(op, graph.tensors[op.inputs[0]], model) for op in graph.ops])


def _steps_of(
    index: int, graph: OpGraph, model: MemoryModel, element_bytes: int, lives: Lives
) -> Iterator[_Step]:
    """Yield an operator's steps: mostly one, two where it reads a copy with padding."""
    op, tensors = graph.ops[index], graph.tensors
    rule = model.in_place.get(op.kind)
    pool = graph.ops[index + 1] if op.name in lives.streamed else None
    target = (pool or op).outputs[0]
    source = _dying_input(op, index, graph, lives) if rule else None
    read, written = lives.sizes[source] if source else 0, lives.sizes[target]
    held = lives.alive[index] - read - written
    scratch = lives.scratch.get(op.name, 0)
    before = tensors[op.inputs[0]]
    is_window = kind_of(op.kind).is_window and len(before.shape) > 2
    pads = op.pads
    if _reads_copy(op, before, model):
        before = _padded(op, before)
        pads = (0, 0, 0, 0)
        copied = before.elements * element_bytes
        drop = copied - read if rule == "slide" and source else None
        name = f"{target} with padding"
        yield _Step(index, source, name, read, copied, drop, 0, held)
        source = name if source or model.slides_over_copies else None
        read = copied
    drop = None
    if source is None:
        pass
    elif rule == "slide" and is_window:
        stride = op.stride[0] * (pool.stride[0] if pool else 1)
        drop = element_bytes * (_ahead(before, tensors[target], stride) + pads[0] * _row(before))
    elif rule == "slide":
        drop = written - read
    elif rule == "overwrite" or _is_equal(op, tensors):
        drop = 0
    limit = model.in_place_limit_bytes
    if limit is not None and max(read, written) > limit:
        drop = None
    yield _Step(index, source, target, read, written, drop, scratch, held)


def _dying_input(op: Op, index: int, graph: OpGraph, lives: Lives) -> str | None:
    """Return the largest input that nobody needs afterwards."""
    dying = [
        name for name in op.inputs if lives.last.get(name) == index and name not in graph.outputs
    ]
    return max(dying, key=lives.sizes.__getitem__) if dying else None


def _reads_copy(op: Op, before: Tensor, model: MemoryModel) -> bool:
    """Tell whether a window's input is copied with its padding before it runs."""
    if not (model.copies_to_pad and any(op.pads) and kind_of(op.kind).is_window):
        return False
    is_dense = op.kind == "Conv" and op.groups == 1
    is_image = len(before.shape) > 2
    return is_image and not (is_dense and before.shape[1] <= _MOST_CHANNELS_WITHOUT_COPY)


def _is_equal(op: Op, tensors: Mapping[str, Tensor]) -> bool:
    """Tell that no input is broadcast."""
    wanted = tensors[op.outputs[0]].elements
    return all(tensors[name].elements == wanted for name in op.inputs)


def _padded(op: Op, before: Tensor) -> Tensor:
    top, left, bottom, right = op.pads
    shape = before.shape
    rows = (shape[2] + top + bottom,) if len(shape) > 3 else ()
    return Tensor(name="", shape=(*shape[:2], *rows, shape[-1] + left + right))


def _ahead(before: Tensor, after: Tensor, stride: int) -> int:
    """Return by how many elements a result must start below the input that it is written over.

    One row at least, and more the longer an output grows beyond its input.

    Source:
        offsets in the memory map of a generated network.c (three pooled 3x3 convolutions on
        64x64x1): 896 bytes between output and input for 31x31x32 -> 14x14x64, 27,776 for
        64x64x1 -> 31x31x32.
    """
    rows = after.shape[2] if len(after.shape) > 3 else 1
    row = _row(after)
    return max(row, row * (rows + 1) - _row(before) * stride * rows)


def _row(tensor: Tensor) -> int:
    """Return elements of one row of an image, all of them where a view hides its rows.

    A time series keeps its shape (1, channels, time) when the reshape to an image is a view.
    """
    shape = tensor.shape
    return shape[1] * shape[-1] if len(shape) > 2 else tensor.elements


def _costs(chain: Sequence[_Step]) -> list[int]:
    """Return for each step what the chain's whole way, its working memory and the rest take.

    Working memory lies above or below the tensors of its step where the chain leaves room.
    """
    if len(chain) == 1 and chain[0].drop is None:
        return [chain[0].apart]
    position = low = 0
    high = chain[0].read
    spans = []
    for step in chain:
        below = position - (step.drop or 0)
        spans.append((below, max(position + step.read, below + step.written)))
        low, high = min(low, below), max(high, below + step.written)
        position = below
    return [
        high - low + max(0, step.scratch - max(high - top, bottom - low)) + step.held
        for step, (bottom, top) in zip(chain, spans, strict=True)
    ]


def _longest_chains(steps: Sequence[_Step]) -> Iterator[list[_Step]]:
    """Cut only where input and output apart take less than the chain with them."""
    chain: list[_Step] = []
    position = low = high = 0
    for step in steps:
        if not chain or step.source != chain[-1].target:
            if chain:
                yield chain
            chain, position, low, high = [], 0, 0, step.read
        if step.drop is not None:
            below = position - step.drop
            bottom, top = min(low, below), max(high, below + step.written)
            if top - bottom <= step.read + step.written:
                chain.append(step)
                position, low, high = below, bottom, top
                continue
        if chain:
            yield chain
        chain = []
        yield [_apart(step)]
    if chain:
        yield chain


def _best_chains(steps: Sequence[_Step]) -> list[list[_Step]]:
    """Cut so that the chain that takes most takes as little as it can.

    A chain ends at a step that lies apart, and the next one starts wherever it likes: an optimum
    follows from the optima of all beginnings. Cutting costs nothing where it takes no more than
    what some step needs in any case.
    """
    floor = max([min(step.apart, _costs([step])[0]) for step in steps], default=0)
    # For the first so many steps: their peak, where the last chain begins, whether a cut ends it.
    best: list[tuple[float, int, bool]] = [(inf, 0, False)] * (len(steps) + 1)
    best[0] = (0, 0, False)
    for first in range(len(steps)):
        peak = best[first][0]
        if peak == inf:
            continue
        for index in range(first, len(steps)):
            step = steps[index]
            best[index + 1] = min(best[index + 1], (max(peak, step.apart), first, True))
            if step.drop is None or step.apart <= floor:
                break
            peak = max([best[first][0], *_costs(steps[first : index + 1])])
            if index + 1 == len(steps) or steps[index + 1].source != step.target:
                best[index + 1] = min(best[index + 1], (peak, first, False))
                break
    chains: list[list[_Step]] = []
    end = len(steps)
    while end:
        _, first, is_cut = best[end]
        chains.append([_apart(steps[end - 1])] if is_cut else list(steps[first:end]))
        if is_cut and first < end - 1:
            chains.append(list(steps[first : end - 1]))
        end = first
    return chains


def _apart(step: _Step) -> _Step:
    return replace(step, drop=None)
