"""Published rows as measurements that a latency model is fitted to, and how far each is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from benchmarks.lib.published import (
    ModelRow,
    OpRow,
    graph_of,
    mlperf_rows,
    op_rows,
    other_board_rows,
    zoo_rows,
)
from hwkd.core.graph import OpGraph
from hwkd.cost.fit.design import Measurement
from hwkd.cost.fuse import fuse
from hwkd.io.runtime_files import load_runtime

# Timer noise of repeated operators is 0.5%; MLPerf submitters repeat within 2%. Rows of another
# board or of other settings of the same stack were found 5 to 15% apart.
OPERATOR_NOISE, MLPERF_NOISE, ZOO_NOISE, OTHER_BOARD_NOISE = 0.02, 0.02, 0.06, 0.15
# Repeats of one Helium operator are within 6%; kernels and compilers of two libraries are not.
HELIUM_NOISE, ESP_NOISE = 0.1, 0.1


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


def others(board: str, software: str) -> tuple[ModelRow, ...]:
    """Return networks that others timed on one board with software that contains the text."""
    return tuple(
        row
        for row in other_board_rows()
        if row.board.startswith(board) and software in row.software
    )


@cache
def executed_graph(model: str, rules: str) -> OpGraph:
    """Return a published model as a stack executes it; `rules` is a runtime."""
    return fuse(graph_of(model), load_runtime(rules).fusion).graph


def fused_as(software: str) -> str:
    """Return whose fusion rules a published stack follows, as far as latency shows it.

    X-CUBE-AI from 8.1, Plumerai 2023 and ONNC drop all-zero channels; the interpreters do not.
    """
    if "TFLM" in software or "helia" in software:
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


def labels_of(row: Measurement) -> frozenset[str]:
    """Return what a row can be left out by: its group and the forms of operator that it holds."""
    return frozenset([row.group, *(work.form for work in row.works())])
