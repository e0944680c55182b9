"""The history of a distillation: every term's value and its pull at the student, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwkd.core.trial import EpochRecord

__all__ = ["write_history_figure"]


def write_history_figure(epochs: Sequence[EpochRecord], path: Path) -> None:
    """Draw the weighted terms and the unweighted gradient norms over the epochs as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    values, norms = figure.subplots(1, 2)
    numbers = [record.epoch for record in epochs]
    terms = dict.fromkeys(name for r in epochs for name in (*r.losses, *r.grad_norms))
    colours = {name: f"C{index % 10}" for index, name in enumerate(terms)}
    for axes, title, series in (
        (values, "term, weighted", [record.losses for record in epochs]),
        (norms, "gradient norm at the student, unweighted", [r.grad_norms for r in epochs]),
    ):
        names = dict.fromkeys(name for row in series for name in row)
        for name in names:
            points = [row.get(name, float("nan")) for row in series]
            axes.plot(numbers, points, label=name, color=colours[name])
        axes.set_xlabel("epoch")
        axes.set_title(title, fontsize=10)
        if names:
            axes.set_yscale("symlog", linthresh=1e-4)
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
