"""What a finished student needs as the C that hwkd exports, beside the runtime of the search."""

from __future__ import annotations

from pathlib import Path

from hwkd.core.measure import CostEstimate
from hwkd.cost.backend import CostQuestion, ModelFile, backend_of
from hwkd.cost.features import with_features
from hwkd.deploy.to_c.costs import RUNTIME
from hwkd.engine.setup.screening import Screen
from hwkd.trace.onnx_file import load_network


def own_c_cost(int8_path: Path, screen: Screen) -> CostEstimate | None:
    """Return the estimate for the exported C; None where nothing is known of it on the device.

    Args:
        screen: device, features, and the runtime of the search, which is not asked for again.
    """
    question, device = screen.question, screen.device
    if RUNTIME not in device.runtimes or question.runtime == RUNTIME:
        return None
    network = load_network(int8_path, keep_types=True)
    file = ModelFile(path=int8_path, graph=network.graph, dtype=network.dtype, costed_in="int8")
    asked = CostQuestion(
        device=device, runtime=RUNTIME, clock_hz=question.clock_hz,
        names_bytes=question.names_bytes,
    )  # fmt: skip
    cost = backend_of(device).cost_file(file, asked).cost
    return cost if screen.features is None else with_features(cost, screen.features)
