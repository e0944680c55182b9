"""Recipes with signals that they fit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwkd.signals.features import FittedFeatures, features_named
from hwkd.signals.pipeline import Pipeline, applied
from hwkd.signals.step import TextStep
from hwkd.signals.steps.standardise import Standardise
from hwkd.signals.tried import tried_signals, tried_texts

RECIPES = {
    "log-mel": (1, 16000, 16000.0),
    "log-mel:bins=20,window=25ms,stride=10ms,pcen=yes,picture=yes": (1, 4800, 16000.0),
    "log-mel:window=64ms,stride=32ms,magnitude=yes,delta=yes,shape=hamming": (2, 6000, 16000.0),
    "log-mel:bins=8,window=10ms,stride=10ms,decimate=2,shape=none": (1, 4000, 16000.0),
    "log-mel:bins=12,window=16ms,stride=8ms": (2, 1600, 16000.0),
    "log-mel:bins=12,window=17.05ms,stride=10ms": (1, 1600, 16000.0),
    "mfcc": (1, 8000, 16000.0),
    "mfcc:bins=20,coefficients=10,delta=yes,window=32ms,high=4kHz,decimate=2": (1, 8000, 16000.0),
    "imu": (6, 200, 50.0),
    "imu:low=0.5Hz,high=20Hz,window=0.5s,stride=0.5s": (3, 300, 100.0),
    "imu:statistics=no,decimate=2": (3, 256, 100.0),
    "imu:statistics=no,magnitude=no,high=5Hz": (2, 130, 50.0),
    "words:known=40": (1, 300, 0.0),
    "words:known=5,buckets=7": (1, 200, 0.0),
    "words:known=0,buckets=32": (1, 100, 0.0),
    "word-codes:count=12,size=48": (1, 150, 0.0),
    "bytes:count=40,size=16": (1, 64, 0.0),
    "byte-ids:count=40": (1, 64, 0.0),
    "byte-ids": (1, 90, 0.0),
    "pieces:known=200,count=30": (1, 150, 0.0),
    "pieces:known=90,count=200": (1, 120, 0.0),
    "pieces:known=700,count=20": (1, 150, 0.0),
    "pieces:known=2000": (1, 300, 0.0),
}
TEXT_RECIPES = frozenset({"words", "word-codes", "bytes", "byte-ids", "pieces"})


def tried_inputs(text: str, count: int) -> NDArray[Any]:
    """Return signals, or texts, that a recipe takes."""
    channels, time, _ = RECIPES[text]
    if text.split(":")[0] in TEXT_RECIPES:
        return tried_texts(count, time)
    return tried_signals(count, channels, time)


def made_pipeline(text: str, signals: NDArray[Any], rate_hz: float) -> Pipeline:
    """Return the pipeline of features, fitted to signals of two classes in turn."""
    shape = tuple(signals.shape[1:])
    recipe = features_named(text)
    front = recipe.steps(shape, rate_hz)
    if isinstance(recipe, FittedFeatures):
        front = recipe.fitted(signals, np.arange(len(signals)) % 2)
    found = applied(front, signals).astype(np.float64)
    moments = found.mean(axis=(0, 2)), found.std(axis=(0, 2))
    if isinstance(front[0], TextStep) and front[0].are_numbers:
        moments = np.zeros(found.shape[1]), np.ones(found.shape[1])
    fitted = Standardise.of(*moments)
    return Pipeline(
        steps=(*front, fitted, *recipe.after(shape)),
        raw_shape=shape, raw_dtype=signals.dtype.name, raw_low=-32768.0, raw_high=32767.0,
    )  # fmt: skip
