"""Ethos-U devices: Arm's vela compiler costs a finished int8 network, in the terms of the rest."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hwkd.core.basis import Basis
from hwkd.core.catalog import BACKENDS
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.measure import CostEstimate, LatencyEstimate, OpCost
from hwkd.core.memory_stage import MemoryStage
from hwkd.cost.backend import CostQuestion, Evidence, FileCost, ModelFile

if TYPE_CHECKING:
    from hwkd.deploy.vela import VelaLayer, VelaReport

_ESTIMATE = "compiler estimate"


class Compiled:
    """Compiles a network and reads what the compiler says of it."""

    basis = Basis(
        name="compiled",
        spread=None,
        sizes=_ESTIMATE,
        rest_of_flash="biases and commands",
        has_op_flash=False,
    )
    summary = "a compiler"
    can_screen = False

    def check(self, device: Device) -> None:
        """The compiler knows the clock; the file says what others read."""
        if device.clock_hz is None:
            raise ConfigError("clock_hz is missing; every device that is predicted needs it")

    def refuse(self, question: CostQuestion) -> None:
        """The compiler describes one system, which runs int8."""
        name = question.device.name
        question.device.runtime(question.runtime)
        if question.clock_hz is not None:
            raise ConfigError(
                f"--clock: {name} is costed at its system's clock, which its memories are "
                "described for; leave it out"
            )
        if question.dtype not in (None, "int8"):
            raise ConfigError(f"--dtype: {name} runs int8 only; leave it out")

    def screen(self, graph: OpGraph, question: CostQuestion) -> CostEstimate:
        """Refuse: a candidate has no file yet, and compiling one takes seconds."""
        del graph
        raise ConfigError(f"{question.device.name} cannot be screened for: it compiles files")

    def cost_file(self, model: ModelFile, question: CostQuestion) -> FileCost:
        """Compile the file."""
        from hwkd.deploy.to_tflite import write_tflite
        from hwkd.deploy.vela import require_vela, run_vela
        from hwkd.io.core_files import load_npu
        from hwkd.qgraph.read_qdq import read_qdq

        require_vela()
        network = read_qdq(model.path)
        npu = load_npu(question.device.core_key)
        tflite = write_tflite(network, runs=False)
        report = run_vela(tflite, npu, {op.name for op in network.ops})
        return FileCost(cost=_cost(report, model.graph, question.device), stages=_stages(report))

    def evidence(self, device: Device) -> tuple[Evidence, ...]:
        """Nothing was measured."""
        origin = "nothing; its maker gives no error band"
        return tuple(
            Evidence(runtime=f"{name} {runtime.version}", error=_ESTIMATE, origin=origin)
            for name, runtime in sorted(device.runtimes.items())
        )


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
            basis=f"{_ESTIMATE}: vela {report.version}, whose maker gives no error band",
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


def _stages(report: VelaReport) -> tuple[MemoryStage, ...]:
    """Return the SRAM in use while each layer runs; vela does not say what for."""
    return tuple(
        MemoryStage(
            op=layer.name, kind=layer.kind, used_bytes=layer.sram_bytes, held_bytes=0,
            scratch_bytes=0, overhead_bytes=0,
        )
        for layer in report.layers
    )  # fmt: skip


BACKENDS.register(Compiled.basis.name)(Compiled())
