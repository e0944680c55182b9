"""What each stage of a student costs on the device: what feature methods can be weighed by."""

from __future__ import annotations

from hwkd.core.errors import ConfigError
from hwkd.core.student import Layers
from hwkd.cost.backend import screening_backend
from hwkd.cost.graph import build_graph
from hwkd.distill.pairing import hardware_importance
from hwkd.engine.setup.screening import Screen


def stage_importance(screen: Screen, layers: Layers) -> tuple[float, ...]:
    """Return what each stage costs on the device: the operators since the stage before.

    Raises:
        ConfigError: if the device or the runtime has no latency estimates.
    """
    device = screen.device
    cost = screening_backend(device).screen(build_graph(layers), screen.question)
    if cost.latency is None:
        raise ConfigError(
            f"--importance hardware: {device.name} has no latency estimates to weigh stages by; "
            "name a device that has with --device (see `hwkd devices list`), or leave it out"
        )
    stages = sorted((n for n in layers.taps if n.startswith("stage")), key=lambda n: int(n[5:]))
    ends = {layers.taps[name]: index for index, name in enumerate(stages)}
    costs = [0.0] * len(stages)
    stage = 0
    for op in cost.per_op:
        if stage < len(stages):
            costs[stage] += op.latency_s or 0.0
        if op.name in ends:
            stage = ends[op.name] + 1
    return hardware_importance(costs)
