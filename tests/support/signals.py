"""Recipes with signals that they fit."""

from __future__ import annotations

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
