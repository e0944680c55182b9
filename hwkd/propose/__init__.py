"""Which candidate is worth training next: a surrogate of what must be measured, exact costs."""

from hwkd.propose.candidates import Screened
from hwkd.propose.sampler import SurrogateSampler

__all__ = ["Screened", "SurrogateSampler"]
