from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwkd.report import format as fmt

_SECONDS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6, "ns": 1e-9}


@pytest.mark.parametrize(
    ("name", "expected"),
    [("accuracy", "Accuracy"), ("mean IoU", "Mean IoU"), ("mAP@50", "mAP@50"), ("F1", "F1")],
)
def test_a_heading_keeps_capitals_that_a_metric_has(name, expected):
    assert fmt.heading(name) == expected


@pytest.mark.parametrize(
    ("given_s", "expected"),
    [
        (0.00812, "8.12 ms"),
        (0.02, "20.0 ms"),
        (0.0009999, "1.00 ms"),
        (0.00000123, "1.23 µs"),
        (1.5, "1.50 s"),
        (0, "0 s"),
        (None, "–"),
    ],
)
def test_a_latency_has_three_digits_and_the_unit_that_fits(given_s, expected):
    assert fmt.time(given_s) == expected


@given(st.floats(min_value=1e-9, max_value=900))
def test_a_latency_reads_back_to_half_a_percent(value_s):
    number, unit = fmt.time(value_s).split(" ")
    assert float(number) * _SECONDS[unit] == pytest.approx(value_s, rel=0.0051)


@given(st.integers(min_value=0, max_value=2**40))
def test_bytes_read_back_to_half_a_percent(value_bytes):
    number, unit = fmt.kib(value_bytes).split(" ")
    per = {"B": 1, "KiB": 1024, "MiB": 1024**2}[unit]
    assert float(number.replace(",", "")) * per == pytest.approx(value_bytes, rel=0.0051)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(812, "812"), (12_500, "12.5 k"), (999_990, "1.00 M"), (1_164_480, "1.16 M"), (0, "0")],
)
def test_counts_are_short(value, expected):
    assert fmt.count(value) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.85, "850 ms"), (41.2, "41.2 s"), (161, "2 min 41 s"), (3720, "1 h 02 min")],
)
def test_wall_times_read_like_a_clock(seconds, expected):
    assert fmt.duration(seconds) == expected


@pytest.mark.parametrize(("ratio", "expected"), [(0.25, "+25.0 %"), (9.0, "x 10.0")])
def test_large_excesses_are_factors(ratio, expected):
    assert fmt.signed_percent(ratio) == expected


def test_each_limit_is_shown_in_its_own_unit():
    assert fmt.limit_value("latency", 0.02) == "20.0 ms"
    assert fmt.limit_value("weights", 20_000) == "19.5 KiB"
    assert fmt.limit_value("energy", 0.001) == "1.00 mJ"


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_significant_never_writes_an_exponent(value):
    assert re.fullmatch(r"[0-9,]+(\.[0-9]+)?", fmt.significant(value))
