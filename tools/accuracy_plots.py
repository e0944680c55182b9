"""Predicted against measured, as pictures for docs/accuracy.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.lib.held_out import HeldOut

_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
)  # Okabe and Ito: told apart with any colour vision
_BAND = 0.1


def plot_operators(by_board: Mapping[str, HeldOut], path: Path) -> None:
    """Write one panel for each board; every dot is an operator left out of the fit."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    panels = figure.subplots(1, len(by_board), squeeze=False)[0]
    for panel, (board, held) in zip(panels, by_board.items(), strict=True):
        panel.plot(held.cycles, held.predicted, ".", ms=2.5, color=_COLOURS[0], alpha=0.5)
        _finish(panel, f"{board}: {len(held.rows):,} operators")
    _save(figure, path)


def plot_models(by_core: Mapping[str, Mapping[str, HeldOut]], path: Path) -> None:
    """Write one panel for each core; every dot is a model whose family was left out."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(1, len(by_core), squeeze=False)[0]
    for panel, (core, by_runtime) in zip(panels, by_core.items(), strict=True):
        for colour, (runtime, held) in zip(_COLOURS, by_runtime.items(), strict=False):
            panel.plot(
                held.cycles, held.predicted, "o", ms=4, color=colour, alpha=0.8,
                label=runtime,
            )  # fmt: skip
        _finish(panel, f"{core}: model families left out")
        panel.legend(frameon=False, loc="upper left")
    _save(figure, path)


def _finish(panel: Axes, title: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    low, high = panel.get_xlim()
    line = [low, high]
    panel.fill_between(
        line, [(1 - _BAND) * x for x in line], [(1 + _BAND) * x for x in line], color="#bbbbbb",
        alpha=0.4, lw=0,
    )  # fmt: skip
    panel.plot(line, line, color="#555555", lw=0.8)
    panel.set_xlim(low, high)
    panel.set_title(f"{title} (band: 10%)", fontsize=10)
    panel.set_xlabel("measured cycles")
    panel.set_ylabel("predicted cycles")


def _save(figure: Figure, path: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": "hwkd"}):
        figure.savefig(path, dpi=110, metadata={"Software": None})
