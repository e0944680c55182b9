"""The machine that runs hwkd: timed with ONNX Runtime; its RAM and flash are estimated."""

from __future__ import annotations

from dataclasses import replace

from hwkd.core.basis import MEASURED
from hwkd.core.catalog import BACKENDS
from hwkd.core.device import Device
from hwkd.core.errors import ConfigError
from hwkd.core.graph import OpGraph
from hwkd.core.measure import CostEstimate
from hwkd.cost.backend import CostQuestion, Evidence, FileCost, ModelFile
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.estimate_file import estimate_file


class Measured:
    """Times a file where it is; nothing predicts its latency."""

    basis = MEASURED
    summary = "the clock of this machine"
    can_screen = True

    def check(self, device: Device) -> None:
        """Nothing is needed: the machine runs at the clock that it has."""

    def refuse(self, question: CostQuestion) -> None:
        """The machine cannot be set to a clock."""
        question.device.runtime(question.runtime)
        if question.clock_hz is not None:
            raise ConfigError(
                f"--clock: {question.device.name} is measured at the clock that it runs at; "
                "leave it out"
            )

    def screen(self, graph: OpGraph, question: CostQuestion) -> CostEstimate:
        """Predict RAM and flash of a candidate; its file is timed once there is one."""
        return estimate_cost(graph, question.device, runtime=question.runtime, has_latency=False)

    def cost_file(self, model: ModelFile, question: CostQuestion) -> FileCost:
        """Time the file as it is."""
        from hwkd.profiling.onnx_runtime import measure_latency

        if question.dtype not in (None, model.dtype):
            raise ConfigError(
                f"--dtype: {question.device.name} measures the file as it is, which is "
                f"{model.dtype}; give a file that is {question.dtype}"
            )
        if model.dtype == "float32":
            model = replace(model, costed_in="float32")
        found = estimate_file(model, question, has_latency=False)
        return replace(found, measured=measure_latency(model.path))

    def evidence(self, device: Device) -> tuple[Evidence, ...]:
        """The machine itself."""
        return tuple(
            Evidence(
                runtime=f"{name} {runtime.version}", error=MEASURED.name, origin="this machine"
            )
            for name, runtime in sorted(device.runtimes.items())
        )


BACKENDS.register(MEASURED.name)(Measured())
