"""A user's ONNX file -> the layers of a student and their weights; nothing is executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ModelFileError
from hwkd.core.student import Layer, Layers
from hwkd.trace.onnx_file import Source, read_source
from hwkd.trace.onnx_layers import READERS
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_reading import Reading

_TO_CHANNELS_FIRST = (0, 3, 1, 2)
_SCALES = ("Add", "Div", "Mul", "Sub")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxStudent:
    """A network of a user's.

    Attributes:
        weights: layer -> torch's name of a parameter -> value.
    """

    layers: Layers
    weights: Mapping[str, Mapping[str, NDArray[np.float32]]]


def read_onnx_student(path: Path) -> OnnxStudent:
    """Read a float32 network as layers.

    Normalisation and activation join the layer before them, a softmax at the end is left out, and
    pictures whose channels are last and are brought forward at once are read channels first.

    Raises:
        ModelFileError: if it cannot be read, or names the node that no layer stands for.
    """
    source = read_source(path)
    reading = _begun(source, str(path))
    for node in source.nodes:
        if node.outputs[0] in source.fixed or node.outputs[0] in reading.layer_of:
            continue
        read = READERS.find(node.kind)
        if node.kind in _SCALES and _reads_input_alone(reading, node):
            raise reading.refused(
                node,
                "scales the input, which is no layer: leave it out of the file, and say "
                "--teacher-input for what the rest expects (as raw, unit or mean=..,std=..)",
            )
        if read is None:
            raise reading.refused(node, "has no layer kind (known: " + ", ".join(READERS) + ")")
        read(reading, node)
    layers = list(reading.layers.values())
    heads = tuple(reading.layer_of.get(name, "input") for name in source.outputs)
    if reading.affine.keys() & {*heads}:
        raise ModelFileError(f"{path}: ends with a normalisation; expected products with weights")
    if "input" in heads:
        raise ModelFileError(f"{path}: has an output that no layer computes; export it again")
    return OnnxStudent(
        layers=Layers(
            input_shape=reading.shapes["input"],
            layers=tuple(layers),
            taps=_stage_taps(layers),
            outputs=() if heads == (layers[-1].name,) else heads,
        ),
        weights=reading.weights,
    )


def _reads_input_alone(reading: Reading, node: Node) -> bool:
    computed = [name for name in node.inputs if name not in reading.source.constants]
    return len(computed) == 1 and reading.layer_of.get(computed[0]) == "input"


def _begun(source: Source, where: str) -> Reading:
    """Return a reading of the input alone."""
    given = source.inputs[0]
    if len(source.inputs) != 1 or given.shape[:1] != (1,) or len(given.shape) < 2:
        shown = ", ".join(f"{item.name} {item.shape}" for item in source.inputs)
        raise ModelFileError(f"{where}: takes {shown}; expected one input with a batch in front")
    if source.is_quantised:
        raise ModelFileError(f"{where}: is quantised; give the float32 file that it was made from")
    layer_of, shape = {given.name: "input"}, given.shape[1:]
    first = [node for node in source.nodes if given.name in node.inputs]
    orders = {tuple(n.attributes.get("perm", ())) if n.kind == "Transpose" else () for n in first}
    if orders == {_TO_CHANNELS_FIRST}:
        layer_of = {node.outputs[0]: "input" for node in first}
        shape = (shape[2], *shape[:2])
    uses = Counter(name for node in source.nodes for name in {*node.inputs})
    uses.update(source.outputs)
    return Reading(
        where=where, source=source, uses=uses, shapes={"input": shape}, layer_of=layer_of
    )


def _stage_taps(layers: list[Layer]) -> dict[str, str]:
    """Name the places that distillation may read: ends of each size of the map, the embedding.

    Where the answer is a map, what it is made of is one, too.
    """
    shapes = {layer.name: layer.shape for layer in layers}
    ends: list[str] = []
    for layer in layers:
        for name in layer.inputs[:1]:
            before, after = shapes.get(name, ()), layer.shape
            if len(before) == 3 and (len(after) != 3 or after[1:] < before[1:]):
                ends += [name] if max(before[1:]) > 1 and name not in ends else []
    source = layers[-1].inputs[0]
    if len(layers[-1].shape) == 3 and source in shapes and source not in ends:
        ends.append(source)
    taps = {f"stage{number}": name for number, name in enumerate(ends, start=1)}
    has_embedding = layers[-1].kind == "linear" and source in shapes
    return {**taps, "embedding": source} if has_embedding else taps
