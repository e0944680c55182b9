"""A folder of "words", each a tone, laid out as Speech Commands is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import wavfile

RATE_HZ = 8000
TONES_HZ = {"low": 300.0, "high": 1500.0, "none": 3000.0}


def tone(hz, *, seconds=0.4, rate_hz=RATE_HZ, seed=0):
    """Samples between -1 and 1."""
    random = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return 0.4 * np.sin(2 * np.pi * hz * times + random.uniform(0, 6)) + random.normal(
        0, 0.02, len(times)
    )


def write_wake_word(folder: Path, clips=20, seconds=20) -> Path:
    """Write clips of a tone that is the wake word, of another, and recordings without both."""
    for name, hz in {"beep": 1500.0, "negative": 300.0}.items():
        (folder / name).mkdir(parents=True)
        for number in range(clips):
            samples = (tone(hz, seed=number) * 32767).astype(np.int16)
            wavfile.write(folder / name / f"{number}.wav", RATE_HZ, samples)
    (folder / "recordings").mkdir()
    random = np.random.default_rng(2)
    for number in range(2):
        parts = [0.5 * tone(random.uniform(200, 800), seconds=1) for _ in range(seconds // 2)]
        samples = (np.concatenate(parts) * 32767).astype(np.int16)
        wavfile.write(folder / "recordings" / f"{number}.wav", RATE_HZ, samples)
    return folder


def write_spoken(folder: Path, clips=70, noise=True) -> Path:
    """Write word folders and a recording of noise."""
    for word, hz in TONES_HZ.items():
        (folder / word).mkdir(parents=True)
        for number in range(clips):
            samples = (tone(hz, seed=number) * 32767).astype(np.int16)
            wavfile.write(folder / word / f"{number}.wav", RATE_HZ, samples)
    if noise:
        (folder / "_background_noise_").mkdir()
        hiss = np.random.default_rng(1).normal(0, 900, size=5 * RATE_HZ).astype(np.int16)
        wavfile.write(folder / "_background_noise_" / "hiss.wav", RATE_HZ, hiss)
    return folder
