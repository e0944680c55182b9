"""What lookups read: numbers that a file makes whole of real ones are integers all along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hwkd.core.kinds import kind_of
from hwkd.trace.onnx_nodes import Node

# Operators that make whole numbers of real ones, for a lookup.
MAKE_WHOLE = frozenset({"Cast", "Mod"})


def without_making_whole(nodes: Sequence[Node], outputs: Iterable[str]) -> list[Node]:
    """Return nodes in which lookups read the tensors that their numbers are made of.

    A file casts a quantised input and takes it modulo the base of its digits; a kernel reads the
    integers as they are.

    Args:
        outputs: of the file, which stay.
    """
    writers = {name: node for node in nodes for name in node.outputs}
    uses = Counter(name for node in nodes for name in node.inputs)
    uses.update(outputs)
    left_out: set[str] = set()
    found = []
    for node in nodes:
        if kind_of(node.kind).is_lookup and len(node.inputs) == 2:
            source = node.inputs[1]
            while (writer := writers.get(source)) and writer.kind in MAKE_WHOLE:
                if uses[source] == 1:
                    left_out.add(writer.name)
                source = writer.inputs[0]
            node = replace(node, inputs=(node.inputs[0], source))
        found.append(node)
    return [node for node in found if node.name not in left_out]
