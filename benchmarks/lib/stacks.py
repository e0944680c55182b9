"""Which published rows each latency fit of `devices/runtimes/` rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial

from benchmarks.lib.classic_models import CLASSIC_MODELS, classic_graph
from benchmarks.lib.published import (
    ModelRow,
    OpRow,
    esp_rows,
    graph_of,
    mlperf_rows,
    ncnn_rows,
    op_rows,
    zoo_rows,
)
from hwkd.core.graph import OpGraph
from hwkd.cost.fit.design import Array, Design, Measurement
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import Spread, fit_cycles
from hwkd.cost.fuse import fuse
from hwkd.io.runtime_files import load_runtime

OPERATORS = Spread(common=1.5, per_class=1.0, per_amount=1.0)
MODELS = Spread(common=1.5, per_class=0.4, per_amount=0.5)
# Timer noise of repeated operators is 0.5%; MLPerf submitters repeat within 2%. Rows of another
# board or of other settings of the same stack were found 5 to 15% apart.
OPERATOR_NOISE, MLPERF_NOISE, ZOO_NOISE, OTHER_BOARD_NOISE = 0.02, 0.02, 0.06, 0.15


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One (core, runtime) pair and the rows that it is fitted to.

    Attributes:
        core: as in `Device.core`.
        runtime: as in `--runtime`.
        rows: returns the measurements.
        version: of the software.
        fitted_on: the rows, in words.
        source: where they are published.
        dtype: "int8" or "float32".
        prior: another stack to start from, or None for the generic one.
        spread: how far from the prior it may be.
    """

    core: str
    runtime: str
    rows: Callable[[], tuple[Measurement, ...]]
    version: str
    fitted_on: str
    source: str
    dtype: str = "int8"
    prior: str | None = None
    spread: Spread = MODELS

    @property
    def name(self) -> str:
        """Name of the fit: `<core>.<runtime>`."""
        return f"{self.core.lower().replace('+', 'plus')}.{self.runtime}"


def operators(board: str) -> tuple[Measurement, ...]:
    """Return the operators measured alone on a board."""
    return tuple(
        Measurement(
            name=row.configuration,
            graph=row.graph,
            cycles=row.cycles,
            group=row.configuration,
            noise_ratio=OPERATOR_NOISE,
        )
        for row in op_rows(board)
    )


def models(rows: Sequence[ModelRow], noise_ratio: float) -> tuple[Measurement, ...]:
    """Return whole models as measurements of the graph that their software executes."""
    return tuple(
        Measurement(
            name=f"{row.model} ({row.submitter}, {row.board}, {row.software})",
            graph=executed_graph(row.model, fused_as(row.software)),
            cycles=row.cycles,
            group=row.family,
            noise_ratio=noise_ratio,
        )
        for row in rows
    )


def mlperf(board: str, *software: str) -> tuple[ModelRow, ...]:
    """Return MLPerf Tiny rows of one board whose software contains one of the texts."""
    return tuple(
        row
        for row in mlperf_rows()
        if row.board.upper().startswith(board.upper()) and any(s in row.software for s in software)
    )


def zoo(board: str, software: str) -> tuple[ModelRow, ...]:
    """Return the model-zoo rows of one board and one software version."""
    return tuple(r for r in zoo_rows() if r.board.startswith(board) and r.software == software)


@cache
def executed_graph(model: str, rules: str) -> OpGraph:
    """Return a published model as a stack executes it; `rules` is a runtime."""
    return fuse(graph_of(model), load_runtime(rules).fusion).graph


def fused_as(software: str) -> str:
    """Return whose fusion rules a published stack follows, as far as latency shows it.

    X-CUBE-AI from 8.1, Plumerai 2023 and ONNC drop all-zero channels; the interpreters do not.
    """
    if "TFLM" in software:
        return "tflm-cmsis-nn"
    drops = ("v8.1", "v9", "v10", "AI 8.1", "AI 10", "2023", "ONNC")
    return "x-cube-ai-8" if any(text in software for text in drops) else "x-cube-ai-7"


