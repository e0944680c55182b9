"""Devices that are predicted: arithmetic on cycles that were fitted to measured operators."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwkd.core.basis import ESTIMATED
from hwkd.core.catalog import BACKENDS, EXPORTERS
from hwkd.core.device import Device, LatencyModel, Runtime
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.measure import CostEstimate, OpCost
from hwkd.core.memory_stage import MemoryStage
from hwkd.cost.backend import CostQuestion, Evidence, FileCost, ModelFile
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.estimate_file import estimate_file
from hwkd.io.discovery import discover

if TYPE_CHECKING:
    from hwkd.deploy.exporter import PlansMemory


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
        cost = estimate_cost(
            graph,
            question.device,
            runtime=question.runtime,
            clock_hz=question.clock_hz,
            by_operator=question.by_operator,
        )
        return _with_names(cost, question)

    def cost_file(self, model: ModelFile, question: CostQuestion) -> FileCost:
        """Predict a finished network; a runtime that plans its own memory is asked for it."""
        device, patches = question.device, question.patches
        planner = device.runtime(question.runtime).memory.planned_by
        is_int8 = model.dtype == model.costed_in == "int8"
        sizes = None
        if planner and is_int8:
            discover("hwkd.deploy.exporters")
            target: PlansMemory = EXPORTERS.get(planner)
            sizes = target.planned_sizes(
                model.path, model.graph, device.core_key, patches, streaming=question.streaming
            )
        if sizes is None:
            if patches is not None or question.streaming:
                asked = "--streaming" if patches is None else f"--patch {patches}"
                raise ConfigError(
                    f"{asked}: only of an int8 file, on a core whose code was measured, is it "
                    f"known what that needs, not of {model.path.name} on {device.name}"
                )
            found = estimate_file(model, question)
            return replace(found, cost=_with_names(found.cost, question))
        found = estimate_file(replace(model, graph=sizes.graph), question)
        cost = replace(
            found.cost,
            peak_ram_bytes=sizes.ram_bytes,
            flash_bytes=sizes.flash_bytes,
            per_op=_as_planned(found.cost.per_op, sizes.stages),
        )
        is_part = patches is not None or question.streaming
        return replace(
            found, cost=_with_names(cost, question), stages=sizes.stages, stream=sizes.stream,
            order=None if is_part else found.order,
        )  # fmt: skip

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


def _with_names(cost: CostEstimate, question: CostQuestion) -> CostEstimate:
    """Return the cost with the names of answers, where the runtime's own C holds them."""
    is_own = bool(question.device.runtime(question.runtime).memory.planned_by)
    more = question.names_bytes if is_own else 0
    return replace(cost, flash_bytes=cost.flash_bytes + more) if more else cost


def _as_planned(per_op: tuple[OpCost, ...], stages: tuple[MemoryStage, ...]) -> tuple[OpCost, ...]:
    """Return the operators with the RAM of the plan while each runs, the runtime's left out."""
    planned = {stage.op: stage.total_bytes - stage.overhead_bytes for stage in stages}
    return tuple(replace(op, ram_bytes=planned.get(op.name, op.ram_bytes)) for op in per_op)


BACKENDS.register(ESTIMATED.name)(Estimated())
