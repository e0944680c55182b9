"""One ONNX node -> one `Op`: multiply-accumulates, weights and the geometry that a cost needs."""

from __future__ import annotations

from collections.abc import Mapping, Set
from math import ceil, prod

import numpy as np

from hwkd.core.errors import ModelFileError
from hwkd.core.graph import FileFacts, Op
from hwkd.core.kinds import kind_of
from hwkd.trace.onnx_dtypes import BITS
from hwkd.trace.onnx_nodes import Node
from hwkd.trace.onnx_tensors import Constant

Shapes = Mapping[str, tuple[int, ...]]
Stored = Mapping[str, Constant]
Pads = tuple[int, int, int, int]

# Their constant inputs say what to do (bounds, sizes, axes); runtimes compile them in.
_CONSTANTS_ARE_OPTIONS = frozenset(
    {
        "Clip", "CumSum", "Expand", "Pad", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
        "Reshape", "Resize", "Slice", "Split", "Squeeze", "Tile", "TopK", "Unsqueeze", "Upsample",
    }
)  # fmt: skip
# Windows that a student has no layer of.
_OTHER_WINDOWS = frozenset({"ConvInteger", "ConvTranspose", "LpPool"})
_CONVOLUTIONS = frozenset({"Conv", "ConvInteger"})
_PRODUCTS = frozenset({"MatMul", "MatMulInteger"})
_RECURRENT = frozenset({"GRU", "LSTM", "RNN"})


def build_op(
    node: Node,
    shapes: Shapes,
    fixed: Set[str],
    stored: Stored,
    *,
    has_norm: bool,
    computes_in: str | None,
    dtypes: Mapping[str, str],
) -> Op:
    """Describe a node as the cost model reads it.

    Args:
        node: quantisation already removed.
        shapes: of every tensor, constants included.
        fixed: names of the constants: stored ones and what is computed from them alone.
        has_norm: a batch normalisation follows, so an all-zero filter still gives its shift.
        computes_in: type that the file fixes for it; None where the costing chooses.
        dtypes: tensor -> type, where the file fixes it.

    Raises:
        ModelFileError: if a window or its weights do not fit its input.
    """
    reads_channels = kind_of(node.kind).reads_channels
    if reads_channels:
        _check_window(node, shapes)
    kernel, stride, pads, dilation = geometry(node, shapes, stored)
    rank = len(shapes[node.inputs[0]]) if node.inputs and node.inputs[0] else 0
    weights, biases, others = _constant_operands(node, fixed)
    return Op(
        name=node.name,
        kind=f"{node.kind}3d" if reads_channels and rank > 4 else node.kind,
        inputs=tuple(name for name in node.inputs if name and name not in fixed),
        outputs=tuple(name for name in node.outputs if name in shapes),
        macs=_macs(node, shapes),
        weights=sum(prod(shapes[name]) for name in weights),
        biases=sum(prod(shapes[name]) for name in biases),
        kernel=kernel,
        stride=stride,
        pads=pads,
        dilation=dilation,
        groups=_groups(node),
        zero_out_channels=(
            _zero_channels(node, stored) if node.kind == "Conv" and not has_norm else 0
        ),
        constants=sum(prod(shapes[name]) for name in others),
        facts=FileFacts(
            computes_in=computes_in,
            weight_bits=_most_bits(weights, dtypes),
            constant_bits=_most_bits(others, dtypes),
            weight_key=_key(weights),
            bias_key=_key(biases),
            constant_key=_key(others),
            is_one_dimensional=reads_channels and rank == 3,
        ),
    )


def _check_window(node: Node, shapes: Shapes) -> None:
    """Refuse windows and weights that contradict the input; onnx infers shapes for them all."""
    what = f"node {node.name!r} ({node.kind})"
    shape = shapes[node.inputs[0]]
    if not 3 <= len(shape) <= 5:
        raise ModelFileError(
            f"{what} reads a tensor of shape {shape}; expected channels and one to three more "
            "dimensions: export it again"
        )
    if node.kind not in (*_CONVOLUTIONS, "ConvTranspose"):
        return
    weight, groups = shapes[node.inputs[1]], _groups(node)
    axis = 1 if node.kind == "ConvTranspose" else 0
    needed = weight[0] if axis else weight[1] * groups if len(weight) > 1 else 0
    fits = len(weight) == len(shape) and groups >= 1 and needed == shape[1]
    if not fits or (weight[0] if axis == 0 else needed) % groups:
        raise ModelFileError(
            f"{what} has weights of shape {weight} in {groups} groups for an input of shape "
            f"{shape}; the file is damaged, export it again"
        )


