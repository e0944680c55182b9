"""How messages name a node of an ONNX file."""

from __future__ import annotations

import onnx


def node_label(node: onnx.NodeProto) -> str:
    """Return the name, or for a node without one what it gives, to stand behind "node"."""
    return repr(node.name) if node.name else f"that gives {next(iter(node.output), '')!r}"
