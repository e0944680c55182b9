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
from dataclasses import dataclass, field, replace
from math import inf
from typing import TypeAlias

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.kinds import kind_of
from hwkd.core.memory_model import MemoryModel
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


# Steps that lie over each other, and what each of them takes.
_Sizes: TypeAlias = tuple[Sequence[_Step], Sequence[int]]


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
    for chain, sizes in _best_chains(steps) if model.cuts_chains else _longest_chains(steps):
        for step, size in zip(chain, sizes, strict=True):
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
        pads = _NO_PADS
        copied = before.elements * element_bytes
        drop = copied - read if rule == "slide" and source else None
        name = f"{target} with padding"
        yield _Step(index, source, name, read, copied, drop, 0, held)
        source = name if source or model.slides_over_copies else None
        read = copied
    drop = None
    if source is None:
        pass
    elif model.depthwise_over_input and is_depthwise(op, before, tensors[target]):
        drop = 0
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


@dataclass(slots=True)
class _Way:
    """Steps in a row that write over what they read, and the memory of their whole way."""

    steps: list[_Step] = field(default_factory=list)
    _spans: list[tuple[int, int]] = field(default_factory=list)
    _position: int = 0
    _low: int = 0
    _high: int = 0

    def add(self, step: _Step) -> int:
        """Go one step further; return what the tensors of the whole way take."""
        if not self.steps:
            self._high = step.read
        position, below = self._position, self._position - (step.drop or 0)
        end = below + step.written
        top = position + step.read
        self._spans.append((below, top if top > end else end))
        self.steps.append(step)
        self._position = below
        if below < self._low:
            self._low = below
        if end > self._high:
            self._high = end
        return self._high - self._low

    def sizes(self) -> list[int]:
        """Return for each step what the whole way, its working memory and the rest take.

        Working memory lies above or below the tensors of its step where the way leaves room.
        """
        low, high = self._low, self._high
        whole = high - low
        found = []
        for step, (bottom, top) in zip(self.steps, self._spans, strict=True):
            room = high - top if high - top > bottom - low else bottom - low
            beyond = step.scratch - room
            found.append(whole + step.held + (beyond if beyond > 0 else 0))
        return found


def _alone(step: _Step) -> int:
    """Return the least that a step takes, over its input or apart."""
    if step.drop is None:
        return step.apart
    below = -step.drop
    end = max(step.read, below + step.written)
    beyond = max(step.scratch - max(below, 0), 0)
    return min(step.apart, end - min(below, 0) + beyond + step.held)


def _longest_chains(steps: Sequence[_Step]) -> Iterator[_Sizes]:
    """Cut only where input and output apart take less than the chain with them."""
    way = _Way()
    for step in steps:
        if not way.steps or step.source != way.steps[-1].target:
            yield way.steps, way.sizes()
            way = _Way()
        if step.drop is not None:
            longer = replace(way, steps=[*way.steps], _spans=[*way._spans])
            if longer.add(step) <= step.read + step.written:
                way = longer
                continue
        yield way.steps, way.sizes()
        way = _Way()
        yield [step], [step.apart]
    yield way.steps, way.sizes()


def _best_chains(steps: Sequence[_Step]) -> Iterator[_Sizes]:
    """Cut so that the chain that takes most takes as little as it can.

    A chain ends at a step that lies apart, and the next one starts wherever it likes: an optimum
    follows from the optima of all beginnings. Cutting costs nothing where it takes no more than
    what some step needs in any case.
    """
    apart = [step.apart for step in steps]
    floor = 0
    for step, elsewhere in zip(steps, apart, strict=True):
        if elsewhere > floor:
            floor = max(floor, _alone(step))
    # For the first so many steps: their peak, where the last chain begins, whether a cut ends it.
    best: list[tuple[float, int, bool]] = [(inf, 0, False)] * (len(steps) + 1)
    best[0] = (0, 0, False)
    for first in range(len(steps)):
        before = peak = best[first][0]
        if peak == inf:
            continue
        way = _Way()
        for index in range(first, len(steps)):
            step, elsewhere = steps[index], apart[index]
            cut = peak if peak > elsewhere else elsewhere
            if cut < best[index + 1][0]:
                best[index + 1] = (cut, first, True)
            if step.drop is None or elsewhere <= floor:
                break
            way.add(step)
            peak = max(before, *way.sizes())
            if index + 1 == len(steps) or steps[index + 1].source != step.target:
                best[index + 1] = min(best[index + 1], (peak, first, False))
                break
    end = len(steps)
    while end:
        _, first, is_cut = best[end]
        last = end - 1 if is_cut else end
        if is_cut:
            yield [steps[last]], [apart[last]]
        if first < last:
            way = _Way()
            for step in steps[first:last]:
                way.add(step)
            yield way.steps, way.sizes()
        end = first
