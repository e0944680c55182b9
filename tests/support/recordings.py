"""Recordings of three motions by several people, small enough for every test."""

from __future__ import annotations

from pathlib import Path

import numpy as np

RATE_HZ = 20.0


def recording_rows(people=10, seconds=10.0):
    """Rows of time, two channels, label, subject and recording; each motion has a frequency."""
    random = np.random.default_rng(0)
    rows = []
    number = 0
    for person in range(people):
        for label, hz in (("shake", 4.0), ("turn", 2.0), ("tilt", 1.0)):
            times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
            wave = np.sin(2 * np.pi * hz * times + random.uniform(0, 6))
            noise = random.normal(0, 0.1, size=(len(times), 2))
            for at, time in enumerate(times):
                a, b = wave[at] + noise[at, 0], -0.5 * wave[at] + noise[at, 1]
                rows.append([f"{time:.3f}", f"{a:.5f}", f"{b:.5f}", label, f"p{person}", number])
            number += 1
    return rows


def write_recordings(path: Path, rows=None, heading="time,ax,ay,label,subject,recording") -> Path:
    """Write rows as a CSV table."""
    rows = recording_rows() if rows is None else rows
    lines = [heading, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
