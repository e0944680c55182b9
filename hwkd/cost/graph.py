"""The operator graph of a student, from its description by arithmetic alone.

The result equals the graph of the ONNX file that `hwkd.deploy.to_onnx` writes, operator for
operator, and costs tens of microseconds: candidates are screened without building a network.
"""

from __future__ import annotations

from math import prod

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.student import ONNX_ACTIVATIONS, ONNX_KINDS, Layer, Layers

__all__ = ["build_graph"]


def build_graph(layers: Layers) -> OpGraph:
    """Return the operators that run on the device for one inference.

    A normalisation is folded into its layer's weights, so it adds a bias and no operator.
    Element-wise operators and pooling have no multiply-accumulates.
    """
    tensors = {"input": Tensor(name="input", shape=(1, *layers.input_shape))}
    # Layer name -> tensor that holds its output, after the activation.
    outputs = {"input": "input"}
    ops: list[Op] = []
    for layer in layers.layers:
        name = layer.name
        shape = (1, *layer.shape)
        inputs = tuple([outputs[source] for source in layer.inputs])
        ops.append(_op(layer, inputs, tensors[inputs[0]].shape))
        tensors[name] = Tensor(name=name, shape=shape)
        if layer.activation != "none":
            activated = f"{name}_act"
            kind = ONNX_ACTIVATIONS[layer.activation]
            ops.append(Op(name=activated, kind=kind, inputs=(name,), outputs=(activated,)))
            tensors[activated] = Tensor(name=activated, shape=shape)
            name = activated
        outputs[layer.name] = name
    return OpGraph(
        ops=tuple(ops),
        tensors=tensors,
        inputs=("input",),
        outputs=(outputs[layers.layers[-1].name],),
    )


def _op(layer: Layer, inputs: tuple[str, ...], input_shape: tuple[int, ...]) -> Op:
    """Return the operator of a layer without its activation; `input_shape` has the batch."""
    name, kind, shape = layer.name, layer.kind, layer.shape
    if kind == "conv":
        kernel, groups = layer.kernel, layer.groups
        weights = shape[0] * (input_shape[1] // groups) * kernel[0] * kernel[1]
        return Op(
            name=name,
            kind="Conv",
            inputs=inputs,
            outputs=(name,),
            macs=weights * shape[1] * shape[2],
            weights=weights,
            biases=shape[0],
            kernel=kernel,
            stride=layer.stride,
            pads=layer.pads,
            groups=groups,
        )
    op = Op(name=name, kind=ONNX_KINDS[kind], inputs=inputs, outputs=(name,))
    if kind == "linear":
        op.weights = op.macs = shape[0] * input_shape[1]
        op.biases = shape[0]
    elif kind == "matmul":
        op.macs = prod(shape) * input_shape[-1]
    elif kind in ("avg_pool", "max_pool"):
        op.kernel, op.stride, op.pads = layer.kernel, layer.stride, layer.pads
    return op
