"""What `hwkd profile` knows about a network on a device, before it is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwkd.core.device import Device, Runtime
from hwkd.core.device_catalog import load_device
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.measure import CostEstimate, Profile
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.fuse import fuse
from hwkd.cost.memory import plan_memory
from hwkd.cost.memory_order import OrderPlan, find_order
from hwkd.cost.memory_stages import MemoryStage, memory_stages
from hwkd.trace.onnx_file import load_graph, stored_dtype

__all__ = ["ModelProfile", "profile_model"]

_DTYPES = ("int8", "float32")
_ELEMENT_BYTES = {"int8": 1, "float32": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    """A network on a device.

    Attributes:
        cost: estimate; its latency is None for a device that is measured.
        measured: the measurement, for a device that is measured.
        stages: memory while each operator runs.
        order: the order that needs the least memory; None where a compiler chooses it.
        is_compiled: the vendor's compiler costed it.
        latency_limit_s: the device's target.
        ram_limit_bytes: RAM that a network may use; None without a limit.
        flash_limit_bytes: flash that a network may use; None without a limit.
    """

    cost: CostEstimate
    measured: Profile | None
    stages: tuple[MemoryStage, ...]
    order: OrderPlan | None
    is_compiled: bool
    latency_limit_s: float
    ram_limit_bytes: int | None
    flash_limit_bytes: int | None

    @property
    def latency_interval_s(self) -> tuple[float, float, float]:
        """Most likely value, low and high: 90% interval if estimated, quartiles if measured."""
        if self.measured is not None:
            median, spread = self.measured.median_s, self.measured.spread_s
            return median, max(median - spread / 2, 0.0), median + spread / 2
        latency = self.cost.latency
        if latency is None:
            raise ValueError(f"{self.cost.device} has neither an estimate nor a measurement")
        return latency.value_s, latency.low_s, latency.high_s

    @property
    def latency_basis(self) -> str:
        """Where the latency comes from."""
        if self.measured is not None:
            return f"measured: onnxruntime {self.measured.runtime_version}"
        return self.cost.latency.basis if self.cost.latency is not None else "unknown"

    @property
    def fits(self) -> dict[str, bool]:
        """Whether latency (upper end), RAM and flash stay inside the limits; no limit fits."""
        cost = self.cost
        ram, flash = self.ram_limit_bytes, self.flash_limit_bytes
        return {
            "latency": self.latency_interval_s[2] <= self.latency_limit_s,
            "ram": ram is None or cost.peak_ram_bytes <= ram,
            "flash": flash is None or cost.flash_bytes <= flash,
        }

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
            "energy_j": cost.energy_j,
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
            "fits": self.fits,
        }  # fmt: skip


def profile_model(
    model: Path,
    device_name: str,
    *,
    runtime: str | None,
    clock_hz: float | None,
    dtype: str | None,
) -> ModelProfile:
    """Read a network and cost it on a device; the host is measured.

    Raises:
        ConfigError: if device, runtime, clock and dtype do not go together.
        ModelFileError: if the file cannot be read.
        ProfilingError: if the host cannot run it.
    """
    device = load_device(device_name)
    graph = load_graph(model)
    chosen = _choose_dtype(device, runtime, dtype, stored_dtype(model))
    if device.is_measured and clock_hz is not None:
        raise ConfigError(
            f"--clock: {device.name} is measured at the clock that it runs at; leave it out"
        )
    if device.is_compiled:
        cost, stages = _compile(model, graph, device, clock_hz, chosen)
        order = None
    else:
        cost = estimate_cost(graph, device, runtime=runtime, clock_hz=clock_hz, dtype=chosen)
        stages, order = _plan(graph, device.runtime(runtime), _ELEMENT_BYTES[chosen])
    return ModelProfile(
        cost=cost,
        measured=_measure(model) if device.is_measured else None,
        stages=stages,
        order=order,
        is_compiled=device.is_compiled,
        latency_limit_s=device.target_latency_s,
        ram_limit_bytes=_less(device.sram_bytes, device.reserved_ram_bytes),
        flash_limit_bytes=_less(device.flash_bytes, device.reserved_flash_bytes),
    )


def _plan(
    graph: OpGraph, stack: Runtime, element_bytes: int
) -> tuple[tuple[MemoryStage, ...], OrderPlan]:
    running = fuse(graph, stack.fusion).stored
    plan = plan_memory(running, stack.memory, element_bytes)
    return memory_stages(running, plan), find_order(running, element_bytes)


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
    from hwkd.cli.profile_vela import compile_and_cost

    return compile_and_cost(model, graph, device)


def _choose_dtype(device: Device, runtime: str | None, asked: str | None, stored: str) -> str:
    if asked is not None and asked not in _DTYPES:
        raise ConfigError(f"--dtype: {asked!r} is not one of {', '.join(_DTYPES)}")
    if device.is_measured:
        if asked not in (None, stored):
            raise ConfigError(
                f"--dtype: {device.name} measures the file as it is, which is {stored}; "
                f"give a file that is {asked}"
            )
        return stored
    known = tuple(device.runtime(runtime).latency)
    if asked is None and "int8" not in known and known:
        return known[0]
    return asked or "int8"


def _measure(model: Path) -> Profile:
    from hwkd.profiling.onnx_runtime import measure_latency

    return measure_latency(model)


def _less(total: int | None, reserved: int) -> int | None:
    return None if total is None else total - reserved
