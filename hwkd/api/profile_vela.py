"""A network on an Ethos-U, as Arm's vela compiler costs it, in the terms of `hwkd profile`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hwkd.core.device import Device
from hwkd.core.graph import OpGraph
from hwkd.core.measure import CostEstimate, LatencyEstimate, OpCost
from hwkd.cost.memory_stages import MemoryStage
from hwkd.deploy.to_tflite import write_tflite
from hwkd.deploy.vela import VelaLayer, VelaReport, require_vela, run_vela
from hwkd.io.core_files import load_npu
from hwkd.qgraph.read_qdq import read_qdq

__all__ = ["compile_and_cost", "stages_of"]


def compile_and_cost(
    model: Path, graph: OpGraph, device: Device
) -> tuple[CostEstimate, tuple[MemoryStage, ...]]:
    """Compile an int8 network and return its cost and the memory of each layer.

    Raises:
        ConfigError: if vela is not installed.
        ExportError: if the network is float or has an operator that cannot be written.
        ProfilingError: if vela fails.
    """
    require_vela()
    network = read_qdq(model)
    npu, names = load_npu(device.core_key), {op.name for op in network.ops}
    report = run_vela(write_tflite(network, runs=False), npu, names)
    return _cost(report, graph, device), stages_of(report)


def _cost(report: VelaReport, graph: OpGraph, device: Device) -> CostEstimate:
    value_s = report.cycles / report.clock_hz
    on_cpu = Counter(layer.kind for layer in report.layers if layer.cycles is None)
    return CostEstimate(
        device=device.name,
        runtime=device.default_runtime,
        clock_hz=report.clock_hz,
        dtype="int8",
        macs=graph.macs,
        params=graph.params,
        latency=LatencyEstimate(
            value_s=value_s,
            low_s=value_s,
            high_s=value_s,
            basis=f"compiler estimate: vela {report.version}, whose maker gives no error band",
        ),
        peak_ram_bytes=report.sram_bytes,
        weight_bytes=report.weight_bytes,
        flash_bytes=report.flash_bytes,
        energy_j=None,
        per_op=tuple(_op(layer, report.clock_hz) for layer in report.layers),
        unsupported_ops=dict(on_cpu),
    )


def _op(layer: VelaLayer, clock_hz: float) -> OpCost:
    return OpCost(
        name=layer.name,
        kind=layer.kind,
        macs=layer.macs,
        latency_s=None if layer.cycles is None else layer.cycles / clock_hz,
        ram_bytes=layer.sram_bytes,
        flash_bytes=0,
    )


def stages_of(report: VelaReport) -> tuple[MemoryStage, ...]:
    """Return the SRAM in use while each layer runs; vela does not say what for."""
    return tuple(
        MemoryStage(
            op=layer.name, kind=layer.kind, used_bytes=layer.sram_bytes, held_bytes=0,
            scratch_bytes=0, overhead_bytes=0,
        )
        for layer in report.layers
    )  # fmt: skip
