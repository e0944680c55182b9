"""Which published rows each latency fit of `devices/runtimes/` rests on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial

from benchmarks.lib.classic_models import CLASSIC_MODELS, classic_graph
from benchmarks.lib.library_priors import HELIUM_CORE, ST_LIBRARY
from benchmarks.lib.published import (
    esp_rows,
    helium_rows,
    ncnn_rows,
)
from benchmarks.lib.related_fits import Kinship, Level, RelatedRows, fit_related
from benchmarks.lib.stack_rows import (
    ESP_NOISE,
    HELIUM_NOISE,
    MLPERF_NOISE,
    OTHER_BOARD_NOISE,
    ZOO_NOISE,
    labels_of,
    mlperf,
    models,
    operators,
    others,
    single_operators,
    zoo,
)
from hwkd.cost.fit.design import Array, Design, Measurement
from hwkd.cost.fit.prior import GENERIC
from hwkd.cost.fit.solve import Spread
from hwkd.cost.fuse import fuse
from hwkd.io.runtime_files import load_runtime

OPERATORS = Spread(common=1.5, per_class=1.0, per_amount=1.0)
MODELS = Spread(common=1.5, per_class=0.4, per_amount=0.5)
_NOTHING = Level(common=0.0, per_class=0.0, per_form=0.0, per_amount=0.0)


def _alone(
    per_class: float, per_amount: float, per_form: float = 0.3, common: float = 1.5
) -> Kinship:
    """Return the kinship of a stack that has no relatives."""
    level = Level(common=common, per_class=per_class, per_form=per_form, per_amount=per_amount)
    return Kinship(
        shared=level, version=_NOTHING, core=_NOTHING, own=_NOTHING, misfit_ratio=0.0
    )  # fmt: skip


# Chosen on networks left out, family by family, of all versions and cores together; the ratio of
# the evidence so that at least nine of ten rows whose form of operator was left out lie inside.
ST = Kinship(
    shared=Level(common=1.5, per_class=0.3, per_form=0.4, per_amount=0.2),
    # How often weights are read again is decided by a version's kernels and not by its core.
    version=Level(common=0.15, per_class=0.15, per_form=0.05, per_amount=0.1, reading=0.4),
    core=Level(common=0.3, per_class=0.1, per_form=0.03, per_amount=0.05),
    own=Level(common=0.05, per_class=0.08, per_form=0.03, per_amount=0.05),
    misfit_ratio=0.055,
    evidence_ratio=0.55,
)
ALONE, OPERATORS_ALONE = _alone(0.4, 0.5), _alone(1.0, 1.0)
# The open kernels on cores without vectors: one source, compiled for two cores. What a class of
# operators costs beside the others differs as much as among the stacks of MLPerf Tiny.
CMSIS_NN = Kinship(
    shared=Level(common=1.5, per_class=0.4, per_form=0.3, per_amount=0.5), version=_NOTHING,
    core=Level(common=0.3, per_class=0.1, per_form=0.05, per_amount=0.3), own=_NOTHING,
    misfit_ratio=0.0,
)  # fmt: skip
# Loops that were counted, so their level is known too; the kernel of one form can be of another
# kind than counted.
HELIUM = _alone(0.25, 0.3, per_form=0.8, common=0.2)


@dataclass(frozen=True, kw_only=True, eq=False)
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
        relatives: stacks of the same name here are fitted together.
        prior: cycles per unit to start from.
        kinship: how far from the prior and from its relatives it may be.
        open_ratio: what is left open of a network whose kinds were all timed, where few networks
            were. Nine of ten networks of a new stack lie within 1.2 times the prediction from one
            (`cost_new_stack`).
    """

    core: str
    runtime: str
    rows: Callable[[], tuple[Measurement, ...]]
    version: str
    fitted_on: str
    source: str
    dtype: str = "int8"
    relatives: str = ""
    prior: Array = field(default_factory=lambda: GENERIC)
    kinship: Kinship = ALONE
    open_ratio: float = 1.2

    @cached_property
    def measured(self) -> tuple[tuple[Measurement, frozenset[str]], ...]:
        """The rows, each with what it can be left out by: its group and its operators' forms."""
        return tuple((row, labels_of(row)) for row in self.rows())

    @property
    def name(self) -> str:
        """Name of the fit: `<core>.<runtime>`."""
        return f"{self.core.lower().replace('+', 'plus')}.{self.runtime}"


