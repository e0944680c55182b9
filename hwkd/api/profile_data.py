"""What `hwkd profile` knows about a network on a device, before it is shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwkd.core.choices import Dtype
from hwkd.core.device import Device, Runtime
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.limits import Fit, Limits
from hwkd.core.measure import CostEstimate, Profile
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.fuse import fuse
from hwkd.cost.memory import plan_memory
from hwkd.cost.memory_order import MOST_ORDERED_OPS, OrderPlan, find_order
from hwkd.cost.memory_stages import MemoryStage, memory_stages
from hwkd.io.device_catalog import load_device
from hwkd.trace.onnx_file import Network, load_network
from hwkd.trace.onnx_inputs import FixedInput

__all__ = ["ModelProfile", "profile_model"]

_ELEMENT_BYTES = {"int8": 1, "float32": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """A network on a device.

    Attributes:
        model: name of the file.
        cost: estimate; its latency is None for a device that is measured.
        measured: the measurement, for a device that is measured.
        stages: memory while each operator runs.
        order: the order that needs the least memory; None where a compiler chooses it, and for
            networks too large to search.
        is_compiled: the vendor's compiler costed it.
        inputs: of the network, with the axis that was taken as the batch.
        notes: what else was made of the file.
        limits: what it may need on the device.
    """

    model: str
    cost: CostEstimate
    measured: Profile | None
    stages: tuple[MemoryStage, ...]
    order: OrderPlan | None
    is_compiled: bool
    inputs: tuple[FixedInput, ...]
    notes: tuple[str, ...]
    limits: Limits

    @property
    def is_lower_bound(self) -> bool:
        """True when operators without a cost are missing in the estimate."""
        return self.measured is None and self.cost.is_lower_bound

    @property
    def latency_interval_s(self) -> tuple[float | None, float | None, float | None]:
        """Most likely value, low and high: 90% interval if estimated, quartiles if measured.

        With operators without a cost only the low end is known, and not even that where no operator
        has one.
        """
        if self.measured is not None:
            median, spread = self.measured.median_s, self.measured.spread_s
            return median, max(median - spread / 2, 0.0), median + spread / 2
        latency = self.cost.latency
        if latency is None:
            raise ValueError(f"{self.cost.device} has neither an estimate nor a measurement")
        if self.is_lower_bound:
            return None, latency.low_s or None, None
        return latency.value_s, latency.low_s, latency.high_s

    @property
    def latency_basis(self) -> str:
        """Where the latency comes from."""
        if self.measured is not None:
            return f"measured: onnxruntime {self.measured.runtime_version}"
        return self.cost.latency.basis if self.cost.latency is not None else "unknown"

    @property
    def energy_j(self) -> float | None:
        """Joules of one inference; None without a published power or with operators left out."""
        return None if self.is_lower_bound else self.cost.energy_j

    @property
    def fit(self) -> Fit:
        """Whether it stays inside the limits."""
        return Fit.of(self.cost, self.limits, measured=self.measured)

    @property
    def reasons(self) -> dict[str, str]:
        """Why a number or a verdict is not known, by its name in `as_dict`."""
        found = {}
        if self.is_lower_bound:
            ops = sorted(self.cost.unsupported_ops.items())
            kinds = ", ".join(f"{kind} x {n}" for kind, n in ops)
            known = "a lower bound" if self.latency_interval_s[1] else "unknown"
            found["latency"] = f"{known}: {self.cost.runtime} has no cost for {kinds}"
            found["energy_j"] = "the latency is not known"
        elif self.cost.energy_j is None:
            found["energy_j"] = "no published power"
        if self.cost.unknown_kernels:
            kinds = ", ".join(self.cost.unknown_kernels)
            found["ram"] = f"a lower bound: the working memory of {kinds} is not known"
            found["flash"] = f"a lower bound: the code of {kinds} is not known"
        return found

    def op_latency_s(self) -> dict[str, float | None]:
        """Return operator -> seconds, estimated or measured with the profiler on."""
        if self.measured is not None:
            found = {share.name: share.mean_s for share in self.measured.per_op}
            return {op.name: found.get(op.name) for op in self.cost.per_op}
        return {op.name: op.latency_s for op in self.cost.per_op}

    def as_dict(self) -> dict[str, Any]:
        """Return the object that `--json` prints."""
        cost, latency = self.cost, self.op_latency_s()
        value_s, low_s, high_s = self.latency_interval_s
        return {
            "device": cost.device,
            "runtime": cost.runtime,
            "clock_hz": cost.clock_hz or None,
            "dtype": cost.dtype,
            "macs": cost.macs,
            "params": cost.params,
            "latency": {
                "value_s": value_s, "low_s": low_s, "high_s": high_s, "basis": self.latency_basis,
            },
            "peak_ram_bytes": cost.peak_ram_bytes,
            "flash_bytes": cost.flash_bytes,
            "energy_j": self.energy_j,
            "per_op": [
                {
                    "name": op.name, "op": op.kind, "macs": op.macs, "latency_s": latency[op.name],
                    "ram_bytes": op.ram_bytes,
                    # A compiler gives flash for the whole network only.
                    "flash_bytes": None if self.is_compiled else op.flash_bytes,
                }
                for op in cost.per_op
            ],
            "unsupported_ops": dict(cost.unsupported_ops),
            "fit": self.fit.as_dict(),
            "reasons": self.reasons,
            "inputs": [
                {
                    "name": item.name, "shape": list(item.shape), "batch_axis": item.batch_axis,
                    "says": item.says,
                }
                for item in self.inputs
            ],
            "notes": list(self.notes),
        }  # fmt: skip


def profile_model(
    model: Path,
    device_name: str,
    *,
    runtime: str | None,
    clock_hz: float | None,
    dtype: Dtype | None,
) -> ModelProfile:
    """Read a network and cost it on a device; the host is measured.

    Raises:
        ConfigError: if device, runtime, clock and dtype do not go together.
        ModelFileError: if the file cannot be read.
        ProfilingError: if the host cannot run it.
    """
    device = load_device(device_name, runtime=runtime)
    costed_in = _costed_in(device, runtime, dtype)
    network = load_network(model, keep_types=costed_in == "int8")
    graph = network.graph
    _check_dtype(device, dtype, network)
    if device.is_measured and network.dtype == "float32":
        costed_in = "float32"
    if device.is_measured and clock_hz is not None:
        raise ConfigError(
            f"--clock: {device.name} is measured at the clock that it runs at; leave it out"
        )
    order: OrderPlan | None = None
    if device.is_compiled:
        cost, stages = _compile(model, graph, device, clock_hz, costed_in)
    else:
        cost = estimate_cost(graph, device, runtime=runtime, clock_hz=clock_hz, dtype=costed_in)
        if network.dtype == "mixed":
            cost = replace(cost, dtype="mixed")
        stack = device.runtime(runtime)
        stages, order = _plan(graph, stack, _ELEMENT_BYTES[costed_in])
    return ModelProfile(
        model=model.name,
        cost=cost,
        measured=_measure(model) if device.is_measured else None,
        stages=stages,
        order=order,
        is_compiled=device.is_compiled,
        inputs=network.inputs,
        notes=_notes(network, costed_in),
        limits=Limits(
            latency_s=device.target_latency_s,
            ram_bytes=device.available_ram_bytes,
            flash_bytes=device.available_flash_bytes,
        ),
    )


def _costed_in(device: Device, runtime: str | None, asked: Dtype | None) -> Dtype:
    """Return the type of everything whose type the file does not fix."""
    known = () if device.is_measured else tuple(device.runtime(runtime).latency)
    if asked is None and "int8" not in known and known:
        return known[0]
    return asked or "int8"


def _check_dtype(device: Device, asked: Dtype | None, network: Network) -> None:
    if device.is_measured and asked not in (None, network.dtype):
        raise ConfigError(
            f"--dtype: {device.name} measures the file as it is, which is {network.dtype}; "
            f"give a file that is {asked}"
        )
    if asked == "int8" and network.dtype == "mixed":
        raise ConfigError(
            "--dtype: int8 was asked for, and the file is quantised to 8 bits only in part "
            f"({_types_of(network.graph)}); leave it out, or quantise all of the file"
        )


def _notes(network: Network, costed_in: str) -> tuple[str, ...]:
    """Return what was made of the file, beyond its inputs."""
    notes = [item.says for item in network.inputs if item.is_one_step]
    if network.dtype == "mixed":
        notes.append(
            f"each operator is costed in the type that the file gives it: "
            f"{_types_of(network.graph)}"
        )
    elif network.dtype == "int8" and costed_in == "float32":
        notes.append("the file is quantised; it is costed as the float32 network that it came from")
    flat = [op for op in network.graph.ops if op.facts is not None and op.facts.is_one_dimensional]
    if flat:
        notes.append(
            f"{len(flat)} operators over time ({', '.join(sorted({op.kind for op in flat}))}) are "
            "costed as ones on images of height 1, which is how libraries run them; none was timed"
        )
    return tuple(notes)


def _types_of(graph: OpGraph) -> str:
    found = Counter(op.facts.computes_in for op in graph.ops if op.facts is not None)
    return ", ".join(f"{dtype} x {n}" for dtype, n in sorted(found.items(), key=str) if dtype)


def _plan(
    graph: OpGraph, stack: Runtime, element_bytes: int
) -> tuple[tuple[MemoryStage, ...], OrderPlan | None]:
    running = fuse(graph, stack.fusion).stored
    plan = plan_memory(running, stack.memory, element_bytes)
    is_small = len(running.ops) <= MOST_ORDERED_OPS
    return memory_stages(running, plan), find_order(running, element_bytes) if is_small else None


def _compile(
    model: Path, graph: OpGraph, device: Device, clock_hz: float | None, dtype: str
) -> tuple[CostEstimate, tuple[MemoryStage, ...]]:
    if clock_hz is not None:
        raise ConfigError(
            f"--clock: {device.name} is costed at its system's clock, which its memories are "
            "described for; leave it out"
        )
    if dtype != "int8":
        raise ConfigError(f"--dtype: {device.name} runs int8 only; leave it out")
    from hwkd.api.profile_vela import compile_and_cost

    return compile_and_cost(model, graph, device)


def _measure(model: Path) -> Profile:
    from hwkd.profiling.onnx_runtime import measure_latency

    return measure_latency(model)
