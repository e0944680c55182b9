"""A time limit while data is read: refused as soon as it is known. Fake clocks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hwkd.core.errors import ConfigError
from hwkd.core.progress import silent
from hwkd.engine.setup.reading_time import ReadInTime
from hwkd.engine.setup.time_plan import TimeLimit

PARTS = 100


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def reading(limit_s, *, slowdown=1.0, progress=silent):
    clock = Clock()
    limit = TimeLimit(limit_s, clock.now, clock=clock, slowdown=slowdown)
    limit.report_s *= slowdown
    return ReadInTime(limit, verifies=False, progress=progress), clock


def refused_after_s(limit_s, *, part_s):
    """Return when reading was refused that takes so long for each part, and the message."""
    told, clock = reading(limit_s)
    begun = clock.now
    try:
        for done in range(PARTS + 1):
            told("learn pieces", done, PARTS)
            clock.now += part_s
    except ConfigError as error:
        return clock.now - begun, str(error)
    return None, ""


def test_a_limit_that_reading_alone_fills_is_refused_within_seconds():
    after_s, said = refused_after_s(60.0, part_s=2.0)  # 200 s
    assert after_s < 10.0
    assert "--timeout 60s: starting took" in said
    assert "the rest of 'learn pieces', training, testing and the report" in said


def test_the_least_that_it_names_works():
    _, said = refused_after_s(60.0, part_s=2.0)
    least_s = float(said.rsplit(" ", 1)[1].removesuffix("s"))
    assert 200.0 < least_s < 220.0
    assert refused_after_s(least_s, part_s=2.0) == (None, "")


def test_what_may_still_end_in_time_is_not_refused():
    # At its pace so far reading ends late, by less than a pace that rises would make good.
    told, clock = reading(60.0)
    told("learn pieces", 0, PARTS)
    clock.now += 10.0
    told("learn pieces", 10, PARTS)
    clock.now += 10.0
    told("learn pieces", 100, PARTS)


def test_once_the_time_is_over_it_is_refused_whatever_is_left():
    told, clock = reading(60.0)
    clock.now += 59.0
    with pytest.raises(ConfigError, match=r"--timeout 60s: starting took 59\.0 s"):
        told("decode images", 99, PARTS)


def test_without_a_limit_reading_takes_as_long_as_it_takes():
    heard = []
    told, clock = reading(None, progress=lambda *what: heard.append(what))
    for done in range(3):
        clock.now += 1e4
        told("decode images", done, PARTS, "note")
    assert heard == [("decode images", done, PARTS, "note") for done in range(3)]


def test_each_part_of_the_data_is_timed_by_itself():
    told, clock = reading(60.0)
    told("compute features", 0, PARTS)
    clock.now += 15.0
    told("compute features", PARTS, PARTS)
    clock.now += 5.0
    told("compute features", 5, PARTS)  # of the next split: nothing is known of its pace
