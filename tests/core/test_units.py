from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwkd.core.errors import ConfigError
from hwkd.core.units import (
    parse_bytes,
    parse_clock_hz,
    parse_duration_s,
    parse_energy_j,
    parse_frequency_hz,
    parse_sample_rate_hz,
    times_text,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_duration_s, "20ms", 0.02),
        (parse_duration_s, "1.5 s", 1.5),
        (parse_duration_s, "10min", 600.0),
        (parse_duration_s, "2h", 7200.0),
        (parse_duration_s, "250us", 250e-6),
        (parse_duration_s, "3\u00b5s", 3e-6),
        (parse_duration_s, "3\u03bcs", 3e-6),
        (parse_duration_s, timedelta(milliseconds=20), 0.02),
        (parse_duration_s, timedelta(microseconds=30), 3e-5),
        (parse_duration_s, timedelta(days=2), 172800.0),
        (parse_bytes, "128KiB", 131072),
        (parse_bytes, "20kB", 20000),
        (parse_bytes, "1_000B", 1000),
        (parse_bytes, "0.57kB", 570),
        (parse_bytes, "1MiB", 1048576),
        (parse_energy_j, "1mJ", 1e-3),
        (parse_energy_j, "2.5e2uJ", 250e-6),
        (parse_frequency_hz, "216MHz", 216e6),
        (parse_frequency_hz, "1.2GHz", 1.2e9),
    ],
)
def test_numbers_with_units_are_read_in_si(parse, text, value):
    assert parse(text, option="--x") == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize("parse", [parse_duration_s, parse_bytes, parse_energy_j])
def test_a_bare_number_is_refused_and_the_units_are_listed(parse):
    with pytest.raises(ConfigError, match=r"--max-x: '20' has no unit; write one of \w+, \w+"):
        parse("20", option="--max-x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("20 potatoes", "unit 'potatoes' is not one of us, "),
        ("20MS", "unit 'MS' is not one of"),
        ("0ms", "must be more than 0"),
        ("1e999s", "finite"),
        ("-3ms", "cannot read '-3ms'; write number and unit, as 20ms"),
        ("1.2.3ms", "cannot read"),
        ("ms", "cannot read"),
        ("", "cannot read ''"),
        ("nans", "cannot read"),
        (timedelta(seconds=-1), "cannot read '-1.0s'"),
        (timedelta(), "must be more than 0"),
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_duration_s(text, option="--max-latency")
    assert str(caught.value).startswith("--max-latency: ")
    assert "20ms" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("0.2B", "less than one byte"), ("1e999B", "finite")]
)
def test_bytes_outside_what_a_memory_can_have_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_bytes(text, option="--max-ram")


@given(st.integers(min_value=1, max_value=10**9), st.sampled_from(["B", "kB", "KiB", "MB", "MiB"]))
def test_whole_numbers_of_bytes_are_exact(count, unit):
    scale = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 10**6, "MiB": 1024**2}[unit]
    assert parse_bytes(f"{count}{unit}", option="--x") == count * scale


@given(st.floats(min_value=1e-6, max_value=1e6))
def test_the_same_duration_in_two_units_is_the_same(seconds):
    in_ms = parse_duration_s(f"{1e3 * seconds!r}ms", option="--x")
    assert in_ms == pytest.approx(parse_duration_s(f"{seconds!r}s", option="--x"), rel=1e-12)


@given(st.text(max_size=12))
def test_any_text_is_either_a_positive_number_or_one_line(text):
    try:
        assert parse_duration_s(text, option="--x") > 0
    except ConfigError as error:
        assert str(error).startswith("--x: ")


@pytest.mark.parametrize("text", ["120Hz", "160GHz"])
def test_a_clock_that_no_processor_has_is_refused(text):
    with pytest.raises(ConfigError, match="no processor's clock; expected 1MHz to 10GHz"):
        parse_clock_hz(text, option="--clock")
    assert parse_frequency_hz(text, option="--features") > 0.0


@pytest.mark.parametrize(
    ("text", "rate_hz"), [("16kHz", 16e3), ("16000Hz", 16e3), ("50Hz", 50.0), ("0.5Hz", 0.5)]
)
def test_a_rate_of_samples_is_far_below_a_clock(text, rate_hz):
    assert parse_sample_rate_hz(text, option="--rate") == rate_hz


@pytest.mark.parametrize("text", ["16MHz", "0.001Hz"])
def test_a_rate_that_no_sensor_has_is_refused(text):
    with pytest.raises(ConfigError, match=r"no rate of samples; expected 0\.01Hz to 1MHz"):
        parse_sample_rate_hz(text, option="--rate")


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.25, "1.25"), (99.96, "100"), (290.6, "291"), (12_345.0, "12,300")]
)
def test_how_many_times_has_no_exponent(ratio: float, text: str) -> None:
    assert times_text(ratio) == text