# Runtime -> version of the fit, MLPerf Tiny's names for it, the model zoo's.
_ST_VERSIONS = {
    "x-cube-ai-7": ("7.3", ("v7.3.0",), ("X-CUBE-AI 7.3.0",)),
    "x-cube-ai-8": ("8.1", ("v8.1.0",), ("X-CUBE-AI 8.1.0",)),
    "x-cube-ai-10": (
        "9.0 to 10.2", ("AI v9", "AI v10"), ("X-CUBE-AI 9.1.0", "X-CUBE-AI 10.0.0")
    ),
    "st-edge-ai-3": ("3.0", (), ("ST Edge AI Core 3.0.0",)),
    "st-edge-ai-4": ("4.0", (), ("ST Edge AI Core 4.0.0",)),
}  # fmt: skip
# Core -> board in MLPerf Tiny, board in the model zoo.
_ST_BOARDS = {
    "Cortex-M7": ("NUCLEO-H7A3", "STM32H747"),
    "Cortex-M33": ("NUCLEO-U575", "B-U585"),
    "Cortex-M4": ("NUCLEO-L4R5", ""),
}


def _st_rows(runtime: str, core: str) -> tuple[Measurement, ...]:
    _, mlperf_names, zoo_names = _ST_VERSIONS[runtime]
    mlperf_board, zoo_board = _ST_BOARDS[core]
    found = models(mlperf(mlperf_board, *mlperf_names), MLPERF_NOISE) if mlperf_names else ()
    for name in zoo_names if zoo_board else ():
        found += models(zoo(zoo_board, name), ZOO_NOISE)
    return found


def _st(runtime: str, core: str) -> Stack:
    version, mlperf_names, _ = _ST_VERSIONS[runtime]
    mlperf_board, zoo_board = _ST_BOARDS[core]
    names = [f"MLPerf Tiny closed division on {mlperf_board}"] if mlperf_names else []
    names += [f"model zoo on {zoo_board}"] if zoo_board else []
    sources = ["mlcommons tiny_results_v0.7 to v1.3 (benchmarks/facts/mlperf_tiny.csv)"]
    sources += ["STMicroelectronics stm32ai-modelzoo (benchmarks/facts/stm32_model_zoo.csv)"]
    return Stack(
        core=core, runtime=runtime, version=version, relatives="st", prior=ST_LIBRARY, kinship=ST,
        rows=lambda: _st_rows(runtime, core),
        fitted_on=f"{' and '.join(names) or 'no row of its own'}; other versions and cores",
        source="; ".join(sources),
    )  # fmt: skip


_ESP_OPERATORS = "espressif/esp-nn@d45b843c:README.md (benchmarks/facts/op_cycles_other.csv)"
_ESP_NETWORK = "espressif/esp-tflite-micro@99f49e1:README.md (benchmarks/facts/other_boards.csv)"


def _esp_nn_rows(chip: str) -> tuple[Measurement, ...]:
    alone = single_operators(esp_rows(chip, "esp-nn"), ESP_NOISE)
    return alone + models(others(chip, "ESP-NN"), OTHER_BOARD_NOISE)


def _reference_rows(chip: str) -> tuple[Measurement, ...]:
    """Return the operators of the library's plain C, as long as TFLM's own kernels would take."""
    alone = single_operators(esp_rows(chip, "ANSI C"), ESP_NOISE)
    return tuple(replace(row, cycles=row.cycles * _over_plain_c()) for row in alone)


@cache
def _over_plain_c() -> float:
    """Return how much longer than plain C says the one network took with TFLM's own kernels."""
    (network,) = models(others("ESP32-S3", "TFLM reference"), OTHER_BOARD_NOISE)
    alone = single_operators(esp_rows("ESP32-S3", "ANSI C"), ESP_NOISE)
    found = fit_related([RelatedRows(version="", core="", rows=alone)], GENERIC, OPERATORS_ALONE)[0]
    work = Design.of([network], found.evidence).amounts[0]
    return network.cycles / float(work @ found.cycles_per_unit)


