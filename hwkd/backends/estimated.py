"""Devices that are predicted: arithmetic on cycles that were fitted to measured operators."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.basis import ESTIMATED
from hwkd.core.catalog import BACKENDS, EXPORTERS
from hwkd.core.device import Device, LatencyModel, Runtime
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.measure import CostEstimate
from hwkd.cost.backend import CostQuestion, Evidence, FileCost, ModelFile
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.estimate_file import estimate_file
from hwkd.io.discovery import discover


class Estimated:
    """Predicts everything."""

    basis = ESTIMATED
    summary = "arithmetic on measured operators"
    can_screen = True

    def check(self, device: Device) -> None:
        """Cycles need a clock."""
        if device.clock_hz is None:
            raise ConfigError("clock_hz is missing; every device that is predicted needs it")

    def refuse(self, question: CostQuestion) -> None:
        """Any clock and type of a runtime that has data."""
        question.device.runtime(question.runtime)

    def screen(self, graph: OpGraph, question: CostQuestion) -> CostEstimate:
        """Predict a candidate."""
        return estimate_cost(
            graph, question.device, runtime=question.runtime, clock_hz=question.clock_hz
        )

    def cost_file(self, model: ModelFile, question: CostQuestion) -> FileCost:
        """Predict a finished network; a runtime that plans its own memory is asked for it."""
        found = estimate_file(model, question)
        planner = question.device.runtime(question.runtime).memory.planned_by
        if not planner or model.dtype != "int8" or model.costed_in != "int8":
            return found
        discover("hwkd.deploy.exporters")
        sizes = EXPORTERS.get(planner).planned_sizes(model.path, question.device.core_key)
        if sizes is None:
            return found
        cost = replace(found.cost, peak_ram_bytes=sizes.ram_bytes, flash_bytes=sizes.flash_bytes)
        return replace(found, cost=cost)

    def evidence(self, device: Device) -> tuple[Evidence, ...]:
        """What each fit was made on and how well it predicts."""
        found = []
        for name, runtime in sorted(device.runtimes.items()):
            label = f"{name} {runtime.version}"
            if not runtime.latency:
                found.append(Evidence(runtime=label, error="no latency", origin="nothing"))
            for dtype, model in runtime.latency.items():
                found.append(_fit(label, dtype, model, runtime))
        return tuple(found)


def _fit(label: str, dtype: str, model: LatencyModel, runtime: Runtime) -> Evidence:
    # A scaled fit was tested on the core that it comes from, not on this one.
    is_tested = model.error_ratio is not None and runtime.cycles_scale == 1
    scaled = "" if runtime.cycles_scale == 1 else f"; cycles x{runtime.cycles_scale:.3g}"
    return Evidence(
        runtime=label,
        dtype=dtype,
        rows=str(model.measurements),
        error=f"{model.error_ratio:.1%}" if is_tested else "not tested here",
        interval=f"x{model.interval.low_ratio:.2f} to x{model.interval.high_ratio:.2f}",
        origin=model.fitted_on + scaled,
    )


BACKENDS.register(ESTIMATED.name)(Estimated())
