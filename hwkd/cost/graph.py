"""The operator graph of a student, from its description by arithmetic alone.

The result equals the graph of the ONNX file that `hwkd.deploy.to_onnx` writes, operator for
operator, and costs tens of microseconds: candidates are screened without building a network.
"""

from __future__ import annotations

from hwkd.core.graph import Op, OpGraph, Tensor
from hwkd.core.kinds import ACTIVATIONS, LAYER_KINDS, activated_name
from hwkd.core.student import Layer, Layers


def build_graph(layers: Layers) -> OpGraph:
    """Return the operators that run on the device for one inference.

    A normalisation is folded into its layer's weights, so it adds a bias and no operator.
    """
    tensors = {"input": Tensor(name="input", shape=(1, *layers.input_shape))}
    # Layer name -> tensor that holds its output, after the activation.
    outputs = {"input": "input"}
    ops: list[Op] = []
    for layer in layers.layers:
        name = layer.name
        shape = (1, *layer.shape)
        inputs = tuple([outputs[source] for source in layer.inputs])
        ops.append(layer_op(layer, inputs, tensors[inputs[0]].shape[1:]))
        tensors[name] = Tensor(name=name, shape=shape)
        if layer.activation != "none":
            activated = activated_name(layer)
            kind = ACTIVATIONS.get(layer.activation).onnx
            ops.append(Op(name=activated, kind=kind, inputs=(name,), outputs=(activated,)))
            tensors[activated] = Tensor(name=activated, shape=shape)
            name = activated
        outputs[layer.name] = name
    return OpGraph(
        ops=tuple(ops),
        tensors=tensors,
        inputs=("input",),
        outputs=tuple([outputs[name] for name in layers.heads]),
    )


def layer_op(layer: Layer, inputs: tuple[str, ...], input_shape: tuple[int, ...]) -> Op:
    """Return the operator of a layer without its activation.

    Args:
        input_shape: of the first of them, without batch.
    """
    kind = LAYER_KINDS.get(layer.kind)
    op = Op(name=layer.name, kind=kind.onnx, inputs=inputs, outputs=(layer.name,))
    op.macs, op.constants = kind.macs(layer, input_shape), kind.constants(layer)
    if kind.weights is not None:
        op.weights = kind.weights(layer, input_shape)
        op.biases = 0 if kind.is_lookup else layer.shape[0]
    if kind.is_window or kind.is_transposed:
        op.kernel, op.stride, op.pads = layer.kernel, layer.stride, layer.pads
        op.groups, op.dilation = layer.groups, layer.dilation
    return op
