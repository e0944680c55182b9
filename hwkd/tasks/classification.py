"""Classification of images, signals and arrays: the user's files or handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hwkd.core.catalog import TASKS
from hwkd.core.metric import Metric
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import Task, TaskData
from hwkd.tasks.checked_task import Asked, CheckedTask
from hwkd.tasks.classes_head import CLASS_METRICS, head_of_classes
from hwkd.tasks.raw import RawSplit
from hwkd.tasks.sources import is_image_folder, read_digits, read_source
from hwkd.tasks.splits import with_all_splits


@dataclass(frozen=True, kw_only=True)
class ClassifyTask(CheckedTask):
    """One label per image; arrays of (channels, time) work the same way."""

    name: str = "classify"
    summary: str = (
        "classify images: class folders, IDX, NPZ or CSV; without data, handwritten digits"
    )
    metrics: tuple[Metric, ...] = CLASS_METRICS
    kind: str = "classes"
    spaces: tuple[str, ...] = ()
    weight_budget_bytes: int | None = None

    known = frozenset(
        {"input_size", "layout", "metric", "label", "class_weights", "features", "half"}
    )

    def prepared(self, source: Path | None, asked: Asked) -> TaskData:
        """Read, check, split and normalise; see `Task.data`."""
        reading = asked.reading
        raw = (
            read_digits()
            if source is None
            else read_source(
                source,
                input_size=reading.size if is_image_folder(source) else reading.input_size,
                layout=reading.layout,
                label=reading.label,
                half=reading.half,
                progress=asked.progress,
            )
        )
        split = with_all_splits(raw, split_seed=asked.split_seed)
        head = head_of_classes(split, asked.metrics, reading)
        return self.ready(split, head, reading, asked)

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw inputs and the names of their classes; see `Task.labelled`."""
        size = raw_shape[1:] if is_image_folder(source) and len(raw_shape) == 3 else None
        raw = read_source(
            source, input_size=size and (size[0], size[1]), label=reading.label, to_judge=True
        )
        split = raw.test or raw.train
        labels = np.array(raw.class_names)[split.labels]
        return replace(split, labels=labels, notes=raw.notes)


# Configurations of older versions call it "image".
_TASK: Task = TASKS.register("classify", aliases=("image",))(ClassifyTask())