def _groups(node: Node) -> int:
    return int(node.attributes.get("group", 1))


def _macs(node: Node, shapes: Shapes) -> int:
    """Multiply-accumulates of convolutions, matrix products and recurrences; 0 for the rest."""
    if node.kind in (*_CONVOLUTIONS, "ConvTranspose"):
        weight = shapes[node.inputs[1]]
        # A filter bank is used once for each output position (input position if transposed).
        counted = shapes[node.inputs[0] if node.kind == "ConvTranspose" else node.outputs[0]]
        return prod(weight) * prod(counted[2:]) * counted[0]
    if node.kind == "Resize":
        between = node.attributes.get("mode", b"nearest") == b"linear"
        return 4 * prod(shapes[node.outputs[0]]) if between else 0
    if node.kind == "Gemm":
        left = shapes[node.inputs[0]]
        depth = left[0] if node.attributes.get("transA") else left[1]
        return prod(shapes[node.outputs[0]]) * depth
    if node.kind in _PRODUCTS:
        return prod(shapes[node.outputs[0]]) * shapes[node.inputs[0]][-1]
    if node.kind == "Einsum":
        return _einsum_macs(node, shapes)
    if node.kind in _RECURRENT:
        # Steps and examples, in either order: each of them uses every weight once.
        steps_and_batch = prod(shapes[node.inputs[0]][:2])
        return steps_and_batch * (prod(shapes[node.inputs[1]]) + prod(shapes[node.inputs[2]]))
    return 0


def _einsum_macs(node: Node, shapes: Shapes) -> int:
    """One for every combination of its indices and every operand but the first."""
    equation = node.attributes.get("equation")
    text = equation.decode(errors="replace") if isinstance(equation, bytes) else ""
    terms = text.replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    broadcast = 1
    for term, name in zip(terms, node.inputs, strict=False):
        shape, (before, dots, after) = shapes[name], term.partition("...")
        named = [*zip(before, shape, strict=False), *zip(after[::-1], shape[::-1], strict=False)]
        for index, size in named:
            sizes[index] = max(size, sizes.get(index, 1))
        if dots:
            broadcast = max(broadcast, prod(shape[len(before) : len(shape) - len(after)]))
    return prod(sizes.values()) * broadcast * max(0, len(terms) - 1)


