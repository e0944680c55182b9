"""Flash of a network: weights, biases, quantisation tables and the runtime's code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hwkd.core.graph import OpGraph
from hwkd.core.memory_model import StorageModel

__all__ = ["StoragePlan", "plan_storage"]

_BIAS_BYTES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class StoragePlan:
    """Where the flash goes.

    Attributes:
        weight_bytes: weights, biases and other constants of the network.
        code_bytes: the runtime's code, its description of the network, quantisation tables.
        flash_bytes: both.
        per_op_bytes: operator -> its weights, biases and constants.
    """

    weight_bytes: int
    code_bytes: int
    flash_bytes: int
    per_op_bytes: Mapping[str, int]


def plan_storage(graph: OpGraph, model: StorageModel, element_bytes: int) -> StoragePlan:
    """Add up the flash of a fused graph.

    Args:
        graph: the operators that run.
        model: what the runtime adds.
        element_bytes: size of a weight, 1 or 4; biases take 4 bytes either way.
    """
    code = model.code_bytes + model.per_tensor_bytes * len(graph.tensors)
    code += model.per_op_bytes * len(graph.ops)
    per_op = {}
    kinds = set()
    for op in graph.ops:
        kinds.add(op.kind)
        size = (op.weights + op.constants) * element_bytes + op.biases * _BIAS_BYTES
        per_op[op.name] = size
        if op.weights and element_bytes == 1:
            code += model.per_output_channel_bytes * graph.tensors[op.outputs[0]].shape[1]
    per_kind = model.per_kind_code_bytes
    code += sum(size for kind, size in per_kind.items() if kind in kinds)
    weight_bytes = sum(per_op.values())
    return StoragePlan(
        weight_bytes=weight_bytes,
        code_bytes=round(code),
        flash_bytes=weight_bytes + round(code),
        per_op_bytes=per_op,
    )
