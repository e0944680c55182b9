"""MLPerf Tiny models on a board that is left out, same core and X-CUBE-AI generation.

The project's data hold few such pairs: for the M7, NUCLEO-H7A3ZI-Q by two submitters and the
reference models on STM32H747; for the M33, NUCLEO-U575ZI-Q with two versions of one generation.

usage: python -m benchmarks.accuracy.cost_other_boards
"""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.lib.published import ModelRow, graph_of
from benchmarks.lib.stack_fits import fitted
from benchmarks.lib.stack_rows import MLPERF_NOISE, mlperf, models, others, zoo
from benchmarks.lib.stacks import MODELS, stack_named
from benchmarks.lib.verdict import Target, report
from hwkd.core.measure import LatencyEstimate
from hwkd.cost.estimate import estimate_cost
from hwkd.cost.fit.design import Design
from hwkd.cost.fit.solve import fit_cycles
from hwkd.io.device_catalog import load_device

_REFERENCE_MODELS = ("resnet_v1_8_32", "mobilenet_v1_0.25_96_int8")


def errors(train: tuple[ModelRow, ...], test: tuple[ModelRow, ...], fit_name: str) -> list[float]:
    """Return the errors of `test` predicted from `train` alone."""
    known = Design.of(models(train, MLPERF_NOISE))
    per_unit = fit_cycles(known, fitted(stack_named(fit_name)).cycles_per_unit, MODELS)
    unseen = Design.of(models(test, MLPERF_NOISE))
    found = list(np.abs(unseen.amounts @ per_unit / unseen.cycles - 1.0))
    for name, error in zip(unseen.names, found, strict=True):
        print(f"  {error:6.1%}  {name}")
    return found


def _zoo(version: str) -> tuple[ModelRow, ...]:
    # From 8.1 on zero channels are dropped: the reference MobileNet holds 1,040, the zoo's none.
    wanted = _REFERENCE_MODELS if version == "7.3.0" else _REFERENCE_MODELS[:1]
    rows = zoo("STM32H747", f"X-CUBE-AI {version}")
    return tuple(row for row in rows if any(name in row.model for name in wanted))


def _by(rows: tuple[ModelRow, ...], submitter: str) -> tuple[ModelRow, ...]:
    return tuple(row for row in rows if row.submitter == submitter)


def compiler_flags() -> list[str]:
    """Return a line for each optimisation: EdgeMark's networks against the packaged M4 fit."""
    lines = []
    for flag in ("-Os", "-Ofast"):
        rows = others("NUCLEO-L4R5ZI", f"GCC {flag}")
        found = [(row.latency_s, _estimated(row)) for row in rows]
        longer = [took / cost.value_s - 1 for took, cost in found]
        inside = sum(cost.low_s <= took <= cost.high_s for took, cost in found)
        lines.append(
            f"{flag}: {min(longer):.0%} to {max(longer):.0%} longer than estimated, mean "
            f"{np.mean(longer):.0%}; {inside} of {len(rows)} inside"
        )
    return lines


def _estimated(row: ModelRow) -> LatencyEstimate:
    device, clock_hz = load_device("cortex-m4"), row.clock_hz
    found = estimate_cost(graph_of(row.model), device, runtime="tflm-cmsis-nn", clock_hz=clock_hz)
    assert found.latency is not None  # the runtime has a fit
    return found.latency


def targets() -> list[Target]:
    """Return the mean error on boards left out, for both cores."""
    h7_73, h7_81 = mlperf("NUCLEO-H7A3", "v7.3.0"), mlperf("NUCLEO-H7A3", "v8.1.0")
    h7_9 = mlperf("NUCLEO-H7A3", "v9.0")
    m7 = errors(_by(h7_73, "STMicroelectronics"), _by(h7_73, "Krai"), "cortex-m7.x-cube-ai-7")
    m7 += errors(_by(h7_73, "Krai"), _by(h7_73, "STMicroelectronics"), "cortex-m7.x-cube-ai-7")
    m7 += errors(h7_73, _zoo("7.3.0"), "cortex-m7.x-cube-ai-7")
    m7 += errors(h7_81, _zoo("8.1.0"), "cortex-m7.x-cube-ai-8")
    m7 += errors(h7_9, _zoo("10.0.0"), "cortex-m7.x-cube-ai-10")
    u5_9, u5_10 = mlperf("NUCLEO-U575", "v9.0"), mlperf("NUCLEO-U575", "v10.2")
    same_models = tuple(row for row in u5_10 if row.model != "sww01")
    m33 = errors(u5_9, same_models, "cortex-m33.x-cube-ai-10")
    m33 += errors(same_models, u5_9, "cortex-m33.x-cube-ai-10")
    return [
        Target(
            f"M7 X-CUBE-AI, {len(m7)} rows of boards left out, mean error", float(np.mean(m7)), 0.04
        ),
        Target(f"M33 X-CUBE-AI, {len(m33)} rows left out, mean error", float(np.mean(m33)), 0.04),
    ]


if __name__ == "__main__":
    print(*compiler_flags(), sep="\n")
    sys.exit(report(targets()))