def single_operators(rows: Sequence[OpRow], noise_ratio: float) -> tuple[Measurement, ...]:
    """Return operators that a vendor timed one by one; each is a group of its own."""
    return tuple(
        Measurement(
            name=row.configuration, graph=row.graph, cycles=row.cycles, group=row.configuration,
            noise_ratio=noise_ratio,
        )
        for row in rows
    )  # fmt: skip


def _h7(mlperf_versions: tuple[str, ...], zoo_version: str) -> tuple[Measurement, ...]:
    return (
        *models(mlperf("NUCLEO-H7A3", *mlperf_versions), MLPERF_NOISE),
        *models(zoo("STM32H747", zoo_version), ZOO_NOISE),
    )


def _u5(mlperf_versions: tuple[str, ...], zoo_version: str) -> tuple[Measurement, ...]:
    return (
        *models(mlperf("NUCLEO-U575", *mlperf_versions), MLPERF_NOISE),
        *models(zoo("B-U585", zoo_version), ZOO_NOISE),
    )


def _l4(*versions: str) -> tuple[Measurement, ...]:
    return models(mlperf("NUCLEO-L4R5", *versions), MLPERF_NOISE)


def _x_cube_ai(
    runtime: str, version: str, mlperf_versions: tuple[str, ...], zoo_version: str
) -> tuple[Stack, ...]:
    """Return the three cores of one X-CUBE-AI generation; the M7 has most rows and leads."""
    mlperf_text = "MLPerf Tiny closed division"
    source = "mlcommons tiny_results_v0.7 to v1.3 (benchmarks/facts/mlperf_tiny.csv)"
    zoo_source = "STMicroelectronics stm32ai-modelzoo (benchmarks/facts/stm32_model_zoo.csv)"
    lead = f"cortex-m7.{runtime}"
    return (
        Stack(
            core="Cortex-M7", runtime=runtime, version=version,
            rows=lambda: _h7(mlperf_versions, zoo_version),
            fitted_on=f"{mlperf_text} on NUCLEO-H7A3ZI-Q, model zoo on STM32H747I-DISCO",
            source=f"{source}; {zoo_source}",
        ),
        Stack(
            core="Cortex-M33", runtime=runtime, version=version, prior=lead,
            rows=lambda: _u5(mlperf_versions, zoo_version),
            fitted_on=f"{mlperf_text} on NUCLEO-U575ZI-Q, model zoo on B-U585I-IOT02A",
            source=f"{source}; {zoo_source}",
        ),
        Stack(
            core="Cortex-M4", runtime=runtime, version=version, prior=lead,
            rows=lambda: _l4(*mlperf_versions),
            fitted_on=f"{mlperf_text} on NUCLEO-L4R5ZI", source=source,
        ),
    )  # fmt: skip


def _esp_operators(chip: str, kernels: str) -> tuple[Measurement, ...]:
    return single_operators(esp_rows(chip, kernels), 0.1)


def _esp(chip: str, core: str) -> tuple[Stack, ...]:
    source = "espressif/esp-nn@d45b843c:README.md (benchmarks/facts/op_cycles_other.csv)"
    words = f"operators timed one by one by Espressif on {chip}"
    return tuple(
        Stack(
            core=core, runtime=runtime, version="2023", fitted_on=words, source=source,
            spread=OPERATORS,
            rows=partial(_esp_operators, chip, kernels),
        )
        for runtime, kernels in (("esp-nn", "esp-nn"), ("tflm-reference", "ANSI C"))
    )  # fmt: skip


def _ncnn(board: str, core: str, clock_hz: float, dtype: str) -> Stack:
    def rows() -> tuple[Measurement, ...]:
        return tuple(
            Measurement(
                name=f"{model} ({board}, ncnn)",
                graph=fuse(classic_graph(model), load_runtime("ncnn").fusion).graph,
                cycles=latency_s * clock_hz, group=model, noise_ratio=0.1,
            )
            for model, latency_s in ncnn_rows(board, "int8" if dtype == "int8" else "float")
            if model in CLASSIC_MODELS
        )  # fmt: skip

    return Stack(
        core=core, runtime="ncnn", version="2023", dtype=dtype, rows=rows,
        fitted_on=f"six image networks on {board}, one thread",
        source="Tencent/ncnn@a4d2ea1d:benchmark/README.md (benchmarks/facts/raspberry_pi.csv)",
    )  # fmt: skip


