"""Cuts off float operators behind the last integers, which firmware hardly needs.

Quantisers leave the softmax or sigmoid at the end of a network in float. The integers in front of
it say the same class, so the network ends there, and what was cut is said.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from hwkd.core.errors import HwkdError
from hwkd.qgraph.qdq_file import DEQUANTISE, keep_what_gives
from hwkd.trace.node_label import node_label
from hwkd.trace.onnx_fixed import take_fixed_values
from hwkd.trace.onnx_model import open_model
from hwkd.trace.onnx_whole import take_in_weights

# The largest of the values is the largest before them, too.
_TAILS = frozenset(
    {"ArgMax", "Flatten", "Identity", "LogSoftmax", "Reshape", "Sigmoid", "Softmax", "Squeeze"}
)


@contextmanager
def without_float_tail(path: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Give an ONNX file that ends where its integers do, and a note on what is left out.

    Args:
        path: ONNX file; where nothing is cut off, it is given as it is, also if it is damaged.

    Yields:
        The file, which is there while the context lasts, and notes.
    """
    cut = _cut(path)
    if cut is None:
        yield path, ()
        return
    model, note = cut
    with TemporaryDirectory(prefix="hwkd-tail-") as folder:
        shorter = Path(folder) / path.name
        onnx.save(model, shorter)
        try:
            yield shorter, (note,)
        except HwkdError as error:
            raise type(error)(str(error).replace(str(shorter), str(path))) from error


def _cut(path: Path) -> tuple[onnx.ModelProto, str] | None:
    """Return the shorter model and what was cut off it; None where there is no float tail."""
    try:
        model = open_model(path)
        take_in_weights(model, path)
    except HwkdError:  # the reader behind says what is wrong
        return None
    take_fixed_values(model)
    graph = model.graph
    writers = {name: node for node in graph.node for name in node.output}
    stored = {item.name for item in graph.initializer}
    stored |= {node.output[0] for node in graph.node if node.op_type == "Constant" and node.output}
    tails = [_tail(item.name, writers, stored) for item in graph.output]
    tail = [node for nodes in tails for node in reversed(nodes)]
    if all(node.op_type == "Identity" for node in tail):
        return None
    ends = [
        nodes[-1].input[0] if nodes else item.name
        for item, nodes in zip(graph.output, tails, strict=True)
    ]
    del graph.output[:]
    graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in dict.fromkeys(ends)
    )
    keep_what_gives(graph, ends)
    named = ", ".join(dict.fromkeys(f"{node_label(node)} ({node.op_type})" for node in tail))
    return model, (
        f"left out, float behind the last integers: {named}; the outputs are the integers in "
        "front of it, the largest is the same class"
    )


def _tail(
    output: str, writers: dict[str, onnx.NodeProto], stored: set[str]
) -> list[onnx.NodeProto]:
    """Return the nodes from an output back to a DequantizeLinear of an activation, or none."""
    nodes: list[onnx.NodeProto] = []
    name = output
    while (node := writers.get(name)) is not None and node.op_type in _TAILS and node.input:
        if any(other and other not in stored for other in node.input[1:]):
            return []
        nodes.append(node)
        name = node.input[0]
    is_integer = (
        node is not None
        and node.op_type == DEQUANTISE
        and bool(node.input)
        and node.input[0] in writers
        and node.input[0] not in stored
    )
    return nodes if is_integer else []
