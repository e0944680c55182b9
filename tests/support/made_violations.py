"""Violations by hand."""

from __future__ import annotations

from hwkd.core.choices import LimitName
from hwkd.core.trial import ViolationRecord


def violation(name: LimitName, factor: float) -> ViolationRecord:
    """Return a violation whose limit would have to grow by `factor`."""
    return ViolationRecord(limit_name=name, needed=100.0 * factor, limit=100.0)
