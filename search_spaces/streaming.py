"""Temporal students without padding over time, of which firmware keeps what it computed."""

from __future__ import annotations

from hwkd.core.catalog import SEARCH_SPACES
from hwkd.search_spaces.temporal import TemporalSpace

SEARCH_SPACES.register("streaming")(
    TemporalSpace(
        name="streaming",
        summary="temporal without padding over time: `hwkd export --streaming` (only when named)",
        is_padded=False,
    )
)
