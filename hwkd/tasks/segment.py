"""Segmentation: which class each position of a picture shows, judged by the mean IoU."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from hwkd.core.catalog import TASKS
from hwkd.core.errors import DataError
from hwkd.core.metric import Metric, led_by
from hwkd.core.printable import printable
from hwkd.core.progress import Progress, silent
from hwkd.core.reading import AS_USUAL, Reading
from hwkd.tasks.base import Task, TaskData
from hwkd.tasks.maps_head import MAP_METRICS, MapsHead
from hwkd.tasks.mask_folder import LAYOUT, read_mask_folder
from hwkd.tasks.prepare import prepare
from hwkd.tasks.raw import RawData, RawSplit
from hwkd.tasks.sources import reading as being_read
from hwkd.tasks.splits import with_all_splits

_KNOWN = frozenset({"input_size", "metric"})


@dataclass(frozen=True, kw_only=True)
class SegmentTask:
    """A class for each position of a picture, learned from masks."""

    name: str = "segment"
    summary: str = "tell what each position of a picture shows: images/ and masks/ of class numbers"
    metrics: tuple[Metric, ...] = MAP_METRICS
    kind: str = "class maps"
    spaces: tuple[str, ...] = ("segmenter",)
    weight_budget_bytes: int | None = None

    def data(
        self,
        source: Path | None,
        reading: Reading = AS_USUAL,
        *,
        split_seed: int = 0,
        progress: Progress = silent,
    ) -> TaskData:
        """Read, check, split and normalise; see `Task.data`."""
        reading.require_known(_KNOWN, task=self.name)
        metrics = led_by(self.metrics, reading.metric, task=self.name)
        if source is None:
            raise DataError(f"--task {self.name} comes with no data; --data takes {LAYOUT}")
        raw = _read(source, reading, progress)
        head = MapsHead(names=raw.class_names, grid=raw.train.labels.shape[1:], metrics=metrics)
        # Masks have no one class by which splits could keep their shares.
        split = with_all_splits(replace(raw, class_names=()), split_seed=split_seed)
        return prepare(split, head, reading, task=self.name, split_seed=split_seed, nature="scenes")

    def labelled(
        self, source: Path, reading: Reading = AS_USUAL, *, raw_shape: tuple[int, ...]
    ) -> RawSplit:
        """Read raw pictures of the training's size and their masks; see `Task.labelled`."""
        size = (raw_shape[1], raw_shape[2])
        raw = _read(source, reading.model_copy(update={"input_size": size}), silent)
        return raw.test or raw.train


def _read(source: Path, reading: Reading, progress: Progress) -> RawData:
    with being_read(source, takes=LAYOUT):
        if not source.is_dir():
            raise DataError(f"{printable(source)}: a file; --data takes {LAYOUT}")
        return read_mask_folder(source, input_size=reading.size, progress=progress)


_TASK: Task = TASKS.register("segment")(SegmentTask())
