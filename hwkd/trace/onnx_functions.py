"""Puts the functions that an ONNX file defines for itself in the place where they are called.

PyTorch and other exporters write modules as functions of the model. They are only a way of writing:
a network without calls computes the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import onnx.inliner
from onnx import FunctionProto, ModelProto, NodeProto

from hwkd.core.errors import ModelFileError, first_line

_MOST_DEEP = 100


def without_functions(model: ModelProto, where: str, *, most_nodes: int) -> ModelProto:
    """Return a model that calls no function of its own; the model itself where it has none.

    Args:
        where: names the file in messages.
        most_nodes: that the result may have; a few functions that call each other can stand for
            more than fit into memory.

    Raises:
        ModelFileError: if there are more, or a function calls itself.
    """
    if not model.functions:
        return model
    functions = {_called(f.domain, f.name): f for f in model.functions}
    nodes = _nodes_of(model.graph.node, functions, {}, where)
    if nodes > most_nodes:
        raise ModelFileError(
            f"{where}: {nodes:,} operators once its functions are written out; hwkd reads up to "
            f"{most_nodes:,}"
        )
    try:
        inlined: ModelProto = onnx.inliner.inline_local_functions(model)
    except (RuntimeError, ValueError) as error:  # whatever the C++ of onnx objects to
        raise ModelFileError(
            f"{where}: its functions cannot be put in place ({first_line(error)}); export the "
            "model without functions"
        ) from error
    return inlined


def _called(domain: str, name: str) -> str:
    return f"{domain}:{name}"


def _nodes_of(
    nodes: Iterable[NodeProto],
    functions: Mapping[str, FunctionProto],
    known: dict[str, int],
    where: str,
) -> int:
    """Return how many operators nodes stand for; a function that is being counted is -1."""
    total = 0
    for node in nodes:
        name = _called(node.domain, node.op_type)
        function = functions.get(name)
        if function is None:
            total += 1
            continue
        if name not in known:
            if sum(count < 0 for count in known.values()) > _MOST_DEEP:
                raise ModelFileError(
                    f"{where}: its functions call each other more than {_MOST_DEEP} deep; export "
                    "the model without functions"
                )
            known[name] = -1
            known[name] = _nodes_of(function.node, functions, known, where)
        if known[name] < 0:
            raise ModelFileError(
                f"{where}: function {function.name!r} calls itself; the file is damaged, export "
                "it again"
            )
        total += known[name]
    return total