def _constant_operands(
    node: Node, fixed: Set[str]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return names of (weights, biases, other constant operands)."""
    given = [name if name in fixed else "" for name in node.inputs]

    def at(*positions: int) -> tuple[str, ...]:
        return tuple(given[i] for i in positions if i < len(given) and given[i])

    if node.kind in (*_CONVOLUTIONS, "ConvTranspose", "Gemm"):
        bias = () if node.kind == "ConvInteger" else at(2)
        return at(1), bias, at(0)
    if node.kind in _PRODUCTS:
        return at(0, 1), (), ()
    if kind_of(node.kind).is_lookup:
        return at(0), (), at(1)
    if node.kind == "Einsum":
        return tuple(name for name in given if name), (), ()
    if node.kind in _RECURRENT:
        return at(1, 2), at(3), ()
    if node.kind == "BatchNormalization":
        # Scale, shift, mean and variance become one factor and one summand for each channel.
        return at(1), at(2), ()
    if node.kind in _CONSTANTS_ARE_OPTIONS:
        return (), (), ()
    return (), (), tuple(name for name in given if name)


def _most_bits(names: tuple[str, ...], dtypes: Mapping[str, str]) -> int | None:
    found = [BITS[dtypes[name]] for name in names if name in dtypes]
    return max(found, default=None)


def _key(names: tuple[str, ...]) -> str:
    # No name of a file holds a zero byte and a second name after it.
    return "\0".join(names)


def geometry(
    node: Node, shapes: Shapes, stored: Stored
) -> tuple[tuple[int, int], tuple[int, int], Pads, tuple[int, int]]:
    """Return kernel, stride, pads and dilation; a 1-D window is one of height 1."""
    if node.kind == "Pad":
        return (1, 1), (1, 1), _pad_amounts(node, stored), (1, 1)
    if not kind_of(node.kind).is_window and node.kind not in _OTHER_WINDOWS:
        return (1, 1), (1, 1), (0, 0, 0, 0), (1, 1)
    spatial = shapes[node.inputs[0]][2:]
    window = node.attributes.get("kernel_shape")
    stored_sizes = list(shapes[node.inputs[1]][2:]) if len(node.inputs) > 1 else None
    sizes = list(window) if window is not None else list(stored_sizes or ())
    if stored_sizes is not None and sizes != stored_sizes:
        raise ModelFileError(
            f"node {node.name!r} ({node.kind}) says a kernel of {sizes} and has weights for "
            f"{stored_sizes}; export it again"
        )
    ones = [1] * len(spatial)
    strides = list(node.attributes.get("strides", ones))
    dilations = list(node.attributes.get("dilations", ones))
    if not len(sizes) == len(strides) == len(dilations) == len(spatial):
        raise ModelFileError(
            f"node {node.name!r} ({node.kind}) has a kernel {sizes}, strides {strides} and "
            f"dilations {dilations} for {len(spatial)} spatial dimensions; export it again"
        )
    if min((*sizes, *strides, *dilations)) < 1:
        raise ModelFileError(
            f"node {node.name!r} ({node.kind}) has a kernel {sizes}, strides {strides} and "
            f"dilations {dilations}; expected 1 or more of each: export it again"
        )
    before, after = _window_pads(node, spatial, sizes, strides, dilations)
    top, left = _pair(before, 0)
    bottom, right = _pair(after, 0)
    return _pair(sizes, 1), _pair(strides, 1), (top, left, bottom, right), _pair(dilations, 1)


def _window_pads(
    node: Node, spatial: tuple[int, ...], sizes: list[int], strides: list[int], dilations: list[int]
) -> tuple[list[int], list[int]]:
    """Return the zeros before and after each spatial dimension, automatic padding worked out."""
    auto = node.attributes.get("auto_pad", b"NOTSET")
    count = len(spatial)
    if auto in (b"SAME_UPPER", b"SAME_LOWER"):
        before, after = [], []
        for size, kernel, stride, dilation in zip(spatial, sizes, strides, dilations, strict=True):
            reach = (ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1
            total = max(reach - size, 0)
            small, large = total // 2, total - total // 2
            before.append(small if auto == b"SAME_UPPER" else large)
            after.append(large if auto == b"SAME_UPPER" else small)
        return before, after
    pads = list(node.attributes.get("pads", [0] * 2 * count))
    if len(pads) != 2 * count or min(pads) < 0:
        raise ModelFileError(
            f"node {node.name!r} ({node.kind}) has the pads {pads}; expected {2 * count} numbers "
            "from 0: export it again"
        )
    return pads[:count], pads[count:]


def _pad_amounts(node: Node, stored: Stored) -> Pads:
    """Return the zeros that a Pad adds around the last two dimensions; none if it does more."""
    given = stored.get(node.inputs[1]) if len(node.inputs) > 1 else None
    amounts = given.values().tolist() if given is not None else node.attributes.get("pads", [])
    rank = len(amounts) // 2
    is_plain = node.attributes.get("mode", b"constant") == b"constant" and len(node.inputs) < 4
    value = stored.get(node.inputs[2]) if len(node.inputs) > 2 else None
    if rank not in (3, 4) or not is_plain or (value is not None and value.values().any()):
        return (0, 0, 0, 0)
    before, after = amounts[:rank], amounts[rank:]
    if any(before[:2]) or any(after[:2]) or min(amounts) < 0:
        return (0, 0, 0, 0)
    top, left = _pair(before[2:], 0)
    bottom, right = _pair(after[2:], 0)
    return top, left, bottom, right


def _pair(values: list[int], fill: int) -> tuple[int, int]:
    """Return (height, width); one value is a width, and of three the last two count."""
    both = [fill, *values][-2:]
    return both[0], both[1]


def _zero_channels(node: Node, stored: Stored) -> int:
    """Count output channels whose filter and bias are zero."""
    weight = stored.get(node.inputs[1])
    # An unsigned integer has a zero point above 0, so that a stored 0 is not the value zero.
    if weight is None or np.issubdtype(weight.values().dtype, np.unsignedinteger):
        return 0
    values = weight.values()
    is_zero = ~np.any(values.reshape(values.shape[0], -1), axis=1)
    if is_zero.any() and len(node.inputs) > 2 and node.inputs[2]:
        bias = stored.get(node.inputs[2])
        fits = bias is not None and bias.elements == len(is_zero)
        is_zero &= bias.values().reshape(-1) == 0 if fits and bias is not None else False
    return int(is_zero.sum())
