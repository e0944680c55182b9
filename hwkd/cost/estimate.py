"""Operator graph and device in, estimate out; arithmetic only, well under a millisecond."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hwkd.core.device import Device, LatencyModel, Runtime
from hwkd.core.errors import ConfigError
from hwkd.core.graph import Op, OpGraph
from hwkd.core.kinds import kind_of
from hwkd.core.measure import CostEstimate, LatencyEstimate, OpCost
from hwkd.cost.energy import estimate_energy_j
from hwkd.cost.fuse import FusedGraph, fuse
from hwkd.cost.latency import LatencyTable, OpCycles, Spent, with_interval
from hwkd.cost.memory import MemoryPlan, plan_memory
from hwkd.cost.storage import StoragePlan, plan_storage

ELEMENT_BYTES = {"int8": 1, "float32": 4}


@dataclass(slots=True)
class _Cycles:
    """Cost by operator, kinds without a cost.

    `dtypes` names the operators that compute in another type than the network.
    """

    ops: dict[str, OpCycles] = field(default_factory=dict)
    unsupported: Counter[str] = field(default_factory=Counter)
    dtypes: dict[str, str] = field(default_factory=dict)


def estimate_cost(
    graph: OpGraph,
    device: Device,
    *,
    runtime: str | None = None,
    clock_hz: float | None = None,
    dtype: str = "int8",
    has_latency: bool = True,
    by_operator: bool = True,
) -> CostEstimate:
    """Predict latency, RAM, flash and energy of one inference of batch 1.

    Args:
        graph: as exported; activations and normalisations may be operators of their own.
        device: board to predict for.
        runtime: inference stack; the device's default when None.
        clock_hz: the device's default when None; cycles are taken as independent of it.
        dtype: "int8" or "float32"; operators and tensors whose type the graph fixes keep theirs.
        has_latency: predict it; a device that is timed has nothing to predict it from.
        by_operator: fill `per_op`, which who asks for many networks has no time for.

    Returns:
        The estimate. Latency and energy are lower bounds when `unsupported_ops` is not empty.

    Raises:
        ConfigError: if the runtime has no data for the core or the dtype.
    """
    if dtype not in ELEMENT_BYTES:
        raise ConfigError(f"dtype {dtype!r} is not one of {', '.join(ELEMENT_BYTES)}")
    stack = device.runtime(runtime)
    hertz = clock_hz or device.clock_hz or 0.0
    models = _latency_models(device, stack, dtype) if has_latency else {}
    fused = fuse(graph, stack.fusion)
    found = _op_cycles(fused.graph, models, dtype)
    scale = stack.cycles_scale / hertz if hertz else 0.0
    latency = _latency(stack, models, dtype, found, scale) if models else None
    element_bytes = ELEMENT_BYTES[dtype]
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
        per_op=_per_op(graph, fused, found, scale, memory, storage) if by_operator else (),
        unsupported_ops=dict(found.unsupported),
        unknown_kernels=_unknown_kernels(fused.stored),
    )


def _unknown_kernels(running: OpGraph) -> tuple[str, ...]:
    """Return kinds of running operators that no rule covers, or not in their type."""
    found = set()
    for op in running.ops:
        dtype = op.facts.computes_in if op.facts is not None else None
        if not kind_of(op.kind).work:
            found.add(op.kind)
        elif dtype is not None and dtype not in ELEMENT_BYTES:
            found.add(f"{op.kind} ({dtype})")
    return tuple(sorted(found))


def _latency_models(device: Device, stack: Runtime, dtype: str) -> Mapping[str, LatencyModel]:
    """Return type -> model."""
    models = {str(known): model for known, model in stack.latency.items()}
    if dtype not in models:
        raise ConfigError(
            f"{stack.name} on {device.name} has no data for {dtype}; "
            f"it has {', '.join(stack.latency) or 'none'}"
        )
    return models


def _op_cycles(graph: OpGraph, models: Mapping[str, LatencyModel], dtype: str) -> _Cycles:
    """Look every operator's cycles up, each in the type that it computes in."""
    found = _Cycles()
    if not models:
        return found
    tables = {dtype: LatencyTable.of(models[dtype])}
    tensors = graph.tensors
    for op in graph.ops:
        own = op.facts.computes_in if op.facts is not None else None
        table = tables[dtype]
        if own is not None and own != dtype:
            if own not in models:
                found.unsupported[f"{op.kind} ({own})"] += 1
                continue
            table = tables.setdefault(own, LatencyTable.of(models[own]))
        cost = table.op_cycles(op, tensors)
        if cost is None:
            found.unsupported[op.kind] += 1
            continue
        found.ops[op.name] = cost
        if table is not tables[dtype] and own is not None:
            found.dtypes[op.name] = own
    return found


def _latency(
    stack: Runtime, models: Mapping[str, LatencyModel], dtype: str, found: _Cycles, scale: float
) -> LatencyEstimate:
    """Add up the operators of each type; the ends of their intervals are added too."""
    parts = []
    dtypes = found.dtypes
    for own in dict.fromkeys((dtype, *dtypes.values())):
        spent = Spent()
        for name, cost in found.ops.items():
            if not dtypes or dtypes.get(name, dtype) == own:
                spent.add(cost, scale)
        basis = f"estimated: {stack.name} {stack.version}, {models[own].fitted_on}"
        parts.append(with_interval(models[own], spent, basis))
    if len(parts) == 1:
        return parts[0]
    total_s = sum(part.value_s for part in parts)
    return LatencyEstimate(
        value_s=total_s,
        low_s=sum(part.low_s for part in parts),
        high_s=sum(part.high_s for part in parts),
        basis="; ".join(part.basis for part in parts),
        is_extrapolated=any(part.is_extrapolated for part in parts),
        never_timed=_shares([(part.never_timed, part.value_s / total_s) for part in parts]),
        borrowed=_shares([(part.borrowed, part.value_s / total_s) for part in parts]),
        weak_shares=_shares([(part.weak_shares, part.value_s / total_s) for part in parts]),
    )


def _shares(parts: Sequence[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    """Return shares of a whole from shares of its parts and the part that each is of it."""
    names = dict.fromkeys(name for shares, _ in parts for name in shares)
    return {name: sum(shares.get(name, 0.0) * of for shares, of in parts) for name in names}


def _per_op(
    graph: OpGraph,
    fused: FusedGraph,
    found: _Cycles,
    scale: float,
    memory: MemoryPlan,
    storage: StoragePlan,
) -> tuple[OpCost, ...]:
    """Return the operators that run, in order, each followed by those that it does the work of."""
    absorbed: dict[str, list[Op]] = {}
    fused_into = fused.fused_into
    for op in graph.ops if fused_into else ():
        host = fused_into.get(op.name)
        if host is not None:
            absorbed.setdefault(host, []).append(op)
    seconds = {name: cost.cycles * scale for name, cost in found.ops.items()}
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
