"""Memory over time as a picture: which layer binds, and what lies in RAM meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from hwkd.core.errors import ConfigError
from hwkd.core.memory_stage import MemoryStage
from hwkd.io.paths import written_atomically
from hwkd.report.palette import LIMIT_COLOUR, TERM_COLOURS

_DPI = 160
_SUFFIXES = (".png", ".svg", ".pdf")
_OVERHEAD_COLOUR = "#b0b0b0"


def write_memory_figure(
    stages: Sequence[MemoryStage], path: Path, *, title: str, limit_bytes: int | None
) -> None:
    """Draw one stacked bar for each operator, in order, and the limit.

    Args:
        path: file to write, .png, .svg or .pdf; whole or not at all.
        limit_bytes: RAM that the network may use; drawn where it is in sight.

    Raises:
        ConfigError: if the file's ending names no picture.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise ConfigError(f"--plot: {path} must end in {', '.join(_SUFFIXES)}")
    figure = Figure(figsize=(max(7.0, 0.22 * len(stages) + 3), 4.5), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    bottom = [0.0] * len(stages)
    used, held, scratch = TERM_COLOURS
    parts = (
        ("read and written now", used, [stage.used_bytes for stage in stages]),
        ("kept for later", held, [stage.held_bytes for stage in stages]),
        ("scratch", scratch, [stage.scratch_bytes for stage in stages]),
        ("runtime", _OVERHEAD_COLOUR, [stage.overhead_bytes for stage in stages]),
    )
    for label, colour, sizes in parts:
        if any(sizes):
            heights = [size / 1024 for size in sizes]
            axes.bar(range(len(stages)), heights, 0.9, bottom, color=colour, label=label)
            bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    peak = max(range(len(stages)), key=lambda index: bottom[index])
    axes.annotate(
        f"peak {bottom[peak]:,.1f} KiB", (peak, bottom[peak]), (0, 4),
        textcoords="offset points", ha="center", fontsize=8,
    )  # fmt: skip
    if limit_bytes is not None and limit_bytes / 1024 < 2 * bottom[peak]:
        axes.axhline(limit_bytes / 1024, color=LIMIT_COLOUR, label="limit")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.08)
    axes.set_xticks(range(len(stages)), [stage.op for stage in stages], rotation=90, fontsize=6)
    axes.set_ylabel("RAM (KiB)")
    axes.legend(fontsize=8, frameon=False)
    with written_atomically(path) as temporary:
        figure.savefig(temporary, format=path.suffix.lower()[1:])
