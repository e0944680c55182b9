"""The band of an estimated peak of RAM."""

from __future__ import annotations

from collections.abc import Collection

from hwkd.core.memory_model import MemoryModel


def ram_interval_bytes(
    peak_bytes: int, model: MemoryModel, kinds: Collection[str]
) -> tuple[int, int] | None:
    """Return the ends of the 90% interval; None where the runtime's rules were not tested.

    Args:
        kinds: of the operators that run; one that no tested network had widens the interval, since
            what lies over what then is a guess.
    """
    interval = model.interval
    if interval is None:
        return None
    power = 1 if interval.kinds.issuperset(kinds) else 2
    return (
        round(peak_bytes * interval.low_ratio**power),
        round(peak_bytes * interval.high_ratio**power),
    )
