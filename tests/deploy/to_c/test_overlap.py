"""An output that follows its input at the lag loses no value that is still to be read."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hwkd.deploy.to_c.overlap import lag_bytes, lines_of, runs_in_place

# Pixels that kernels compute at once, and how many of them they write while they read.
_WAYS = ((1, 1), (2, 2), (2, 0), (4, 0))


@st.composite
def windows(draw):
    axes: dict[str, int] = {}
    for axis, pad in (("height", "pad_top"), ("width", "pad_left")):
        kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
        size = draw(st.integers(kernel, 9))
        before, after = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
        axes |= {
            f"in_{axis}": size, f"kernel_{axis}": kernel, f"stride_{axis}": stride, pad: before,
            f"out_{axis}": (size + before + after - kernel) // stride + 1,
        }  # fmt: skip
    channels = {"in_channels": draw(st.integers(1, 5)), "out_channels": draw(st.integers(1, 9))}
    return axes | channels


def read_by(geometry, pixel):
    """Byte addresses in the input that one output pixel needs, as the loops of a kernel do."""
    y, x = divmod(pixel, geometry["out_width"])
    found = set()
    for ky in range(geometry["kernel_height"]):
        for kx in range(geometry["kernel_width"]):
            row = y * geometry["stride_height"] + ky - geometry["pad_top"]
            column = x * geometry["stride_width"] + kx - geometry["pad_left"]
            if 0 <= row < geometry["in_height"] and 0 <= column < geometry["in_width"]:
                first = (row * geometry["in_width"] + column) * geometry["in_channels"]
                found |= set(range(first, first + geometry["in_channels"]))
    return found


@given(windows(), st.sampled_from(_WAYS))
@settings(max_examples=80, deadline=None)
def test_what_is_written_was_read_for_the_last_time(geometry, way):
    at_once, unread = way
    lag = lag_bytes(geometry, unread)
    pixels = geometry["out_height"] * geometry["out_width"]
    reads = [read_by(geometry, pixel) for pixel in range(pixels)]
    written: set[int] = set()
    for first in range(0, pixels, at_once):
        group = range(first, min(first + at_once, pixels))
        for pixel in group:
            assert not reads[pixel] & written
        start = first * geometry["out_channels"] - lag
        written |= set(range(start, start + len(group) * geometry["out_channels"]))
        if unread:
            assert not set().union(*(reads[pixel] for pixel in group)) & written


def test_a_pointwise_convolution_lags_by_the_pixels_it_reads_while_it_writes():
    same = {f"{side}_{axis}": 8 for side in ("in", "out") for axis in ("height", "width")}
    plain = {"stride_height": 1, "stride_width": 1, "pad_top": 0, "pad_left": 0}
    assert lag_bytes({**same, **plain, "in_channels": 16, "out_channels": 16}, 2) == 2 * 16
    # With twice the channels it grows by 16 bytes a pixel over what the last two pixels read.
    assert lag_bytes({**same, **plain, "in_channels": 16, "out_channels": 32}, 2) == (64 + 2) * 16


def test_a_gathering_3x3_lags_by_a_row_and_its_padding():
    same = {f"{side}_{axis}": 8 for side in ("in", "out") for axis in ("height", "width")}
    window = {"stride_height": 1, "stride_width": 1, "pad_top": 1, "pad_left": 1}
    lag = lag_bytes({**same, **window, "in_channels": 4, "out_channels": 4}, 0)
    assert lag == 8 * 4 + 4


@given(windows())
@settings(max_examples=80, deadline=None)
def test_what_lies_over_its_input_is_written_after_its_lines_were_read(geometry):
    full = {**geometry, "dilation_height": 1, "dilation_width": 1}
    lines, place = lines_of(full)
    span, stride = place["kernel_height"], place["stride_height"]
    line_bytes = lines.size_bytes // (span + lines.ahead * stride)
    columns = (place["out_width"] - 1) * place["stride_width"] + place["kernel_width"]
    assert line_bytes == 4 * columns
    safe = True
    for row in range(place["out_height"]):
        # Of the image, what lies below the window of this row is still unread.
        unread = max(row * stride + span - place["pad_top"], 0) * place["in_width"]
        last = min((row + 1) * place["out_width"], place["in_height"] * place["in_width"])
        safe &= last <= unread or row * stride + span - place["pad_top"] >= place["in_height"]
    assert runs_in_place(place, lines) == safe


def test_a_signal_takes_a_line_of_a_few_pixels():
    signal = {
        "in_height": 1, "in_width": 1000, "out_height": 1, "out_width": 1000, "kernel_height": 1,
        "kernel_width": 3, "stride_height": 1, "stride_width": 1, "dilation_height": 1,
        "dilation_width": 1, "pad_top": 0, "pad_left": 1,
    }  # fmt: skip
    lines, turned = lines_of(signal)
    assert lines.size_bytes < 200
    assert runs_in_place(turned, lines)
