"""Segmentation: which class each position of a picture shows, judged by the mean IoU."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwkd.core.catalog import TASKS
from hwkd.core.head import Head
from hwkd.core.metric import Metric
from hwkd.core.progress import Progress
from hwkd.core.reading import Reading
from hwkd.tasks.base import Task
from hwkd.tasks.maps_head import IOU, MAP_METRICS, MapsHead
from hwkd.tasks.maps_loss import rarer_count_more
from hwkd.tasks.mask_folder import LAYOUT, read_mask_folder
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.scene_task import SceneTask
from hwkd.tasks.sources import reading_folder


@dataclass(frozen=True, kw_only=True)
class SegmentTask(SceneTask):
    """A class for each position of a picture, learned from masks."""

    name: str = "segment"
    summary: str = "tell what each position of a picture shows: images/ and masks/ of class numbers"
    metrics: tuple[Metric, ...] = MAP_METRICS
    kind: str = "class maps"
    spaces: tuple[str, ...] = ("segmenter",)

    takes = LAYOUT
    nature = "scenes"

    def read(
        self, source: Path, reading: Reading, progress: Progress, *, to_judge: bool = False
    ) -> RawData:
        """Read pictures and masks."""
        with reading_folder(source, takes=LAYOUT):
            return read_mask_folder(
                source, input_size=reading.size, to_judge=to_judge, progress=progress
            )

    def lacks(self, split: RawSplit, names: tuple[str, ...]) -> str:
        """Say that masks hold one class alone."""
        seen = np.unique(split.labels[split.labels >= 0]).tolist()
        if len(seen) > 1:
            return ""
        lacking = f"masks hold no class but {names[seen[0]]}" if seen else "masks hold no class"
        return f"{lacking}; add masks with others"

    def headed(
        self, data: RawData, names: tuple[str, ...], metrics: tuple[Metric, ...]
    ) -> tuple[Head, RawData]:
        """Return the head of the masks' classes, of which rare ones count more if IoU counts."""
        masks = data.train.labels
        counts = metrics[0] == IOU
        head = MapsHead(
            names=names, grid=masks.shape[1:], metrics=metrics,
            weights=rarer_count_more(masks, len(names)) if counts else (),
        )  # fmt: skip
        return head, data


_TASK: Task = TASKS.register("segment")(SegmentTask())
