"""What tries an integer pipeline: noise of every level, tones, silence, full scale; odd texts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_PIECES = (
    "", " ", "the ", "The", "x1", "Größe ", "naïve,", "日本語 ", "\n", "a-b ", "ZZ", "🙂 ", "0",
)  # fmt: skip


def tried_signals(count: int, channels: int, time: int, *, seed: int = 0) -> NDArray[np.int16]:
    """Return int16 [count, channels, time], half of it noise and half of it structured."""
    random = np.random.default_rng(seed)
    shape = (channels, time)
    t = np.arange(time)

    def tone() -> NDArray[Any]:
        frequency, phase = random.uniform(0, 0.5), random.uniform(0, 6.3)
        wave: NDArray[Any] = np.sin(2 * np.pi * frequency * t + phase) * 2.0 ** random.uniform(
            0, 15
        )
        return wave

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
    found: NDArray[np.int16] = np.clip(np.rint(np.stack(made)), -32768, 32767).astype(np.int16)
    return found


def tried_texts(count: int, length: int, *, seed: int = 0) -> NDArray[np.uint8]:
    """Return uint8 [count, 1, length]: half of it words of many scripts, half any bytes."""
    random = np.random.default_rng(seed)
    found = random.integers(0, 256, (count, 1, length), dtype=np.uint8)
    for row in found[::2, 0]:
        coded = "".join(random.choice(_PIECES, length)).encode()[: random.integers(length + 1)]
        row[:] = 0
        row[: len(coded)] = np.frombuffer(coded, np.uint8)
    # Any bytes have a zero soon.
    found[1::4][found[1::4] == 0] = ord("e")
    return found
