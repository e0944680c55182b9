"""Flash of a network: weights, biases, quantisation tables and the runtime's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwkd.core.graph import FileFacts, Op, OpGraph, Tensor
from hwkd.core.memory_model import StorageModel
from hwkd.cost.latency_terms import IMAGE_CHANNELS, op_work

_BIAS_BYTES = 4
# Kinds whose channels are axis 1, whatever follows it.
_CHANNELS_SECOND = ("BatchNormalization", "Conv")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlan:
    """Where the flash goes.

    Attributes:
        weight_bytes: weights, biases and other constants of the network.
        code_bytes: the runtime's code, its description of the network, quantisation tables.
        per_op_bytes: operator -> its weights, biases and constants.
    """

    weight_bytes: int
    code_bytes: int
    flash_bytes: int
    per_op_bytes: Mapping[str, int]


def plan_storage(graph: OpGraph, model: StorageModel, element_bytes: int) -> StoragePlan:
    """Add up the flash of a fused graph.

    Args:
        element_bytes: size of a weight, 1 or 4; biases take 4 bytes either way.
    """
    code = model.code_bytes + model.per_tensor_bytes * len(graph.tensors)
    per_op = {}
    kinds = set()
    has_classes = any(kind.startswith("Conv ") for kind in model.per_kind_code_bytes)
    seen: set[str] = set()
    for op in graph.ops:
        kinds.add(op.kind)
        if op.kind == "Conv" and has_classes:
            work = op_work(op, graph.tensors)
            kinds.add(op.kind if work is None else f"{op.kind} {work.op_class}")
        code += model.per_op_of_kind_bytes.get(op.kind, model.per_op_bytes)
        facts = op.facts
        if facts is None:
            size = (op.weights + op.constants) * element_bytes + op.biases * _BIAS_BYTES
            is_quantised = element_bytes == 1
        else:
            size = _own_bytes(op, facts, element_bytes, seen)
            is_quantised = element_bytes == 1 and (facts.weight_bits or 8) <= 8
        per_op[op.name] = size
        if op.weights and is_quantised:
            code += model.per_output_channel_bytes * _channels(op, graph.tensors)
    per_kind = model.per_kind_code_bytes
    code += sum(size for kind, size in per_kind.items() if kind in kinds)
    if model.per_form_code_bytes:
        code += model.per_form_code_bytes * len(forms_of(graph))
    weight_bytes = sum(per_op.values())
    return StoragePlan(
        weight_bytes=weight_bytes,
        code_bytes=round(code),
        flash_bytes=weight_bytes + round(code),
        per_op_bytes=per_op,
    )


def forms_of(graph: OpGraph) -> set[str]:
    """Return the forms of operator in a graph, each of which a library has a kernel for."""
    tensors, found = graph.tensors, set()
    known: set[tuple[object, ...]] = set()  # convolutions, which are most operators
    for op in graph.ops:
        if op.kind == "Conv":
            is_image = tensors[op.inputs[0]].shape[1] <= IMAGE_CHANNELS
            key = (op.kernel, op.stride, op.groups > 1, is_image)
            if key in known:
                continue
            known.add(key)
        work = op_work(op, tensors)
        found.add(op.kind if work is None else work.form)
    return found


def _own_bytes(op: Op, facts: FileFacts, element_bytes: int, seen: set[str]) -> int:
    """Return the bytes of constants that no operator before has stored."""
    total = 0
    for count, key, bits in (
        (op.weights, facts.weight_key, facts.weight_bits or 8 * element_bytes),
        (op.constants, facts.constant_key, facts.constant_bits or 8 * element_bytes),
        (op.biases, facts.bias_key, 8 * _BIAS_BYTES),
    ):
        if not key or key not in seen:
            total += (count * bits + 7) // 8
        seen.add(key)
    return total


def _channels(op: Op, tensors: Mapping[str, Tensor]) -> int:
    """Return the output channels, each of which has its own scale: axis 1 of images, else last."""
    shape = tensors[op.outputs[0]].shape
    if not shape:
        return 1
    return shape[1] if len(shape) > 1 and op.kind.startswith(_CHANNELS_SECOND) else shape[-1]
