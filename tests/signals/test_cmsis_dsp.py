"""Features by Arm's CMSIS-DSP: its Python package and its C agree, and what is missing is said."""

from __future__ import annotations

import importlib.util
import math
import os
from pathlib import Path

import numpy as np
import pytest
from signals.test_c_is_numpy import run_c
from support.signals import made_pipeline

from hwkd.core.errors import ConfigError
from hwkd.deploy.toolchain import host_compiler
from hwkd.signals import cmsis_dsp
from hwkd.signals.features import features_named
from hwkd.signals.pipeline import Pipeline
from hwkd.signals.steps.cmsis_mfcc import CmsisMfcc
from hwkd.signals.tried import tried_signals

needs_arm = pytest.mark.skipif(
    importlib.util.find_spec("cmsisdsp") is None or cmsis_dsp.VARIABLE not in os.environ,
    reason=f"needs hwkd[signals], and Arm's sources in {cmsis_dsp.VARIABLE}",
)
RATE_HZ = 16_000.0


def of(size: int, length: int, **changed: float) -> CmsisMfcc:
    return CmsisMfcc(
        length=length, size=size, bins=20, coefficients=13, low_hz=20.0, high_hz=8000.0,
        rate_hz=RATE_HZ, **changed,
    )  # fmt: skip


@needs_arm
@pytest.mark.skipif(host_compiler() is None, reason="needs a C compiler")
@pytest.mark.parametrize(
    "text", ["cmsis-dsp", "cmsis-dsp:window=64ms,stride=32ms,bins=40,coefficients=20"]
)
def test_arms_c_gives_the_features_of_arms_python_package(text: str, tmp_path: Path) -> None:
    signals = tried_signals(12, 1, 8000)
    pipeline = made_pipeline(text, signals, RATE_HZ)
    expected = pipeline.apply(signals).reshape(len(signals), -1) * 256
    np.testing.assert_array_equal(run_c(pipeline, signals, tmp_path), expected)
    assert len(np.unique(expected)) > 50
    stored = pipeline.record().model_dump_json()
    assert Pipeline.of(type(pipeline.record()).model_validate_json(stored)) == pipeline


@needs_arm
def test_coefficients_are_those_of_double_precision_but_for_16_bits() -> None:
    step = of(512, 480)
    noise = np.random.default_rng(0).integers(-20_000, 20_000, (1, 1, 30, 480)).astype(np.int16)
    tables = step.tables()
    window, cosines = tables.window / 32768, tables.cosines.reshape(13, 20) / 32768
    spectra = np.abs(np.fft.rfft(noise * window[:480] / 32768, 512))
    energies, at = [], 0
    for first, count in zip(tables.first, tables.counts, strict=True):
        weights = tables.weights[at : at + count] / 32768
        energies.append(spectra[..., first : first + count] @ weights)
        at += int(count)
    exact = np.log(np.stack(energies, axis=-1)) @ cosines.T
    # Of 13 coefficients all but the first, which has the level that the 16 bits are counted from.
    errors = step.apply(noise)[..., 1:] / 128 - exact[..., 1:]
    assert np.abs(errors).mean() < 0.1 < exact[..., 1:].std()


def test_filters_are_triangles_between_evenly_spaced_mels() -> None:
    tables = of(512, 480).tables()
    low, high = (1127 * math.log(1 + hertz / 700) for hertz in (20.0, 8000.0))
    corners = 700 * (np.exp(np.linspace(low, high, 22) / 1127) - 1)
    peaks = [
        int(first) + int(np.argmax(tables.weights[start : start + count]))
        for first, count, start in zip(
            tables.first, tables.counts, np.cumsum([0, *tables.counts[:-1]]), strict=True
        )
    ]
    assert np.abs(np.array(peaks) * RATE_HZ / 512 - corners[1:-1]).max() <= RATE_HZ / 512
    assert len(tables.window) == 512
    assert tables.window[480:].max() == 0
    with pytest.raises(ConfigError, match=r"mel filter 1 of 20 holds none .* take fewer bins"):
        of(32, 30).tables()


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    cmsis_dsp.wrapper.cache_clear()
    with pytest.raises(
        ConfigError, match=r"pip install 'hwkd\[signals\]'.*or take --features mfcc"
    ):
        cmsis_dsp.wrapper()


def test_without_the_sources_one_line_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(cmsis_dsp.VARIABLE, raising=False)
    with pytest.raises(ConfigError, match=r"HWKD_CMSIS_DSP names no folder .* `pip download"):
        cmsis_dsp.sources()
    monkeypatch.setenv(cmsis_dsp.VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=r"has no Source/StatisticsFunctions/arm_absmax_q15\.c"):
        cmsis_dsp.sources()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cmsis-dsp:coefficients=21", "21 coefficients of 20 bins"),
        ("cmsis-dsp:window=300ms", "a window of 0.3 s has 4,800 samples; at most 4,096"),
    ],
)
def test_settings_that_arm_does_not_take_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        features_named(text).steps((1, 16_000), RATE_HZ)
