"""One colour and one marker per search space, the same in the page and in the PNG.

The first colours are those of Okabe and Ito (2008), told apart with every common colour vision, in
tones that stand out on white and on near-black. Markers repeat the distinction for black-and-white
print.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

LIMIT_COLOUR = "#d1495b"
TERM_COLOURS = ("#3d8fd1", "#e69f00", "#cc79a7")


@dataclass(frozen=True, slots=True)
class Style:
    """How one space is drawn: hex colour, plotly symbol, matplotlib marker."""

    colour: str
    symbol: str
    marker: str


_STYLES = (
    Style("#3d8fd1", "circle", "o"),
    Style("#e69f00", "diamond", "D"),
    Style("#12a37f", "square", "s"),
    Style("#cc79a7", "triangle-up", "^"),
    Style("#d55e00", "triangle-down", "v"),
    Style("#8c7ae6", "pentagon", "p"),
    Style("#7f8c8d", "hexagon", "h"),
    Style("#a63d72", "star", "*"),
    Style("#5b8c2a", "cross", "P"),
    Style("#c9b458", "x", "X"),
)


def styles_of(spaces: Iterable[str]) -> dict[str, Style]:
    """Give each space a style, by name; they repeat after ten."""
    return {space: _STYLES[index % len(_STYLES)] for index, space in enumerate(sorted(set(spaces)))}
