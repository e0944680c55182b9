"""Memory that a runtime saves by writing an output over an input that it no longer needs."""

from __future__ import annotations

from collections.abc import Container, Mapping

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.memory_model import MemoryModel

__all__ = ["saved_bytes"]


def saved_bytes(
    graph: OpGraph,
    model: MemoryModel,
    element_bytes: int,
    last: Mapping[str, int],
    *,
    streamed: Container[str],
) -> dict[int, int]:
    """Return operator index -> bytes that input and output share while it runs.

    Args:
        graph: after fusion, operators in their order.
        model: names the rule for each kind.
        element_bytes: 1 or 4.
        last: tensor that exists in RAM -> index of the last operator during which it does.
        streamed: convolutions whose rows the pooling after them takes as they come.
    """
    kept = set(graph.outputs)
    if model.keeps_inputs:
        kept.update(graph.inputs)
    saved = {}
    tensors, in_place = graph.tensors, model.in_place
    for index, op in enumerate(graph.ops):
        rule = in_place.get(op.kind)
        if rule is None:
            continue
        before = None
        for name in op.inputs:
            if last.get(name) == index and name not in kept:
                dying = tensors[name]
                if before is None or dying.elements > before.elements:
                    before = dying
        if before is None:
            continue
        after = tensors[op.outputs[0]]
        shared = min(before.elements, after.elements)
        if op.name in streamed:
            pool = graph.ops[index + 1]
            shared = _behind_pooled_rows(op, pool, before, tensors[pool.outputs[0]])
        elif rule == "slide":
            shared = _behind_window(op, before, after, shared)
        saved[index] = min(
            shared * element_bytes,
            before.size_bytes(element_bytes),
            after.size_bytes(element_bytes),
        )
    return saved


def _behind_window(op: Op, before: Tensor, after: Tensor, most: int) -> int:
    """Return elements that may be overwritten behind the window that reads them.

    A 1x1 kernel needs no other pixel. A depthwise or strided one keeps its window's rows and one
    row of results. A dense kernel of stride 1 shares half: fitted to published activation sizes,
    the library's rule is not public.
    """
    if op.kernel == (1, 1):
        return most
    if op.stride == (1, 1) and op.groups == 1:
        return most // 2
    row_after = after.shape[1] * after.shape[3]
    return max(most - op.kernel[0] * _row(before) - row_after, 0)


def _behind_pooled_rows(op: Op, pool: Op, before: Tensor, after: Tensor) -> int:
    """Return elements that a convolution with its pooling may overwrite.

    Results lie before the input by as much as a pooled row is ever ahead of the rows still read:
    one row at least, and more the longer an output grows beyond its input.

    Source:
        offsets in the memory map of a generated network.c (three pooled 3x3 convolutions on
        64x64x1): 896 bytes between output and input for 31x31x32 -> 14x14x64, 27,776 for
        64x64x1 -> 31x31x32.
    """
    rows = after.shape[2]
    row_before = _row(before) * op.stride[0] * pool.stride[0]
    row_after = after.shape[1] * after.shape[3]
    ahead = max(row_after, row_after * (rows + 1) - row_before * rows)
    together = max(ahead + before.elements, after.elements)
    return max(before.elements + after.elements - together, 0)


def _row(tensor: Tensor) -> int:
    """Return elements of one row of an image, all of them where a view hides its rows.

    A time series keeps its shape (1, channels, time) when the reshape to an image is a view.
    """
    shape = tensor.shape
    return shape[1] * shape[-1] if len(shape) > 2 else tensor.elements
