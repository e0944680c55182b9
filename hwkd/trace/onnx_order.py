"""Puts the nodes of an ONNX graph into an order in which they can run."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from hwkd.core.errors import ModelFileError
from hwkd.trace.onnx_nodes import Node


def sort_nodes(nodes: list[Node], known: Iterable[str], where: str) -> list[Node]:
    """Put the nodes in an order in which every input exists; keeps the file's order if it does.

    Raises:
        ModelFileError: on a cycle, or on an input that nothing produces.
    """
    produced = {name for node in nodes for name in node.outputs}
    available = set(known) | {""}
    missing: list[set[str]] = []
    readers: dict[str, list[int]] = {}
    for index, node in enumerate(nodes):
        missing.append({name for name in node.inputs if name not in available})
        for name in missing[index]:
            if name not in produced:
                raise ModelFileError(
                    f"{where}: node {node.name!r} reads {name!r}, which nothing produces; "
                    "the file is damaged, export it again"
                )
            readers.setdefault(name, []).append(index)
    ready = [index for index in range(len(nodes)) if not missing[index]]
    ordered = []
    while ready:
        # The smallest index first, so that a file in order keeps its order.
        node = nodes[heapq.heappop(ready)]
        ordered.append(node)
        for name in node.outputs:
            for index in readers.pop(name, ()):
                missing[index].discard(name)
                if not missing[index]:
                    heapq.heappush(ready, index)
    if len(ordered) < len(nodes):
        stuck = next(node for node, names in zip(nodes, missing, strict=True) if names)
        raise ModelFileError(
            f"{where}: the graph has a cycle through node {stuck.name!r} ({stuck.kind}); "
            "an ONNX graph must be acyclic, export it again"
        )
    return ordered
