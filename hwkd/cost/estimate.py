"""Operator graph and device in, estimate out; arithmetic only, well under a millisecond."""

from __future__ import annotations

from collections import Counter

from hwkd.core.device import Device, LatencyModel, Runtime
from hwkd.core.errors import ConfigError
from hwkd.core.graph import Op, OpGraph
from hwkd.core.measure import CostEstimate, LatencyEstimate, OpCost
from hwkd.cost.energy import estimate_energy_j
from hwkd.cost.fuse import FusedGraph, fuse
from hwkd.cost.latency import LatencyTable, with_interval
from hwkd.cost.memory import MemoryPlan, plan_memory
from hwkd.cost.storage import StoragePlan, plan_storage

__all__ = ["estimate_cost"]

_ELEMENT_BYTES = {"int8": 1, "float32": 4}


def estimate_cost(
    graph: OpGraph,
    device: Device,
    *,
    runtime: str | None = None,
    clock_hz: float | None = None,
    dtype: str = "int8",
) -> CostEstimate:
    """Predict latency, RAM, flash and energy of one inference of batch 1.

    Args:
        graph: as exported; activations and normalisations may be operators of their own.
        device: board to predict for.
        runtime: inference stack; the device's default when None.
        clock_hz: the device's default when None; cycles are taken as independent of it.
        dtype: "int8" or "float32".

    Returns:
        The estimate; `latency` is None for a device that is measured, and a lower bound when
        `unsupported_ops` is not empty.

    Raises:
        ConfigError: if the runtime has no data for the core or the dtype, or a compiler costs
            the device.
    """
    device.require_cost_model()
    stack = device.runtime(runtime)
    hertz = clock_hz or device.clock_hz or 0.0
    model = _latency_model(device, stack, dtype)
    fused = fuse(graph, stack.fusion)
    cycles, outside, unsupported = _op_cycles(fused.graph, model)
    scale = stack.cycles_scale / hertz if hertz else 0.0
    seconds = {name: amount * scale for name, amount in cycles.items()}
    latency = None
    if model is not None:
        latency = _latency(stack, model, seconds, outside)
    element_bytes = _ELEMENT_BYTES[dtype]
    memory = plan_memory(fused.stored, stack.memory, element_bytes)
    storage = plan_storage(fused.stored, stack.storage, element_bytes)
    return CostEstimate(
        device=device.name,
        runtime=stack.name,
        clock_hz=hertz,
        dtype=dtype,
        macs=fused.graph.macs,
        params=graph.params,
        latency=latency,
        peak_ram_bytes=memory.peak_ram_bytes,
        weight_bytes=storage.weight_bytes,
        flash_bytes=storage.flash_bytes,
        energy_j=estimate_energy_j(device, stack, latency, hertz),
        per_op=_per_op(graph, fused, seconds, memory, storage),
        unsupported_ops=unsupported,
    )


def _latency_model(device: Device, stack: Runtime, dtype: str) -> LatencyModel | None:
    if dtype not in _ELEMENT_BYTES:
        raise ConfigError(f"dtype {dtype!r} is not one of {', '.join(_ELEMENT_BYTES)}")
    if device.is_measured:
        return None
    for known, model in stack.latency.items():
        if known == dtype:
            return model
    raise ConfigError(
        f"{stack.name} on {device.name} has no data for {dtype}; "
        f"it has {', '.join(stack.latency) or 'none'}"
    )


def _op_cycles(
    graph: OpGraph, model: LatencyModel | None
) -> tuple[dict[str, float], set[str], dict[str, int]]:
    """Return cycles by operator, operators outside the fitted range, kinds without a cost."""
    if model is None:
        return {}, set(), {}
    table = LatencyTable(model)
    tensors = graph.tensors
    cycles: dict[str, float] = {}
    outside: set[str] = set()
    unsupported: Counter[str] = Counter()
    for op in graph.ops:
        found = table.op_cycles(op, tensors)
        if found is None:
            unsupported[op.kind] += 1
            continue
        cycles[op.name], is_inside = found
        if not is_inside:
            outside.add(op.name)
    return cycles, outside, dict(unsupported)


def _latency(
    stack: Runtime, model: LatencyModel, seconds: dict[str, float], outside: set[str]
) -> LatencyEstimate:
    return with_interval(
        sum(seconds.values()),
        model,
        outside_s=sum(seconds[name] for name in outside),
        basis=f"estimated: {stack.name} {stack.version}, {model.fitted_on}",
    )


def _per_op(
    graph: OpGraph,
    fused: FusedGraph,
    seconds: dict[str, float],
    memory: MemoryPlan,
    storage: StoragePlan,
) -> tuple[OpCost, ...]:
    """Return the operators that run, in order, each followed by those that it does the work of."""
    absorbed: dict[str, list[Op]] = {}
    for op in graph.ops:
        host = fused.fused_into.get(op.name)
        if host is not None:
            absorbed.setdefault(host, []).append(op)
    live, flash = memory.live_bytes, storage.per_op_bytes
    rows = []
    for op in fused.graph.ops:
        name = op.name
        rows.append(
            OpCost(
                name=name,
                kind=op.kind,
                macs=op.macs,
                latency_s=seconds.get(name),
                ram_bytes=live[name],
                flash_bytes=flash[name],
            )
        )
        if name in absorbed:
            rows.extend([_vanished(gone, name) for gone in absorbed[name]])
    rows.extend([_vanished(gone, "") for gone in absorbed.get("", ())])
    return tuple(rows)


def _vanished(op: Op, host: str) -> OpCost:
    return OpCost(
        name=op.name, kind=op.kind, macs=0, latency_s=0.0, ram_bytes=0, flash_bytes=0,
        fused_into=host,
    )  # fmt: skip
