"""One colour for each class, the same in every picture of a report.

The first are those of Okabe and Ito (2008), told apart with every common colour vision, the next
the muted ones of Tol (2021); of more classes than these, hues are spread evenly.
"""

from __future__ import annotations

import colorsys

NO_CLASS = "#808080"
_GROUND = "#000000"
_KNOWN = (
    "#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7",
    "#332288", "#117733", "#882255", "#ddcc77", "#999933", "#cc6677", "#aa4499", "#dddddd",
)  # fmt: skip
# Neighbours in the row of multiples of the golden ratio lie far apart on the circle.
_GOLDEN = 0.618033988749895


def class_colours(count: int, *, has_ground: bool) -> tuple[str, ...]:
    """Return a colour of each class as "#rrggbb", all different.

    Args:
        has_ground: the first class is a ground as in masks, which is black; on a photo black would
            not be seen.
    """
    fixed = (_GROUND, *_KNOWN) if has_ground else _KNOWN
    return (*fixed[:count], *(_spread(number) for number in range(count - len(fixed))))


def _spread(number: int) -> str:
    value = (0.95, 0.6, 0.8)[number % 3]
    parts = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.55 + 0.4 * (number % 2), value)
    return "#" + "".join(f"{round(255 * part):02x}" for part in parts)
