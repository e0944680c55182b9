"""A network of layers that is being read from an ONNX file, node by node."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hwkd.core.errors import ModelFileError
from hwkd.core.kinds import LAYER_KINDS
from hwkd.core.student import Activation, Layer
from hwkd.trace.onnx_file import Source
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_ops import Pads

Shape: TypeAlias = tuple[int, ...]
Weights: TypeAlias = dict[str, NDArray[np.float32]]


@dataclass(kw_only=True)
class Reading:
    """What was read so far.

    Attributes:
        layers: by name, in execution order.
        weights: layer -> torch's name of a parameter ("core.weight", "norm.running_var") -> value.
        layer_of: tensor of the file -> layer that computes it, or "input".
        padded: tensor that a convolution may read as zeros around another -> (that one, zeros).
        uses: tensor -> how many nodes and outputs read it.
        biased: layers whose bias was read.
        tokens: layer that brings the results of a convolution into the order (positions, channels)
            -> that convolution.
        affine: normalisation -> scale and shift that the layer behind it has to take in.
    """

    where: str
    source: Source
    uses: Counter[str]
    shapes: dict[str, Shape]
    layer_of: dict[str, str]
    layers: dict[str, Layer] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)
    padded: dict[str, tuple[str, Pads]] = field(default_factory=dict)
    biased: set[str] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)
    affine: dict[str, tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=dict)

    def refused(self, node: Node, why: str) -> ModelFileError:
        """Return the error that names a node which no layer stands for."""
        return ModelFileError(
            f"{self.where}: node {node.name!r} ({node.kind}) {why}; change the model there, or "
            "give it as --teacher of another student"
        )

    def file_shape(self, tensor: str) -> Shape:
        """Return the shape of a tensor in the file, without batch."""
        return self.source.types[tensor][1][1:]

    def constant(self, node: Node, index: int) -> NDArray[Any] | None:
        """Return a stored operand; None where it is left out or computed from the input."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if name in self.source.constants:
            return np.asarray(self.source.constants[name].values())
        if name in self.source.fixed:
            raise self.refused(node, f"reads {name!r}, which other nodes compute from constants")
        return None

    def operand(self, node: Node, index: int = 0) -> str:
        """Return the layer that a node reads, of whatever form."""
        tensor = node.inputs[index] if index < len(node.inputs) else ""
        if tensor not in self.layer_of:
            raise self.refused(node, f"reads {tensor!r} where a layer reads what was computed")
        if self.layer_of[tensor] in self.affine:
            raise self.refused(
                node, "reads a normalisation with a scale and a shift, which only products with "
                "stored weights take in"
            )  # fmt: skip
        return self.layer_of[tensor]

    def plain(self, node: Node, index: int = 0) -> str:
        """Return the layer that a node reads, in the form that the file has it in."""
        return self._formed(self.operand(node, index), self.file_shape(node.inputs[index]))

    def image(self, node: Node) -> str:
        """Return the layer that a window reads: (channels, height, width), a signal of height 1."""
        name = self.operand(node)
        shape = self.shapes[name]
        return name if len(shape) == 3 else self._formed(name, (shape[0], 1, *shape[1:]))

    def add(
        self, node: Node, kind: str, inputs: tuple[str, ...], shape: Shape, **facts: Any
    ) -> str:
        """Append the layer of a node; returns its name."""
        name = self.append(node.name, kind, inputs, shape, **facts)
        self.layer_of[node.outputs[0]] = name
        return name

    def reshaped(self, node: Node, source: str, shape: Shape) -> str:
        """Let a node's result be a layer in another shape."""
        name = self.append(f"{node.name}_flat", "reshape", (source,), shape)
        self.layer_of[node.outputs[0]] = name
        return name

    def open_layer(self, node: Node) -> Layer | None:
        """Return the layer before a node, where nothing else reads it and nothing is applied."""
        layer = self.layers.get(self.layer_of.get(node.inputs[0], ""))
        is_open = layer is not None and layer.activation == "none"
        return layer if is_open and self.uses[node.inputs[0]] == 1 else None

    def scale(self, node: Node, factor: float) -> bool:
        """Multiply what a node reads by multiplying weights before it; False where none can be."""
        found = self._scalable(self.operand(node), factor)
        if found is None:
            return False
        weights = self.weights[found]
        kind = "norm" if "norm.weight" in weights else "core"
        for part in {f"{kind}.weight", f"{kind}.bias"} & weights.keys():
            weights[part] = (weights[part] * factor).astype(np.float32)
        self.layer_of[node.outputs[0]] = self.operand(node)
        return True

    def _scalable(self, name: str, factor: float) -> str | None:
        """Return the layer whose weights scale a layer's results and nothing else."""
        layer = self.layers.get(name)
        if layer is None or not self._is_read_once(name):
            return None
        if layer.activation != "none" and not (layer.activation == "relu" and factor > 0):
            return None
        if name in self.weights:
            return name
        kind = LAYER_KINDS.get(layer.kind)
        if layer.kind != "matmul" and not (kind.moves and kind.inputs == 1):
            return None
        found = (self._scalable(source, factor) for source in layer.inputs)
        return next((source for source in found if source is not None), None)

    def _is_read_once(self, name: str) -> bool:
        tensors = [tensor for tensor, layer in self.layer_of.items() if layer == name]
        # What joined a layer, as its bias, reads it inside.
        outside = sum(self.uses[tensor] for tensor in tensors) - max(len(tensors) - 1, 0)
        inside = sum(name in layer.inputs for layer in self.layers.values())
        return outside <= 1 and inside <= 1

    def activate(self, node: Node, activation: Activation) -> None:
        """Give the layer before a node an activation; a hard swish may stand alone."""
        layer = self.open_layer(node)
        alone = activation == "hard_swish"
        if layer is None or (alone and not LAYER_KINDS.get(layer.kind).takes_activation):
            if not alone:
                raise self.refused(node, "follows no layer that is read by it alone")
            source = self.operand(node)
            self.add(node, "hard_swish", (source,), self.shapes[source])
            return
        self.layers[layer.name] = replace(layer, activation=activation)
        self.layer_of[node.outputs[0]] = layer.name

    def _formed(self, name: str, shape: Shape) -> str:
        if self.shapes[name] == shape:
            return name
        form = "to_image" if name == "input" else f"{name}_as_{'x'.join(map(str, shape))}"
        known = self.layers.get(form)
        return form if known is not None else self.append(form, "reshape", (name,), shape)

    def append(
        self, wanted: str, kind: str, inputs: tuple[str, ...], shape: Shape, **facts: Any
    ) -> str:
        """Append a layer that no tensor of the file is yet; returns its name."""
        # Names become ONNX nodes, torch submodules and C identifiers.
        base = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        base = base if base.isidentifier() and base != "input" else f"layer_{base}"
        name, number = base, 2
        while name in self.layers:
            name, number = f"{base}_{number}", number + 1
        sizes = prod(self.shapes[inputs[0]])
        if kind == "reshape" and prod(shape) != sizes:
            raise ModelFileError(f"{self.where}: {wanted!r} makes {shape} of {sizes} values")
        self.layers[name] = Layer(name=name, kind=kind, inputs=inputs, shape=shape, **facts)
        self.shapes[name] = shape
        return name
