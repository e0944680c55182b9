"""Scores over time as a picture: a line for each label, the threshold drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.figure import Figure

from hwkd.core.printable import printable
from hwkd.io.paths import written_atomically
from hwkd.report.palette import LIMIT_COLOUR, styles_of

_INCHES = (9.0, 4.0)
_DPI = 160
# More lines than these are told apart by nobody; the ones that rise highest are named.
_MOST_NAMED = 7


class Heard(Protocol):
    """What is drawn."""

    @property
    def recording(self) -> str:
        """Name of the file."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each score."""
        ...

    @property
    def scores(self) -> Sequence[Sequence[float]]:
        """Of each inference, one for each label."""
        ...

    @property
    def unit(self) -> str:
        """What a score is."""
        ...

    @property
    def rate_hz(self) -> float | None:
        """Samples per second; None draws over samples."""
        ...

    @property
    def threshold(self) -> float | None:
        """Where a label is heard."""
        ...

    def moments(self) -> tuple[float, ...]:
        """When each inference was made."""
        ...


def write_listening_png(found: Heard, path: Path) -> None:
    """Draw the scores of a recording, whole or not at all."""
    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(printable(Path(found.recording).name), loc="left", parse_math=False)
    peaks = [max(column) for column in zip(*found.scores, strict=True)]
    named = sorted(range(len(peaks)), key=lambda at: -peaks[at])[:_MOST_NAMED]
    styles = styles_of([found.labels[at] for at in named])
    moments = found.moments()
    for at, label in enumerate(found.labels):
        values = [row[at] for row in found.scores]
        if at in named:
            colour = styles[label].colour
            axes.plot(moments, values, color=colour, linewidth=1.4, label=printable(label))
        else:
            axes.plot(moments, values, color="#c8cdd5", linewidth=0.8, zorder=1)
    if found.threshold is not None:
        axes.axhline(found.threshold, color=LIMIT_COLOUR, linestyle="--", linewidth=1.2)
    axes.set_xlabel("time (s)" if found.rate_hz else "samples")
    axes.set_ylabel(found.unit)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    with written_atomically(path) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": None})
