"""`hwkd listen`: a recording through the int8 model, drawn over time."""

from __future__ import annotations

from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import hwkd
from hwkd.cli.command import Command
from hwkd.core.printable import printable

if TYPE_CHECKING:
    from hwkd.api.listen import ListenOutcome

_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 50
_MOST_ROWS = 12


def _show(found: ListenOutcome) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    peaks = [max(column) for column in zip(*found.scores, strict=True)]
    rows = sorted(range(len(peaks)), key=lambda at: -peaks[at])[:_MOST_ROWS]
    top = 1.0 if found.unit == "probability" else max(*peaks, found.threshold or 0.0, 1e-9)
    width = min(16, max(len(printable(found.labels[at])) for at in rows))
    for at in rows:
        name = printable(found.labels[at])[:width].ljust(width)
        bar = _bar([row[at] for row in found.scores], top)
        console.print(Text(f"{name} {bar} {peaks[at]:.3g}"))
    for line in (*_events(found), _summary(found)):
        console.print(Text(line))
    if found.note is not None:
        console.print(Text(f"Note: {found.note}."))
    if found.picture is not None:
        console.print(Text(f"{found.picture} written"), soft_wrap=True)


def _bar(values: list[float], top: float) -> str:
    """Return a column for each stretch of time, as high as its greatest score."""
    columns = min(_COLUMNS, len(values))
    cuts = [len(values) * number // columns for number in range(columns + 1)]
    peaks = [max(values[start:end]) for start, end in pairwise(cuts)]
    return "".join(_BARS[min(8, max(0, round(8 * peak / top)))] for peak in peaks)


def _time(found: ListenOutcome, at: int) -> str:
    moment = found.moments()[at]
    return f"{moment:.3f} s" if found.rate_hz else f"sample {moment:.0f}"


def _events(found: ListenOutcome) -> list[str]:
    """Return a line for each stretch in which one label is heard."""
    lines = []
    for label, group in groupby(range(len(found.heard)), key=lambda at: found.heard[at]):
        places = list(group)
        if label is None:
            continue
        best = max(found.scores[at][label] for at in places)
        name = printable(found.labels[label])
        first, last = _time(found, places[0]), _time(found, places[-1])
        when = first if len(places) == 1 else f"{first} to {last}"
        lines.append(f"{when}: {name}, {found.unit} {best:.3g}")
    return lines or ["nothing reached the threshold"] if found.threshold is not None else lines


def _summary(found: ListenOutcome) -> str:
    stride = f"{found.stride / found.rate_hz:.3g} s" if found.rate_hz else f"{found.stride} samples"
    limit = "no threshold" if found.threshold is None else f"threshold {found.threshold:.3g}"
    count = "1 inference" if len(found.ends) == 1 else f"{len(found.ends):,} inferences"
    return f"{count}, one every {stride}; {limit}, smoothing {found.smoothing}"


COMMANDS = (
    Command(
        name="listen",
        function=hwkd.listen,
        show=_show,
        examples=("hwkd listen runs/words --wav kitchen.wav --png kitchen.png",),
    ),
)
