"""What the values of inputs are, where that says how a training may vary them."""

from __future__ import annotations

from typing import Literal, TypeAlias

# "spectra" are (bins, time) or (channels, bins, time), "speech" those of voices whose bins are mel
# filters; "motion" is (channels, time), each three
# channels the axes of one sensor; "text" is 0 where a word is not; "scenes" are pictures whose
# labels are maps of their size and move with them, "boxes" those whose labels are boxes; "values"
# may be anything.
Nature: TypeAlias = Literal["values", "spectra", "speech", "motion", "text", "scenes", "boxes"]

AXES = 3  # of a sensor of motion
