"""Search spaces that suit a teacher: its blocks are read, and each names the form a chip runs well.

Large convolutions become depthwise-separable ones, attention a linear or a local one, deep
networks keep their skips, and wide ones become narrow and deeper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwkd.core.errors import ConfigError
from hwkd.core.graph import Op, OpGraph
from hwkd.trace.onnx_file import load_graph

# Of the multiply-accumulates, from which on a kind of block is what a network is made of.
_MUCH = 0.25
_WIDE_CHANNELS, _DEEP_LAYERS = 64, 8
_SKIPS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What suits a teacher.

    Attributes:
        spaces: registered names, the best first; at least one.
        reasons: a sentence for each.
    """

    spaces: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A trait of a teacher: returns what was seen, or nothing, and the space that answers it."""

    seen: Callable[[OpGraph], str | None]
    space: str
    becomes: str


def match_teachers(sources: Sequence[str]) -> Match:
    """Return the search spaces that suit teachers.

    Args:
        sources: as `--teacher` takes them.

    Raises:
        ConfigError: if there is none, or one is no ONNX file.
        ModelFileError: if one cannot be read.
    """
    if not sources:
        raise ConfigError("--match: reads the blocks of a teacher; give --teacher MODEL.onnx")
    found: dict[str, str] = {}
    for source in sources:
        if not source.lower().endswith(".onnx"):
            raise ConfigError(
                f"--match: reads ONNX files, and --teacher {source} is none; export it first, or "
                "name spaces with --space"
            )
        graph = load_graph(Path(source))
        for space, reason in match_graph(graph, name=Path(source).name).items():
            found.setdefault(space, reason)
    return Match(spaces=tuple(found), reasons=tuple(found.values()))


def match_graph(graph: OpGraph, *, name: str) -> dict[str, str]:
    """Return space -> why, of one network.

    Args:
        name: of the network, for people.
    """
    found: dict[str, str] = {}
    for rule in _RULES:
        seen = rule.seen(graph)
        if seen is not None:
            found.setdefault(rule.space, f"{name} has {seen}: {rule.becomes}, space {rule.space}.")
    if not found:
        found["plain"] = f"{name} is a plain stack of few layers: space plain."
    return found


def _share(graph: OpGraph, is_meant: Callable[[Op], bool]) -> float:
    whole = graph.macs
    return sum(op.macs for op in graph.ops if is_meant(op)) / whole if whole else 0.0


def _channels(graph: OpGraph, op: Op) -> int:
    shape = graph.tensors[op.outputs[0]].shape
    return shape[1] if len(shape) == 4 else 1


def _is_convolution(op: Op) -> bool:
    return op.kind == "Conv" and op.weights > 0


def _large(graph: OpGraph) -> str | None:
    share = _share(graph, lambda op: _is_convolution(op) and op.groups == 1 and max(op.kernel) > 1)
    return f"large convolutions ({share:.0%} of its work)" if share >= _MUCH else None


def _separable(graph: OpGraph) -> str | None:
    count = sum(_is_convolution(op) and op.groups == _channels(graph, op) > 1 for op in graph.ops)
    return f"{count} depthwise convolutions" if count else None


def _grouped(graph: OpGraph) -> str | None:
    count = sum(_is_convolution(op) and 1 < op.groups < _channels(graph, op) for op in graph.ops)
    return f"{count} convolutions in groups" if count else None


def _attention(graph: OpGraph) -> str | None:
    count = sum(op.kind == "MatMul" and not op.weights and len(op.inputs) > 1 for op in graph.ops)
    return f"attention ({count} products of activations)" if count else None


def _softmax_attention(graph: OpGraph) -> str | None:
    """Return the softmaxes whose results multiply: global ones grow with the square of the map."""
    weights = {name for op in graph.ops if op.kind == "Softmax" for name in op.outputs}
    reads = [op for op in graph.ops if op.kind in ("MatMul", "Transpose")]
    weights |= {op.outputs[0] for op in reads if weights.intersection(op.inputs)}
    count = sum(op.kind == "MatMul" and bool(weights.intersection(op.inputs)) for op in reads)
    return f"attention with a softmax ({count} times)" if count else None


def _skips(graph: OpGraph) -> str | None:
    count = sum(op.kind == "Add" and len(op.inputs) > 1 for op in graph.ops)
    return f"{count} skip connections" if count >= _SKIPS else None


def _wide(graph: OpGraph) -> str | None:
    convolutions = [op for op in graph.ops if _is_convolution(op)]
    widest = max((_channels(graph, op) for op in convolutions), default=0)
    is_wide = widest >= _WIDE_CHANNELS and len(convolutions) < _DEEP_LAYERS
    return f"few and wide layers (up to {widest} channels)" if is_wide else None


_RULES = (
    _Rule(
        seen=_attention,
        space="linear_attention",
        becomes="attention whose cost grows linearly",
    ),
    _Rule(
        seen=_softmax_attention,
        space="local_attention",
        becomes="the same attention inside windows of the map",
    ),
    _Rule(seen=_separable, space="depthwise", becomes="the same blocks, narrower"),
    _Rule(
        seen=_large, space="depthwise", becomes="depthwise-separable ones do most of it for less"
    ),
    _Rule(seen=_skips, space="narrow_deep", becomes="deep students that keep them"),
    _Rule(seen=_wide, space="narrow_deep", becomes="narrow and deeper students"),
    _Rule(seen=_grouped, space="shuffle", becomes="groups with a shuffle between them"),
)