def _esp(chip: str, core: str) -> tuple[Stack, ...]:
    words = f"operators timed one by one by Espressif on {chip}"
    return (
        Stack(
            core=core, runtime="esp-nn", version="2023", kinship=OPERATORS_ALONE,
            fitted_on=f"{words} and networks, where there are any",
            source=f"{_ESP_OPERATORS}; {_ESP_NETWORK}", rows=partial(_esp_nn_rows, chip),
        ),
        Stack(
            core=core, runtime="tflm-reference", version="2023", kinship=OPERATORS_ALONE,
            fitted_on=f"{words} in its own plain C, all as much longer as person detection takes "
            "with TFLM's kernels on ESP32-S3",
            source=f"{_ESP_OPERATORS}; {_ESP_NETWORK}", rows=partial(_reference_rows, chip),
            # Nothing shows that the step between the two libraries is the same on another core.
            open_ratio=1.2 if chip == "ESP32-S3" else 2.0,
        ),
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
_OTHERS = "EdgeMark, TinyEngine and Ambiq (benchmarks/facts/other_boards.csv)"
_PI = (
    ("Raspberry Pi 3", "Cortex-A53", 1.4e9),
    ("Raspberry Pi 4", "Cortex-A72", 1.8e9),
    ("Raspberry Pi 5", "Cortex-A76", 2.4e9),
    ("Raspberry Pi Zero 2 W", "Cortex-A53-LPDDR2", 1.0e9),
)

STACKS: tuple[Stack, ...] = (
    Stack(
        core="Cortex-M33", runtime="tflm-cmsis-nn", version="2023", relatives="cmsis-nn",
        kinship=CMSIS_NN,
        fitted_on="2,636 operators on NUCLEO-L552ZE-Q; depthwise and fully connected from MLPerf "
        "Tiny on EK-RA6M4",
        source=f"{_MICRONAS}; {_MLPERF}",
        rows=lambda: (
            *operators("NUCLEO-L552ZE-Q"),
            *models(mlperf("EK-RA6M4", "TFLM"), OTHER_BOARD_NOISE),
        ),
    ),
    Stack(
        core="Cortex-M4", runtime="tflm-cmsis-nn", version="2023", relatives="cmsis-nn",
        kinship=CMSIS_NN,
        fitted_on="1,436 operators on NUCLEO-F446RE, EdgeMark's networks on NUCLEO-L4R5ZI, "
        "built for speed (not -Os)",
        source=f"{_MICRONAS}; {_OTHERS}",
        rows=lambda: (
            *operators("NUCLEO-F446RE"),
            *models(others("NUCLEO-L4R5ZI", "default build"), OTHER_BOARD_NOISE),
        ),
    ),
    Stack(
        core="Cortex-M55", runtime="tflm-cmsis-nn", version="2025", prior=HELIUM_CORE,
        kinship=HELIUM,
        fitted_on="operators and DS-CNN on Apollo510, CMSIS-NN and ns-cmsis-nn",
        source=f"AmbiqAI/helia-profiler@01ae7b3 (benchmarks/facts/op_cycles_m55.csv); {_OTHERS}",
        rows=lambda: (
            *single_operators(helium_rows(), HELIUM_NOISE),
            *models(others("Apollo510", "helia"), OTHER_BOARD_NOISE),
        ),
    ),
    Stack(
        core="Cortex-M4", runtime="tflm-reference", version="2.3.1",
        fitted_on="MLPerf Tiny reference submission on NUCLEO-L4R5ZI", source=_MLPERF,
        rows=lambda: models(mlperf("NUCLEO-L4R5", "TFLM v2.3.1"), MLPERF_NOISE),
    ),
    *(
        _st(runtime, core)
        for runtime, (_, mlperf_names, _) in _ST_VERSIONS.items()
        for core, (_, zoo_board) in _ST_BOARDS.items()
        if mlperf_names or zoo_board
    ),
    Stack(
        core="Cortex-M7", runtime="tinyengine", version="0363956", relatives="st",
        prior=ST_LIBRARY, kinship=ST,
        fitted_on="X-CUBE-AI, much alike, and one network on STM32H743, clock not printed",
        source=_OTHERS,
        rows=lambda: models(others("STM32H743", "TinyEngine"), OTHER_BOARD_NOISE),
    ),
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
