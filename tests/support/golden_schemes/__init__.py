"""Maps a golden case of a scheme to ours by its `method` and every hyperparameter.

A runner takes the case's inputs and hyperparameters and returns the loss (None for a schedule or an
aggregate) and further outputs. Where a scheme is in the catalogue, its own edges are evaluated:
what the numbers are compared with is what trains.
"""

from support.golden_schemes import (
    encoders,
    maps,
    other_families,
    self_taught,
    several_teachers,
    things,
    together,
    tokens,
    without_data,
)
from support.golden_schemes.runners import runner_of

__all__ = [
    "encoders",
    "maps",
    "other_families",
    "runner_of",
    "self_taught",
    "several_teachers",
    "things",
    "together",
    "tokens",
    "without_data",
]
