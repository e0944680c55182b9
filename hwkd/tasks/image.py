"""Image (and signal-window) classification on the user's files or on handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hwkd.core.catalog import TASKS
from hwkd.core.choices import Layout
from hwkd.core.progress import Progress, silent
from hwkd.tasks.base import Task, TaskData
from hwkd.tasks.prepare import prepare
from hwkd.tasks.sources import read_digits, read_source

__all__ = ["ImageTask"]


@dataclass(frozen=True, kw_only=True)
class ImageTask:
    """One label per image; arrays of (channels, time) work the same way."""

    name: str = "image"
    summary: str = "classify images: class folders, IDX or NPZ; without data, handwritten digits"
    metric: str = "classification error"

    def data(
        self,
        source: Path | None,
        *,
        split_seed: int = 0,
        input_size: tuple[int, int] | None = None,
        layout: Layout = "auto",
        progress: Progress = silent,
    ) -> TaskData:
        """Read, check, split and normalise; see `Task.data`."""
        raw = (
            read_digits()
            if source is None
            else read_source(source, input_size=input_size, layout=layout, progress=progress)
        )
        return prepare(raw, task=self.name, split_seed=split_seed)

    def error_ratio(self, outputs: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """Return the share of examples whose largest output is not the label."""
        return float(np.mean(outputs.argmax(axis=1) != labels))


_TASK: Task = TASKS.register("image")(ImageTask())