_MICRONAS = "tk-king/MicroNas@fa6b6d2b look-up tables (benchmarks/facts/op_cycles.csv)"
_MLPERF = "mlcommons tiny_results (benchmarks/facts/mlperf_tiny.csv)"
_PI = (
    ("Raspberry Pi 3", "Cortex-A53", 1.4e9),
    ("Raspberry Pi 4", "Cortex-A72", 1.8e9),
    ("Raspberry Pi 5", "Cortex-A76", 2.4e9),
    ("Raspberry Pi Zero 2 W", "Cortex-A53-LPDDR2", 1.0e9),
)

STACKS: tuple[Stack, ...] = (
    Stack(
        core="Cortex-M33", runtime="tflm-cmsis-nn", version="2023", spread=OPERATORS,
        fitted_on="2,636 operators on NUCLEO-L552ZE-Q; depthwise and fully connected from MLPerf "
        "Tiny on EK-RA6M4",
        source=f"{_MICRONAS}; {_MLPERF}",
        rows=lambda: (
            *operators("NUCLEO-L552ZE-Q"),
            *models(mlperf("EK-RA6M4", "TFLM"), OTHER_BOARD_NOISE),
        ),
    ),
    Stack(
        core="Cortex-M4", runtime="tflm-cmsis-nn", version="2023", spread=OPERATORS,
        fitted_on="1,436 operators on NUCLEO-F446RE; depthwise and fully connected scaled from "
        "the Cortex-M33",
        source=_MICRONAS,
        prior="cortex-m33.tflm-cmsis-nn", rows=lambda: operators("NUCLEO-F446RE"),
    ),
    Stack(
        core="Cortex-M4", runtime="tflm-reference", version="2.3.1",
        fitted_on="MLPerf Tiny reference submission on NUCLEO-L4R5ZI", source=_MLPERF,
        rows=lambda: _l4("TFLM v2.3.1"),
    ),
    *_x_cube_ai("x-cube-ai-7", "7.3", ("v7.3.0",), "X-CUBE-AI 7.3.0"),
    *_x_cube_ai("x-cube-ai-8", "8.1", ("v8.1.0",), "X-CUBE-AI 8.1.0"),
    *_x_cube_ai("x-cube-ai-10", "9.0 to 10.2", ("AI v9", "AI v10"), "X-CUBE-AI 10.0.0"),
    Stack(
        core="Cortex-M0+", runtime="bosch-hale-1", version="1.0.175",
        fitted_on="MLPerf Tiny closed division on NUCLEO-G0B1RE", source=_MLPERF,
        rows=lambda: models(mlperf("NUCLEO-G0B1RE", "HALE 1.0.175"), MLPERF_NOISE),
    ),
    *_esp("ESP32-S3", "Xtensa-LX7"),
    *_esp("ESP32-P4", "ESP32-P4-HP"),
    *(_ncnn(*pi, dtype) for pi in _PI for dtype in ("int8", "float32")),
)  # fmt: skip


def stack_named(name: str, dtype: str = "int8") -> Stack:
    """Return one of `STACKS`."""
    return next(s for s in STACKS if s.name == name and s.dtype == dtype)


def prior_of(stack: Stack, *, without_groups: Sequence[str] = ()) -> Array:
    """Return where a stack's fit starts; the prior stack is fitted without the held-out groups."""
    if stack.prior is None:
        return GENERIC
    return fitted(stack_named(stack.prior), tuple(without_groups))


@cache
def fitted(stack: Stack, without_groups: tuple[str, ...] = ()) -> Array:
    """Return a stack's cycles per unit, fitted to all rows but those of some groups."""
    rows = tuple(row for row in stack.rows() if row.group not in without_groups)
    prior = prior_of(stack, without_groups=without_groups)
    return fit_cycles(Design.of(rows), prior, stack.spread)
