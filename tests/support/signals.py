"""Signals that try an integer pipeline: noise of every level, tones, steps, silence, full scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.signals.features import features_named
from hwkd.signals.pipeline import Pipeline, applied
from hwkd.signals.steps.standardise import Standardise

RECIPES = {
    "log-mel": (1, 16000, 16000.0),
    "log-mel:bins=20,window=25ms,stride=10ms,pcen=yes,picture=yes": (1, 4800, 16000.0),
    "log-mel:window=64ms,stride=32ms,magnitude=yes,delta=yes,shape=hamming": (2, 6000, 16000.0),
    "log-mel:bins=8,window=10ms,stride=10ms,decimate=2,shape=none": (1, 4000, 16000.0),
    "mfcc": (1, 8000, 16000.0),
    "mfcc:bins=20,coefficients=10,delta=yes,window=32ms,high=4kHz,decimate=2": (1, 8000, 16000.0),
    "imu": (6, 200, 50.0),
    "imu:low=0.5Hz,high=20Hz,window=0.5s,stride=0.5s": (3, 300, 100.0),
    "imu:statistics=no,decimate=2": (3, 256, 100.0),
    "imu:statistics=no,magnitude=no,high=5Hz": (2, 130, 50.0),
}


def tried_signals(count: int, channels: int, time: int, *, seed: int = 0) -> NDArray[np.int16]:
    """Return int16 [count, channels, time], half of it noise and half of it structured."""
    random = np.random.default_rng(seed)
    shape = (channels, time)
    t = np.arange(time)

    def tone() -> NDArray[Any]:
        frequency, phase = random.uniform(0, 0.5), random.uniform(0, 6.3)
        return np.sin(2 * np.pi * frequency * t + phase) * 2.0 ** random.uniform(0, 15)

    made: list[NDArray[Any]] = []
    for number in range(count):
        kind = number % 8
        if kind % 2 == 0:
            made.append(random.standard_normal(shape) * 2.0 ** random.uniform(-2, 15))
        elif kind == 1:
            made.append(np.stack([tone() + tone() for _ in range(channels)]))
        elif kind == 3:
            made.append(np.where(random.random(shape) < 0.5, -32768.0, 32767.0))
        elif kind == 5:
            made.append(
                np.where(t < random.integers(time), 0.0, random.uniform(-32768, 32767))
                + np.zeros(shape)
            )
        else:
            choice = [0.0, -32768.0, 32767.0, float(random.integers(-3, 4))][number // 8 % 4]
            made.append(np.full(shape, choice))
    return np.clip(np.rint(np.stack(made)), -32768, 32767).astype(np.int16)


def made_pipeline(text: str, signals: NDArray[np.int16], rate_hz: float) -> Pipeline:
    """Return the pipeline of features, standardised on signals."""
    shape = tuple(signals.shape[1:])
    recipe = features_named(text)
    front = recipe.steps(shape, rate_hz)
    found = applied(front, signals).astype(np.float64)
    fitted = Standardise.of(found.mean(axis=(0, 2)), found.std(axis=(0, 2)))
    return Pipeline(
        steps=(*front, fitted, *recipe.after(shape)),
        raw_shape=shape, raw_dtype="int16", raw_low=-32768.0, raw_high=32767.0,
    )  # fmt: skip
