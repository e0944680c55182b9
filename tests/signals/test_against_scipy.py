"""Integer steps against SciPy in double precision, with the error that whole numbers allow."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.signal

from hwkd.signals.fixed import exp2, log2, square_root
from hwkd.signals.steps.band_pass import BandPass
from hwkd.signals.steps.cosine import Cosine
from hwkd.signals.steps.decimate import Decimate
from hwkd.signals.steps.delta import Delta
from hwkd.signals.steps.log import Log
from hwkd.signals.steps.mel import Mel
from hwkd.signals.steps.pcen import EnergyNormalisation
from hwkd.signals.steps.power import Power
from hwkd.signals.steps.rfft import RealSpectrum
from hwkd.signals.steps.statistics import Statistics
from hwkd.signals.steps.vector import VectorMagnitude
from hwkd.signals.steps.window import Window
from hwkd.signals.tried import tried_signals

RANDOM = np.random.default_rng(1)


@pytest.mark.parametrize("size", [16, 32, 64, 128, 256, 512, 1024, 2048])
def test_spectrum(size: int) -> None:
    frames = RANDOM.integers(-(2**29), 2**29, (20, size)).astype(np.int32)
    frames[:4] = (2**29 * np.sin(np.outer([0.3, 0.5, 1.0, 3.0], np.arange(size)))).astype(np.int32)
    found = RealSpectrum(size=size).apply(frames)
    expected = scipy.fft.rfft(frames.astype(np.float64)) / size
    error = np.abs(found[:, 0::2] + 1j * found[:, 1::2] - expected)
    # Factors have 15 bits: errors lie 80 dB below the strongest frequency.
    strongest = np.abs(expected).max(axis=1, keepdims=True)
    assert (error / strongest).max() < 1e-4


def test_spectrum_of_the_largest_values_does_not_overflow() -> None:
    ends = RANDOM.choice([-(2**29), 2**29 - 1], (50, 512)).astype(np.int32)
    ends[0], ends[1] = 2**29 - 1, -(2**29)
    found = RealSpectrum(size=512).apply(ends)
    expected = scipy.fft.rfft(ends.astype(np.float64)) / 512
    assert np.abs(found[:, 0::2] + 1j * found[:, 1::2] - expected).max() < 2**29 * 1e-4


@pytest.mark.parametrize("name", ["hann", "hamming"])
def test_window(name: str) -> None:
    frames = RANDOM.integers(-32768, 32768, (3, 1, 2, 400)).astype(np.int16)
    found = Window(name=name, size=512).apply(frames)
    expected = frames * scipy.signal.get_window(name, 400) * 2**14
    assert np.abs(found[..., :400] - expected).max() < 2**14 * 2
    assert not found[..., 400:].any()


def test_log_mel_is_that_of_double_precision_within_a_hundredth_of_an_octave() -> None:
    size, rate_hz, bins = 512, 16000.0, 40
    frames = np.rint(RANDOM.standard_normal((200, 1, 1, 480)) * 3000).astype(np.int16)
    mel = Mel(bins=bins, low_hz=20.0, high_hz=8000.0, rate_hz=rate_hz, size=size)
    spectrum = RealSpectrum(size=size).apply(Window(name="hann", size=size).apply(frames))
    found = Log(floor=64).apply(mel.apply(Power().apply(spectrum)))[:, 0, 0] / 512
    window = scipy.signal.get_window("hann", 480)
    exact = np.abs(scipy.fft.rfft(frames[:, 0, 0] * window, n=size) * 2**7 / size) ** 2
    lowest, highest = 2595 * np.log10(1 + np.array([20.0, 8000.0]) / 700)
    mels = np.linspace(lowest, highest, bins + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    at = np.arange(size // 2 + 1) * rate_hz / size
    rising = (at - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - at) / np.diff(corners)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    expected = np.log2(exact @ filters.T + 64)
    assert np.abs(found - expected).max() < 0.01


def test_cosine_transform() -> None:
    logs = RANDOM.integers(0, 24576, (100, 1, 1, 40)).astype(np.int16)
    found = Cosine(coefficients=13).apply(logs) * 4.0
    expected = scipy.fft.dct(logs.astype(np.float64), norm="ortho")[..., :13]
    assert np.abs(found - expected).max() < 0.001 * np.abs(expected).max() + 4


def test_delta_is_the_slope_of_a_line_through_five_frames() -> None:
    values = RANDOM.integers(-20000, 20000, (4, 2, 30, 3)).astype(np.int16)
    found = Delta().apply(values)
    expected = scipy.signal.savgol_filter(values.astype(float), 5, 1, deriv=1, axis=2)
    np.testing.assert_array_equal(found[..., :3], values)
    assert np.abs(found[:, :, 4:, 3:] - expected[:, :, 2:-2]).max() <= 1.5


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_decimation_keeps_what_the_new_rate_can_hold_and_nothing_else(factor: int) -> None:
    step, time = Decimate(factor=factor), 4000
    t = np.arange(time)
    low = (16000 * np.sin(2 * np.pi * 0.3 / factor * t)).astype(np.int16)
    high = (16000 * np.sin(2 * np.pi * 0.7 / factor * t)).astype(np.int16)
    found = step.apply(np.stack([low, high])[None])[0, :, 40:]
    assert np.std(found[0]) == pytest.approx(np.std(low), rel=0.02)
    assert np.std(found[1]) < np.std(high) * 0.005
    exact = scipy.signal.lfilter(step.taps() / 32768, 1, low.astype(float))[::factor]
    exact = exact[: time // factor]
    assert np.abs(step.apply(low[None, None])[0, 0] - exact).max() <= 0.51
    assert np.abs(step.taps()).sum() * 32768 + 16384 < 2**31


@pytest.mark.parametrize("band", [(0.5, 20.0), (20.0, 50.0), (0.0, 5.0), (0.1, 1.0)])
def test_band_pass(band: tuple[float, float]) -> None:
    signals = tried_signals(8, 1, 1000)[[0, 1, 2, 4]] // 4
    step = BandPass.between(*band, 100.0)
    sections = np.insert(np.array(step.factors).reshape(-1, 5) / 2**29, 3, 1.0, axis=1)
    exact = scipy.signal.sosfilt(sections, signals.astype(float))
    assert np.abs(step.apply(signals) - exact).max() < 2


def test_energy_normalisation() -> None:
    step = EnergyNormalisation()
    energy = (2.0 ** RANDOM.uniform(12, 40, (3, 1, 60, 5))).astype(np.int64)
    found = step.apply(energy) / 2048
    mean = energy[:, :, 0].astype(float)
    for frame in range(60):
        mean += (energy[:, :, frame] - mean) / 2**step.smoothing
        ratio = (energy[:, :, frame] + step.floor) / (mean + step.floor) ** step.gain
        expected = (ratio + step.bias) ** step.power - step.bias**step.power
        error = np.abs(found[:, :, frame] - np.minimum(expected, 32767 / 2048))
        assert (error < 0.005 + 0.005 * expected).all()


def test_statistics() -> None:
    windows = RANDOM.integers(-5000, 9000, (7, 2, 3, 50)).astype(np.int16)
    found, real = Statistics().apply(windows), windows.astype(float)
    expected = [
        real.mean(-1), real.std(-1), real.min(-1), real.max(-1),
        np.sqrt((real**2).mean(-1)), np.abs(np.diff(real)).mean(-1),
    ]  # fmt: skip
    assert np.abs(found[..., :6] - np.stack(expected, -1)).max() <= 1.0


def test_lengths_of_vectors() -> None:
    signals = RANDOM.integers(-32768, 32768, (5, 7, 30)).astype(np.int16)
    found = VectorMagnitude().apply(signals)
    assert found.shape == (5, 9, 30)
    exact = np.linalg.norm(signals[:, 3:6].astype(float), axis=1)
    np.testing.assert_array_equal(found[:, 8], np.minimum(np.floor(exact), 32767))


def test_logarithms_powers_and_roots() -> None:
    values = np.concatenate([np.arange(1, 5000), 2 ** np.arange(62), 2 ** np.arange(1, 62) - 1])
    assert np.abs(log2(values) / 512 - np.log2(values.astype(float))).max() < 0.0015
    assert log2(np.array([0])) == 0
    exponents = np.arange(-9 * 512, 19 * 512)
    exact = 2.0 ** (exponents / 512)
    assert (np.abs(exp2(exponents) / 1024 - exact) < 0.001 * exact + 1 / 1024).all()
    squares = RANDOM.integers(0, 2**25, 1000) ** 2
    np.testing.assert_array_equal(square_root(squares) ** 2, squares)
    np.testing.assert_array_equal(
        square_root(squares[squares > 0] - 1) + 1, np.sqrt(squares[squares > 0])
    )
